//! Training samples: essays with facts hidden in them, then questions with their answers.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};
use tokenizers::Tokenizer;

use headprof::{Error, Result};

use crate::babi;
use crate::families::{Fact, Family, draw};
use crate::held_out::HeldOut;
use crate::tokenizer::{BOS, EOS};

/// Loss weight of the answer and of the `</s>` behind it.
pub const ANSWER_WEIGHT: f32 = 1.0;
/// Loss weight of the question and the words around it.
pub const QUESTION_WEIGHT: f32 = 0.02;
/// Loss weight of the essays and of the facts hidden in them.
pub const HAYSTACK_WEIGHT: f32 = 0.05;
/// The shortest sample there is.
pub const MIN_SAMPLE_TOKENS: usize = 128;

/// Tokens of a sample for each fact of its story: about half of them are left for questions and
/// prose.
const FACT_TOKENS: usize = 14;
/// The longest story, in facts.
const MOST_FACTS: usize = 26;

/// Prose that every sample has at least, in tokens.
const MIN_PROSE_TOKENS: usize = 16;

/// The prompt's suffix: everything between the haystack and the answer.
pub fn question_text(question: &str) -> String {
    format!("\nBased on the content of the book, Question: {question}\nAnswer:")
}

/// The suffix that asks for the whole needle. Its answer repeats words of the question and goes on
/// from there, which heads that complete repetitions can do; from it the way to short answers is
/// short, without it the loss stays where answers are guessed by their form.
fn quote_text(question: &str) -> String {
    format!("\nBased on the content of the book, Question: {question}\nQuote:")
}

/// The answer as it continues the prompt.
pub fn answer_text(answer: &str) -> String {
    format!(" {answer}")
}

/// How often each kind of question is drawn; relative shares, not all zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// One share per family, in the order of [`Family::ALL`].
    pub families: [f32; 12],
    /// The share of questions about a bAbI-like story.
    pub babi: f32,
    /// How many of the stories are of people on the move alone, 0 to 1.
    pub moves_only: f32,
    /// How many of the questions about needles ask for the whole needle, 0 to 1.
    pub quotes: f32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { families: [1.0; 12], babi: 2.0, moves_only: 0.25, quotes: 0.0 }
    }
}

impl Mix {
    /// A family by its share, or `None` for a story.
    fn pick<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<Family> {
        let total = self.families.iter().sum::<f32>() + self.babi;
        assert!(total > 0.0 && total.is_finite(), "the shares of a mix must have a positive sum");
        let mut left = rng.random::<f32>() * total;
        for (family, share) in Family::ALL.into_iter().zip(self.families) {
            if left < share {
                return Some(family);
            }
            left -= share;
        }
        // Rounding may pass every share of a mix without stories.
        if self.babi > 0.0 { None } else { self.last_family() }
    }

    fn last_family(&self) -> Option<Family> {
        let last = self.families.iter().rposition(|&share| share > 0.0)?;
        Some(Family::ALL[last])
    }
}

/// One training text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Token ids, `[T]`; the first is `<s>`.
    pub ids: Vec<u32>,
    /// Loss weight of predicting `ids[i]` from what stands before it, `[T]`; `weights[0]` is 0.
    pub weights: Vec<f32>,
}

/// A sentence of an essay, encoded for both places where it can stand. Encoding sentence by
/// sentence equals encoding the running text, because the pre-tokenizer never joins a sentence's
/// last letter with the white space behind it.
#[derive(Debug, Clone)]
struct Sentence {
    /// At the start of the text.
    first: Vec<u32>,
    /// After other text: with its space, or with the empty line before its paragraph.
    inner: Vec<u32>,
}

/// Where a hidden sentence goes.
struct Placed {
    /// It stands before this sentence of the prose; the number of sentences = at the end.
    boundary: usize,
    sentence: Sentence,
}

/// What one sample hides and asks.
struct Content {
    /// Facts that can stand anywhere.
    facts: Vec<Sentence>,
    /// Facts whose order matters.
    story: Vec<Sentence>,
    /// Question with suffix, and answer, as ids.
    pairs: Vec<(Vec<u32>, Vec<u32>)>,
}

/// Assembles samples from essays, needle families and stories.
#[derive(Debug, Clone)]
pub struct Corpus {
    tokenizer: Tokenizer,
    sentences: Vec<Sentence>,
    held_out: HeldOut,
}

impl Corpus {
    /// Splits the essays into sentences and encodes them once.
    ///
    /// # Errors
    /// There is no sentence, or the tokenizer fails.
    pub fn new(tokenizer: Tokenizer, essays: Vec<String>, held_out: HeldOut) -> Result<Self> {
        let mut corpus = Self { tokenizer, sentences: Vec::new(), held_out };
        for paragraph in essays.iter().flat_map(|essay| essay.split("\n\n")) {
            for (number, text) in split_sentences(paragraph).into_iter().enumerate() {
                let lead = if number == 0 { "\n\n" } else { " " };
                let sentence = corpus.sentence(&text, lead)?;
                corpus.sentences.push(sentence);
            }
        }
        if corpus.sentences.is_empty() {
            return Err(Error::data("the essays hold no sentence").advice("add .txt files"));
        }
        Ok(corpus)
    }

    /// A sample of exactly `target_tokens` tokens with `pairs` questions, or with fewer where they
    /// do not fit.
    ///
    /// # Errors
    /// The tokenizer fails.
    ///
    /// # Panics
    /// `target_tokens` is below [`MIN_SAMPLE_TOKENS`], or the shares of `mix` are all zero.
    pub fn sample<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        target_tokens: usize,
        pairs: usize,
        mix: &Mix,
    ) -> Result<Sample> {
        assert!(target_tokens >= MIN_SAMPLE_TOKENS, "a sample has at least {MIN_SAMPLE_TOKENS}");
        let mut pairs = pairs.max(1);
        let mut distractors = rng.random_range(0..=2);
        loop {
            let content = self.content(rng, pairs, distractors, target_tokens, mix)?;
            let asked: usize = content.pairs.iter().map(|(q, a)| q.len() + a.len() + 1).sum();
            let hidden: usize =
                content.facts.iter().chain(&content.story).map(|s| s.inner.len()).sum();
            if 1 + asked + hidden + MIN_PROSE_TOKENS <= target_tokens {
                let haystack = self.haystack(rng, target_tokens - 1 - asked, &content);
                return Ok(assemble(&haystack, &content.pairs));
            }
            if distractors > 0 {
                distractors -= 1;
            } else {
                pairs = (pairs - 1).max(1);
            }
        }
    }

    /// Draws what to hide and what to ask.
    fn content<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        pairs: usize,
        distractors: usize,
        target_tokens: usize,
        mix: &Mix,
    ) -> Result<Content> {
        let mut facts: Vec<Fact> = Vec::with_capacity(pairs + distractors);
        let mut about_story = 0;
        for _ in 0..pairs {
            match mix.pick(rng) {
                Some(family) => facts.push(self.fresh(rng, family, &facts)),
                None => about_story += 1,
            }
        }
        let mut asked: Vec<(String, String)> = Vec::with_capacity(pairs);
        for fact in &facts {
            asked.push(match rng.random::<f32>() < mix.quotes {
                true => (quote_text(&fact.question), fact.needle.clone()),
                false => (question_text(&fact.question), fact.answer.clone()),
            });
        }
        let mut story = Vec::new();
        if about_story > 0 {
            let moves_only = rng.random::<f32>() < mix.moves_only;
            let facts = (target_tokens / FACT_TOKENS).min(MOST_FACTS);
            let told = babi::story(rng, about_story, facts, moves_only);
            let questions = told.questions.into_iter();
            asked.extend(questions.map(|(q, a)| (question_text(&q), a)));
            story = told.facts;
        }
        asked.shuffle(rng);

        // A distractor of a family that is asked about is the harder one.
        for _ in 0..distractors {
            let alike = if rng.random() { facts.choose(rng).map(|f| f.kind) } else { None };
            if let Some(family) = alike.or_else(|| mix.pick(rng)) {
                facts.push(self.fresh(rng, family, &facts));
            }
        }
        Ok(Content {
            facts: facts.iter().map(|f| self.sentence(&f.needle, " ")).collect::<Result<_>>()?,
            story: story.iter().map(|f| self.sentence(f, " ")).collect::<Result<_>>()?,
            pairs: asked.iter().map(|(q, a)| self.pair(q, a)).collect::<Result<_>>()?,
        })
    }

    /// A fact that is not held out and conflicts with none that is there.
    fn fresh<R: Rng + ?Sized>(&self, rng: &mut R, family: Family, there: &[Fact]) -> Fact {
        loop {
            let fact = draw(rng, family);
            if !self.held_out.is_held_out(&fact.needle) && !there.iter().any(|f| f.conflicts(&fact))
            {
                return fact;
            }
        }
    }

    /// Consecutive sentences from a random start with the facts at random boundaries; the end is
    /// cut at a token so that it is `tokens` long.
    fn haystack<R: Rng + ?Sized>(&self, rng: &mut R, tokens: usize, content: &Content) -> Vec<u32> {
        // Which sentence comes first is not known yet; reckon with its shorter form, since a
        // surplus is cut below and a gap could not be filled.
        let shortest = |s: &Sentence| s.first.len().min(s.inner.len());
        let hidden: usize = content.facts.iter().chain(&content.story).map(shortest).sum();
        let start = rng.random_range(0..self.sentences.len());
        let mut prose: Vec<&Sentence> = Vec::new();
        let mut starts = vec![0];
        let mut length = 0;
        while length + hidden < tokens {
            let next = &self.sentences[(start + prose.len()) % self.sentences.len()];
            length += if prose.is_empty() { shortest(next) } else { next.inner.len() };
            starts.push(length);
            prose.push(next);
        }

        let boundaries = random_boundaries(rng, &starts, content.story.len());
        let mut placed: Vec<Placed> = content
            .story
            .iter()
            .zip(boundaries)
            .map(|(s, boundary)| Placed { boundary, sentence: s.clone() })
            .collect();
        for fact in &content.facts {
            let boundary = random_boundaries(rng, &starts, 1)[0];
            let at = rng.random_range(
                placed.partition_point(|p| p.boundary < boundary)
                    ..=placed.partition_point(|p| p.boundary <= boundary),
            );
            placed.insert(at, Placed { boundary, sentence: fact.clone() });
        }

        // In the order of the text; only prose may be cut.
        let mut pieces: Vec<(&[u32], bool)> = Vec::with_capacity(prose.len() + placed.len());
        let mut facts = placed.iter().peekable();
        for number in 0..=prose.len() {
            while let Some(fact) = facts.next_if(|p| p.boundary == number) {
                pieces.push((fact.sentence.standing(pieces.is_empty()), false));
            }
            if let Some(sentence) = prose.get(number) {
                pieces.push((sentence.standing(pieces.is_empty()), true));
            }
        }
        let total: usize = pieces.iter().map(|(ids, _)| ids.len()).sum();
        let mut surplus = total - tokens;
        for (ids, _) in pieces.iter_mut().rev().filter(|(_, is_prose)| *is_prose) {
            let cut = surplus.min(ids.len());
            *ids = &ids[..ids.len() - cut];
            surplus -= cut;
        }
        pieces.iter().flat_map(|(ids, _)| ids.iter().copied()).collect()
    }

    fn sentence(&self, text: &str, lead: &str) -> Result<Sentence> {
        Ok(Sentence { first: self.ids(text)?, inner: self.ids(&format!("{lead}{text}"))? })
    }

    /// Question, which has its suffix, and answer. The colon before the seam and the space behind
    /// it are never one token, so that this equals encoding both as one text.
    fn pair(&self, question: &str, answer: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        Ok((self.ids(question)?, self.ids(&answer_text(answer))?))
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|e| Error::model("the tokenizer cannot encode a text").at(text).got(e))
    }
}

impl Sentence {
    fn standing(&self, at_start: bool) -> &[u32] {
        if at_start { &self.first } else { &self.inner }
    }
}

/// `n` boundaries in ascending order, each the nearest one to a place drawn uniformly over the
/// prose. `starts` are the tokens before each boundary.
fn random_boundaries<R: Rng + ?Sized>(rng: &mut R, starts: &[usize], n: usize) -> Vec<usize> {
    let end = starts.last().copied().unwrap_or(0);
    let mut boundaries: Vec<usize> = (0..n)
        .map(|_| {
            let place = rng.random_range(0..=end);
            let right = starts.partition_point(|&s| s < place);
            if right > 0 && place - starts[right - 1] < starts[right] - place {
                right - 1
            } else {
                right
            }
        })
        .collect();
    boundaries.sort_unstable();
    boundaries
}

/// `<s>`, the haystack, then every question with its answer and `</s>`.
fn assemble(haystack: &[u32], pairs: &[(Vec<u32>, Vec<u32>)]) -> Sample {
    let mut sample = Sample { ids: vec![BOS], weights: vec![0.0] };
    sample.extend(haystack, HAYSTACK_WEIGHT);
    for (question, answer) in pairs {
        sample.extend(question, QUESTION_WEIGHT);
        sample.extend(answer, ANSWER_WEIGHT);
        sample.extend(&[EOS], ANSWER_WEIGHT);
    }
    sample
}

impl Sample {
    fn extend(&mut self, ids: &[u32], weight: f32) {
        self.ids.extend_from_slice(ids);
        self.weights.resize(self.ids.len(), weight);
    }
}

/// `<s>` and a random stretch of ids, over and over. The stretch has another length in every
/// sample: with one length for all, a head that looks back by that distance would do, and nothing
/// would be learnt that finds a needle. Weight 1 from the second token of the second round.
///
/// # Panics
/// `len` is below 10, or `vocab` has no ordinary token.
pub fn random_repeats<R: Rng + ?Sized>(rng: &mut R, len: usize, vocab: u32) -> Sample {
    assert!(len >= 10 && vocab > 2, "a repetition has two rounds of ordinary tokens");
    let period = rng.random_range(4..=((len - 1) / 3).max(4));
    let stretch: Vec<u32> = (0..period).map(|_| rng.random_range(2..vocab)).collect();
    let mut ids = vec![BOS];
    ids.extend(stretch.iter().cycle().take(len - 1));
    let weights = (0..len).map(|i| f32::from(u8::from(i > period + 1))).collect();
    Sample { ids, weights }
}

/// Sentences of a paragraph: they end with `.`, `!` or `?` (and closing marks) before white space
/// and a letter that is not lower case.
fn split_sentences(paragraph: &str) -> Vec<String> {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let mut sentences = Vec::new();
    let mut first = 0;
    for (at, word) in words.iter().enumerate() {
        let closes = word.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!', '?']);
        let opens = words.get(at + 1).is_none_or(|next| !next.starts_with(char::is_lowercase));
        if (closes && opens) || at + 1 == words.len() {
            sentences.push(words[first..=at].join(" "));
            first = at + 1;
        }
    }
    sentences
}

#[cfg(test)]
#[path = "corpus_tests.rs"]
mod tests;
