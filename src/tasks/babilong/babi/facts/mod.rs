//! Facts in running text: bAbI's sentences between the sentences of a book, as BABILong has them,
//! and which of them an answer follows from.
//!
//! Published rows say neither where the facts are nor which are the supporting ones. Both follow
//! from the text: bAbI has few forms of sentences, and the rules by which its answers follow from
//! them are those of the world that tells our own stories.

mod parse;
mod supporting;

use std::ops::Range;

pub use supporting::supporting;

use super::words::person;

/// The byte ranges of the sentences in `context` that have one of the forms of qa1 to qa10, with
/// their full stops; in order, without overlaps.
///
/// A form is bAbI's names, verbs, places and objects in their order, so prose is taken for a fact
/// only where it says of one of bAbI's people that they do one of bAbI's things. White space
/// inside a sentence may be line breaks. What comes before it may be anything but a letter or a
/// digit: BABILong cuts its prose to length inside a sentence, with facts to follow.
pub fn find_facts(context: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut before = ' ';
    for (start, letter) in context.char_indices() {
        let new_word = letter.is_alphanumeric() && !before.is_alphanumeric();
        before = letter;
        if !new_word || found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let word = context[start..].split_whitespace().next().unwrap_or_default();
        if word != "The" && person(word).is_none() {
            continue;
        }
        let Some(length) = context[start..].find('.') else { break };
        if parse::fact(&context[start..start + length]).is_some() {
            found.push(start..start + length + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests;
