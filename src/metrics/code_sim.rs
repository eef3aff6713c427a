//! LongBench's similarity of code: the first line of an answer that is code, and the gold line.
//!
//! The reference calls `fuzzywuzzy`, whose result depends on what is installed beside it: with
//! `python-Levenshtein` the ratio is that of the longest common subsequence, without it that of
//! Python's `difflib`, which gives two similar lines of 200 characters 0. Published numbers do not
//! say which. The first is the default here ([`Similarity::Levenshtein`]).

use super::difflib;

/// How two lines are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Similarity {
    /// `2 LCS / (n + m)`: what `python-Levenshtein` computes. Its later versions subtract a share
    /// from 1 instead, whose rounding gives some exact halves of a percent one percent more.
    #[default]
    Levenshtein,
    /// Ratcliff and Obershelp with the rule about frequent characters, as Python's `difflib`.
    Difflib,
}

impl Similarity {
    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Levenshtein => "levenshtein",
            Self::Difflib => "difflib",
        }
    }
}

/// [`ratio`] of the answer's first line of code and `gold`, 0 to 1. A line with a backtick, `#` or
/// `//` in it is no code; without a line of code the ratio is that of an empty line.
pub fn code_sim_score(answer: &str, gold: &str, similarity: Similarity) -> f64 {
    let is_code = |line: &&str| !line.contains(['`', '#']) && !line.contains("//");
    let line = answer.trim_start_matches('\n').split('\n').find(is_code).unwrap_or("");
    f64::from(ratio(line, gold, similarity)) / 100.0
}

/// How similar two lines are, 0 to 100, rounded half to even. Equal lines have 100, and two of
/// which one alone is empty have 0.
pub fn ratio(a: &str, b: &str, similarity: Similarity) -> u32 {
    if a == b {
        return 100;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let matches = match similarity {
        Similarity::Levenshtein => common_subsequence(&a, &b),
        Similarity::Difflib => difflib::matching_chars(&a, &b),
    };
    let ratio = 2.0 * matches as f64 / (a.len() + b.len()) as f64;
    (100.0 * ratio).round_ties_even() as u32
}

/// Length of the longest common subsequence; time `O(|a| |b|)`, memory `O(|b|)`.
fn common_subsequence(a: &[char], b: &[char]) -> usize {
    let mut best = vec![0; b.len() + 1];
    for c in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = best[j + 1];
            best[j + 1] = if c == other { diagonal + 1 } else { above.max(best[j]) };
            diagonal = above;
        }
    }
    best[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // kitten, sitting: i t t n are common, 2 * 4 / 13 = 0.615.
        assert_eq!(ratio("kitten", "sitting", Similarity::Levenshtein), 62);
        // 2 * 1 / 16 = 0.125: 12.5 goes to the even 12.
        assert_eq!(ratio("x234567", "xabcdefgh", Similarity::Levenshtein), 12);
        for similarity in [Similarity::Levenshtein, Similarity::Difflib] {
            assert_eq!(ratio("", "", similarity), 100);
            assert_eq!(ratio("", "x", similarity), 0);
            assert_eq!(ratio("x", "", similarity), 0);
            assert_eq!(ratio("é", "é", similarity), 100);
        }
    }

    #[test]
    fn the_first_line_of_code_counts() {
        let answer = "\n\n```\n# no\na // no\nlet a = 1;\nlet b = 2;";
        assert_eq!(code_sim_score(answer, "let a = 1;", Similarity::default()), 1.0);
        // An empty line is code: only those at the start are passed over.
        assert_eq!(code_sim_score("#\n\nx", "x", Similarity::default()), 0.0);
        assert_eq!(code_sim_score("# only", "x", Similarity::default()), 0.0);
    }

    #[test]
    fn the_two_ratios_differ() {
        // abcd, bcda: both have 3 in common. ab ab against ba ba: a subsequence may be scattered,
        // a block may not.
        assert_eq!(ratio("abcd", "bcda", Similarity::Levenshtein), 75);
        assert_eq!(ratio("abcd", "bcda", Similarity::Difflib), 75);
        let (a, b) = ("abcdefghabcdefghabcdefgh", "hgfedcbahgfedcbahgfedcba");
        assert!(
            ratio(a, b, Similarity::Difflib) < ratio(a, b, Similarity::Levenshtein),
            "blocks cannot have more than the longest subsequence"
        );
    }
}
