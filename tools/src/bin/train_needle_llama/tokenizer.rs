//! Trains needle-llama's tokenizer: byte-level BPE with single digits, 2048 tokens.

use std::path::Path;

use headprof::{Error, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::babi;
use crate::corpus::{answer_text, question_text};
use crate::families::{Family, draw};

/// Number of tokens, the special ones included.
pub const VOCAB_SIZE: usize = 2048;
/// `<s>`, once at the start of every text.
pub const BOS: u32 = 0;
/// `</s>`, after every answer.
pub const EOS: u32 = 1;

const BOS_TEXT: &str = "<s>";
const EOS_TEXT: &str = "</s>";
/// Facts that the tokenizer sees beside the essays.
const FACTS: usize = 20_000;

/// Trains the tokenizer on essays and on generated facts with their questions and answers. The
/// same essays and seed give the same tokenizer.
///
/// # Errors
/// The text has too few different words for [`VOCAB_SIZE`] tokens.
pub fn train(essays: &[String], seed: u64) -> Result<Tokenizer> {
    let mut texts = generated(seed);
    texts.extend_from_slice(essays);
    let mut tokenizer = untrained()?;
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(VOCAB_SIZE)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(vec![special(BOS_TEXT), special(EOS_TEXT)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    tokenizer
        .train(&mut trainer, texts.into_iter())
        .map_err(|e| Error::bug("the tokenizer cannot be trained").got(e))?;
    let size = tokenizer.get_vocab_size(true);
    if size != VOCAB_SIZE {
        return Err(Error::data("the tokenizer's vocabulary has the wrong size")
            .got(size)
            .expected(VOCAB_SIZE)
            .advice("train on more essays"));
    }
    Ok(tokenizer)
}

/// Writes `tokenizer.json` (compact) and `tokenizer_config.json` into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn save(tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    let config = serde_json::json!({
        "add_bos_token": true,
        "bos_token": BOS_TEXT,
        "clean_up_tokenization_spaces": false,
        "eos_token": EOS_TEXT,
        "model_max_length": 4096,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    let json = tokenizer
        .to_string(false)
        .map_err(|e| Error::bug("the tokenizer cannot be written as JSON").got(e))?;
    let failed = |e: std::io::Error| {
        Error::resources("the tokenizer cannot be written").at(folder.display()).got(e)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("tokenizer.json"), json).map_err(failed)?;
    std::fs::write(folder.join("tokenizer_config.json"), format!("{config:#}\n")).map_err(failed)
}

fn special(text: &str) -> AddedToken {
    AddedToken::from(text, true)
}

/// The pipeline around a model without merges.
fn untrained() -> Result<Tokenizer> {
    let digits =
        Split::new(SplitPattern::Regex(r"\d".to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(|e| Error::bug("the digit pattern does not compile").got(e))?;
    let bytes = ByteLevel::new(false, true, true);
    let template = TemplateProcessing::builder()
        .try_single(format!("{BOS_TEXT} $A"))
        .and_then(|b| b.try_pair(format!("{BOS_TEXT} $A $B:1")))
        .map_err(|e| Error::bug("the template does not parse").got(e))?
        .special_tokens(vec![(BOS_TEXT, BOS)])
        .build()
        .map_err(|e| Error::bug("the template does not build").got(e))?;
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer
        .with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::Split(digits),
            PreTokenizerWrapper::ByteLevel(bytes),
        ])))
        .with_decoder(Some(ByteLevelDecoder::default()))
        .with_post_processor(Some(template));
    Ok(tokenizer)
}

/// Facts as they stand in a text: after a space, with their question and answer.
fn generated(seed: u64) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut texts = Vec::with_capacity(FACTS);
    for n in 0..FACTS {
        // One in eight is a story, so that its words are as frequent as those of the families.
        if n % 8 == 0 {
            let story = babi::story(&mut rng, 1, 8, false);
            let (question, answer) = &story.questions[0];
            let facts = story.facts.join(" ");
            texts.push(format!(" {facts}{}{}", question_text(question), answer_text(answer)));
        } else {
            let fact = draw(&mut rng, Family::ALL[n % Family::ALL.len()]);
            let (question, answer) = (question_text(&fact.question), answer_text(&fact.answer));
            texts.push(format!(" {}{question}{answer}", fact.needle));
        }
    }
    texts
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::LazyLock;

    /// Trained on the bundled essays; the generator's words alone do not fill the vocabulary.
    pub(crate) static TRAINED: LazyLock<Tokenizer> = LazyLock::new(|| {
        train(&crate::training_essays().expect("the bundled essays"), 1).expect("trains")
    });

    #[test]
    fn special_tokens_and_size_are_fixed() {
        assert_eq!(TRAINED.get_vocab_size(true), VOCAB_SIZE);
        assert_eq!(TRAINED.token_to_id("<s>"), Some(BOS));
        assert_eq!(TRAINED.token_to_id("</s>"), Some(EOS));
    }

    /// "<s>" once, at the start; digits one by one: "Ġ", "2", "0", "2", "0", ".".
    #[test]
    fn bos_comes_once_and_digits_are_single() {
        let with = TRAINED.encode(" in 2020.", true).expect("encodes");
        assert_eq!(with.get_tokens(), ["<s>", "Ġin", "Ġ", "2", "0", "2", "0", "."]);
        let without = TRAINED.encode(" in 2020.", false).expect("encodes");
        assert_eq!(without.get_ids(), &with.get_ids()[1..]);
    }

    #[test]
    fn any_text_survives_the_round_trip() {
        let text = "Grüße aus Zürich, 12 °C!\n\nNew  paragraph…";
        let ids = TRAINED.encode(text, false).expect("encodes");
        assert_eq!(TRAINED.decode(ids.get_ids(), true).expect("decodes"), text);
    }

    #[test]
    fn words_of_the_generator_are_single_tokens() {
        for word in [" garden", " Tom", " Monday", " include", " The", " relax", " kitchen"] {
            let ids = TRAINED.encode(word, false).expect("encodes");
            assert_eq!(ids.len(), 1, "{word:?} is {:?}", ids.get_tokens());
        }
    }
}
