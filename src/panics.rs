//! Panics of libraries and of bugs, as values.
//!
//! GPU libraries panic where a driver, a header or memory is missing, and sometimes on a thread of
//! their own first. What the first panic said is kept, since the later ones only follow from it.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

/// The first panic since [`caught`] last began or ended, with its place in the source.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// From now on a panic is remembered for [`caught`] and not printed.
pub fn remember_quietly() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or(String::new(), |place| format!(" ({place})"));
        let text = text(info.payload());
        FIRST
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| format!("{text}{place}"));
    }));
}

/// Runs `body`.
///
/// What `body` was changing when it panicked may be half changed: use none of it afterwards, or
/// only what is written whole.
///
/// # Errors
/// What the panic said, if `body` panics.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    let first = || FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
    first();
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let last = text(panic.as_ref());
        first().unwrap_or(last)
    })
}

/// What `panic!` was called with.
fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hook of the test harness is left in place, so that nothing is remembered here.
    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("plain") }), Err("plain".to_owned()));
        let number = 7;
        assert_eq!(caught(|| -> u8 { panic!("number {number}") }), Err("number 7".to_owned()));
        let other = caught(|| -> u8 { panic::panic_any(7u8) });
        assert_eq!(other, Err("a panic without a message".to_owned()));
    }
}
