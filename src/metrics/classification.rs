//! LongBench's score of a classification: which class names an answer mentions.

/// `1 / |E|` if `gold` is in `E`, 0 otherwise; `E` has the names among `classes` that `answer`
/// mentions (anywhere, case counts), without those that are a part of `gold` and not `gold`.
///
/// The reference removes from the list that it walks through, so that the name behind a removed one
/// is never looked at and stays even where it is a part of `gold`; all published numbers were made
/// like that, and so are these.
pub fn classification_score(answer: &str, gold: &str, classes: &[String]) -> f64 {
    let mut mentioned: Vec<&str> =
        classes.iter().map(String::as_str).filter(|class| answer.contains(class)).collect();
    let mut at = 0;
    while at < mentioned.len() {
        let name = mentioned[at];
        if gold.contains(name) && name != gold {
            // The first of that name goes, as in the reference; the next one moves to its place
            // and is passed over.
            let first = mentioned.iter().position(|other| *other == name).unwrap_or(at);
            mentioned.remove(first);
        }
        at += 1;
    }
    match mentioned.contains(&gold) {
        true => 1.0 / mentioned.len() as f64,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(answer: &str, gold: &str, classes: &[&str]) -> f64 {
        let classes: Vec<String> = classes.iter().map(|c| (*c).to_owned()).collect();
        classification_score(answer, gold, &classes)
    }

    #[test]
    fn by_hand() {
        let classes = ["city", "state", "city hall"];
        assert_eq!(score("a city and a state", "city", &classes), 0.5);
        // "city" is a part of the gold name and drops out.
        assert_eq!(score("the city hall", "city hall", &classes), 1.0);
        assert_eq!(score("state", "city", &classes), 0.0);
        assert_eq!(score("City", "city", &classes), 0.0); // case counts
        assert_eq!(score("", "city", &classes), 0.0);
    }

    #[test]
    fn the_name_behind_a_removed_one_is_passed_over() {
        // E = a, ab, abc: a goes, ab is passed over, abc is gold: 1 of 2 and not 1 of 1.
        assert_eq!(score("abc", "abc", &["a", "ab", "abc"]), 0.5);
        // With another name between them both go.
        assert_eq!(score("abc x", "abc", &["a", "x", "ab", "abc"]), 0.5);
    }
}
