//! LongBench's scores of answers that are a number: which paragraph, how many paragraphs.
//!
//! A number is a run of digits (ASCII and full-width) and is compared as text: 012 is not 12, and
//! neither is １２. Every number of the answer counts, so that `paragraph 3 of 30` has one half.

/// How a gold paragraph is named.
const PARAGRAPH: &str = "Paragraph ";

/// The same in Chinese.
const PARAGRAPH_ZH: &str = "段落";

/// Share of the answer's numbers that are the number in `gold`, the first `Paragraph N`; 0 without
/// numbers, and if `gold` names no paragraph.
pub fn retrieval_score(answer: &str, gold: &str) -> f64 {
    paragraph(gold, PARAGRAPH).map_or(0.0, |number| count_score(answer, number))
}

/// As [`retrieval_score`], with `段落N` in `gold`.
pub fn retrieval_zh_score(answer: &str, gold: &str) -> f64 {
    paragraph(gold, PARAGRAPH_ZH).map_or(0.0, |number| count_score(answer, number))
}

/// Share of the answer's numbers that are `gold`; 0 without numbers.
pub fn count_score(answer: &str, gold: &str) -> f64 {
    let numbers: Vec<&str> = answer.split(|c| !is_digit(c)).filter(|n| !n.is_empty()).collect();
    match numbers.len() {
        0 => 0.0,
        n => numbers.iter().filter(|number| **number == gold).count() as f64 / n as f64,
    }
}

fn is_digit(c: char) -> bool {
    matches!(c, '0'..='9' | '０'..='９')
}

/// The number behind the first `name` in `gold` that a number follows.
fn paragraph<'a>(gold: &'a str, name: &str) -> Option<&'a str> {
    gold.match_indices(name).find_map(|(at, _)| {
        let rest = &gold[at + name.len()..];
        let end = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        Some(&rest[..end]).filter(|number| !number.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(retrieval_score("It is paragraph 3 of 30.", "Paragraph 3"), 0.5);
        assert_eq!(retrieval_score("3", "see Paragraph x, Paragraph 3, Paragraph 4"), 1.0);
        assert_eq!(retrieval_score("3", "paragraph 3"), 0.0); // gold without its name
        assert_eq!(retrieval_zh_score("段落3、4", "段落4"), 0.5);
        assert_eq!(count_score("1,024", "024"), 0.5); // two numbers, as text
        assert_eq!(count_score("１２", "12"), 0.0); // a number, but another text
        assert_eq!((count_score("", "1"), count_score("one", "1")), (0.0, 0.0));
    }
}
