//! How much fits: the search over the length of a prompt.

use crate::error::Result;

/// Prompts are not made of more parts than this.
const MOST: usize = 1 << 24;

/// The largest `n` that fits, if more parts never make a prompt shorter; in any case one that fits
/// itself. `None` if 0 does not.
///
/// # Errors
/// What `fits` gives.
pub(super) fn largest(fits: impl Fn(usize) -> Result<bool>) -> Result<Option<usize>> {
    if !fits(0)? {
        return Ok(None);
    }
    let (mut low, mut high) = (0, 1);
    while high < MOST && fits(high)? {
        (low, high) = (high, high * 2);
    }
    // `low` fits; `high` does not, or is more than anybody asks for.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match fits(middle)? {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(Some(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn by_hand() {
        for most in [0, 1, 2, 3, 7, 8, 1000] {
            assert_eq!(largest(|n| Ok(n <= most)).unwrap(), Some(most));
        }
        assert_eq!(largest(|_| Ok(false)).unwrap(), None);
        assert!(largest(|n| if n < 5 { Ok(true) } else { Err(Error::usage("x")) }).is_err());
    }
}
