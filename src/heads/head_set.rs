//! [`HeadSet`]: some of a model's query heads.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Query heads, `(layer, head)`, ascending, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeadSet(BTreeSet<(usize, usize)>);

impl HeadSet {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.0.iter().copied()
    }

    /// Whether this head is one of them.
    pub fn contains(&self, layer: usize, head: usize) -> bool {
        self.0.contains(&(layer, head))
    }

    /// The lowest layer with one of them.
    pub fn first_layer(&self) -> Option<usize> {
        self.0.first().map(|(layer, _)| *layer)
    }

    /// Those of one layer, ascending.
    pub fn of_layer(&self, layer: usize) -> impl Iterator<Item = usize> + '_ {
        self.0.range((layer, 0)..(layer + 1, 0)).map(|(_, head)| *head)
    }
}

impl FromIterator<(usize, usize)> for HeadSet {
    fn from_iter<I: IntoIterator<Item = (usize, usize)>>(heads: I) -> Self {
        Self(heads.into_iter().collect())
    }
}

/// `18-6 20-6`, as head_score files name heads.
impl fmt::Display for HeadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (layer, head)) in self.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{layer}-{head}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_sorted_and_counted_once() {
        let set: HeadSet = [(2, 1), (0, 3), (2, 0), (0, 3)].into_iter().collect();
        assert_eq!((set.len(), set.to_string().as_str()), (3, "0-3 2-0 2-1"));
        assert_eq!(set.of_layer(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((set.of_layer(1).count(), set.first_layer()), (0, Some(0)));
        assert!(set.contains(0, 3) && !set.contains(3, 0));
        assert_eq!(serde_json::to_string(&set).unwrap(), "[[0,3],[2,0],[2,1]]");
        let none = HeadSet::default();
        assert_eq!((none.is_empty(), none.first_layer()), (true, None));
    }
}
