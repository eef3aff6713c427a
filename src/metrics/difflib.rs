//! Characters that two texts have in common, as Python's `difflib.SequenceMatcher` counts them.
//!
//! J. W. Ratcliff and D. Metzener, "Pattern Matching: The Gestalt Approach", Dr. Dobb's Journal,
//! July 1988: the longest common block, then the same left and right of it. Python adds a rule for
//! long texts ("autojunk"): in a second text of 200 characters or more, a character that makes up
//! more than 1 % of it does not start a block.

use std::collections::HashMap;

/// From this many characters on, frequent ones do not count.
const AUTOJUNK_CHARS: usize = 200;

/// A common block: `a[in_a..in_a + chars] == b[in_b..in_b + chars]`.
#[derive(Clone, Copy)]
struct Block {
    in_a: usize,
    in_b: usize,
    chars: usize,
}

/// Characters in all common blocks of `a` and `b`; which is which can make a difference.
pub(super) fn matching_chars(a: &[char], b: &[char]) -> usize {
    let places = places(b);
    let mut open = vec![(0..a.len(), 0..b.len())];
    let mut matching = 0;
    while let Some((in_a, in_b)) = open.pop() {
        let block = longest_block(a, b, &places, in_a.clone(), in_b.clone());
        if block.chars == 0 {
            continue;
        }
        matching += block.chars;
        open.push((in_a.start..block.in_a, in_b.start..block.in_b));
        open.push((block.in_a + block.chars..in_a.end, block.in_b + block.chars..in_b.end));
    }
    matching
}

/// Where each character of `b` stands, ascending; without the frequent ones of a long text.
fn places(b: &[char]) -> HashMap<char, Vec<usize>> {
    let mut places = HashMap::<char, Vec<usize>>::new();
    b.iter().enumerate().for_each(|(j, c)| places.entry(*c).or_default().push(j));
    if b.len() >= AUTOJUNK_CHARS {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

/// The longest common block in a part of both texts; of several, the first in `a`, then in `b`.
/// Blocks start at characters in `places` and grow over all others that are equal. Without any
/// block, equal characters at the start of both parts are one: Python's way, which tries to grow a
/// block of nothing that stands there.
fn longest_block(
    a: &[char],
    b: &[char],
    places: &HashMap<char, Vec<usize>>,
    in_a: std::ops::Range<usize>,
    in_b: std::ops::Range<usize>,
) -> Block {
    let mut best = Block { in_a: in_a.start, in_b: in_b.start, chars: 0 };
    // lengths[j]: characters of the block that ends at the last a and b[j].
    let mut lengths = HashMap::<usize, usize>::new();
    for i in in_a.clone() {
        let mut next = HashMap::new();
        let all = places.get(&a[i]).map_or(&[][..], Vec::as_slice);
        for &j in all.iter().filter(|j| in_b.contains(j)) {
            let before = j.checked_sub(1).and_then(|j| lengths.get(&j)).copied().unwrap_or(0);
            next.insert(j, before + 1);
            if before + 1 > best.chars {
                best = Block { in_a: i - before, in_b: j - before, chars: before + 1 };
            }
        }
        lengths = next;
    }
    while best.in_a > in_a.start && best.in_b > in_b.start && a[best.in_a - 1] == b[best.in_b - 1] {
        best = Block { in_a: best.in_a - 1, in_b: best.in_b - 1, chars: best.chars + 1 };
    }
    while best.in_a + best.chars < in_a.end
        && best.in_b + best.chars < in_b.end
        && a[best.in_a + best.chars] == b[best.in_b + best.chars]
    {
        best.chars += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(a: &str, b: &str) -> usize {
        matching_chars(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn by_hand() {
        // bcd is the longest block; left of it a and nothing, right of it nothing and a.
        assert_eq!(matching("abcd", "bcda"), 3);
        // xab and yab: ab, left of it nothing; right: c and c.
        assert_eq!(matching("xabzc", "yabc"), 3);
        assert_eq!(matching("", "a"), 0);
        assert_eq!(matching("ab", "cd"), 0);
    }

    #[test]
    fn frequent_characters_of_a_long_text_start_no_block() {
        // 199 characters: all count. 200: "a" makes up all of b, so that only a common start does.
        let a = |n: usize| "a".repeat(n);
        assert_eq!(matching(&format!("x{}", a(198)), &a(199)), 198);
        assert_eq!(matching(&format!("x{}", a(199)), &a(200)), 0);
        assert_eq!(matching(&format!("{}x", a(199)), &a(200)), 199);
        // The rule is about b alone.
        assert_eq!(matching(&a(200), &a(150)), 150);
    }
}
