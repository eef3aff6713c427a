//! [`Likeness`]: whether two scores rank the heads of a model alike.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::heads::HeadMatrix;
use crate::score::correlation::spearman;

/// One head in this many counts as one of the best.
const BEST: usize = 10;

/// How alike two rankings of the same heads are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likeness {
    /// Spearman's rank correlation of all heads, -1 to 1; `None` where all heads of one side are
    /// equal.
    pub spearman: Option<f64>,
    /// Share of the best heads of one side that are among the best of the other, 0 to 1. Drawn at
    /// random it would be about a tenth. `None` where a side has no head above 0.
    pub top_overlap_frac: Option<f64>,
    /// How many heads these are: a tenth of all, rounded up, and no more than either side has above
    /// 0, since a head at 0 is not among the best of anything.
    pub top_heads: usize,
}

impl Likeness {
    /// Of two `[L, H]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if the shapes differ.
    pub fn of(a: &HeadMatrix, b: &HeadMatrix) -> Result<Self> {
        let shape = |m: &HeadMatrix| (m.layers(), m.heads());
        if shape(a) != shape(b) {
            return Err(Error::bug("rankings of different heads cannot be compared").got(format!(
                "{:?} and {:?}",
                shape(a),
                shape(b)
            )));
        }
        let values = |m: &HeadMatrix| m.values().iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let above = |m: &HeadMatrix| m.values().iter().filter(|v| **v > 0.0).count();
        let top_heads = a.values().len().div_ceil(BEST).min(above(a)).min(above(b));
        let best = |m: &HeadMatrix| m.top(top_heads).into_iter().map(|(l, h, _)| (l, h));
        let theirs: Vec<_> = best(b).collect();
        let shared = best(a).filter(|head| theirs.contains(head)).count();
        Ok(Self {
            spearman: spearman(&values(a), &values(b)),
            top_overlap_frac: (top_heads > 0).then(|| shared as f64 / top_heads as f64),
            top_heads,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: impl Iterator<Item = f32>) -> HeadMatrix {
        HeadMatrix::new(4, 5, values.collect()).unwrap()
    }

    #[test]
    fn by_hand() {
        // Twenty heads: two are the best tenth.
        let rising = matrix((0..20).map(|i| i as f32));
        let same = Likeness::of(&rising, &matrix((0..20).map(|i| (i * i) as f32))).unwrap();
        assert_eq!(
            same,
            Likeness { spearman: Some(1.0), top_overlap_frac: Some(1.0), top_heads: 2 }
        );
        let falling = Likeness::of(&rising, &matrix((0..20).map(|i| 20.0 - i as f32))).unwrap();
        assert_eq!((falling.spearman, falling.top_overlap_frac), (Some(-1.0), Some(0.0)));
        // The best, 19, is no longer among the two best; 18 still is.
        let one = matrix((0..20).map(|i| if i == 19 { -1.0 } else { i as f32 }));
        assert_eq!(Likeness::of(&rising, &one).unwrap().top_overlap_frac, Some(0.5));
        let flat = Likeness::of(&rising, &matrix((0..20).map(|_| 1.0))).unwrap();
        assert_eq!(flat.spearman, None);
        // One head above 0 on one side, another on the other: the zeros behind them are no best
        // heads.
        let only = |head: usize| matrix((0..20).map(move |i| if i == head { 1.0 } else { 0.0 }));
        let sparse = Likeness::of(&only(3), &only(7)).unwrap();
        assert_eq!((sparse.top_overlap_frac, sparse.top_heads), (Some(0.0), 1));
        let none = Likeness::of(&only(3), &matrix((0..20).map(|_| 0.0))).unwrap();
        assert_eq!((none.top_overlap_frac, none.top_heads), (None, 0));
        let other = HeadMatrix::new(5, 4, vec![0.0; 20]).unwrap();
        assert_eq!(Likeness::of(&rising, &other).unwrap_err().exit_code(), 1);
    }
}
