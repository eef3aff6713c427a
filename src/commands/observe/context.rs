//! The text that the model reads: BOS, then the bundled essays or the beginning of a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::haystack::{Haystack, pieces};
use crate::system::text::utf8_text;
use crate::tokenizer::Tokenizer;

/// Of a file no more is read than this for each token wanted; far more than tokens have on average.
const BYTES_PER_TOKEN: usize = 256;

/// A file is encoded in pieces of about this size until there are tokens enough.
const PIECE_BYTES: usize = 16 * 1024;

/// Up to `most` token ids with BOS, where the tokenizer has one, in front, `[T]`: of `path`, from
/// its beginning, or of the bundled essays.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read, is not UTF-8 text, holds NUL or has no tokens.
pub fn context(tokenizer: &Tokenizer, path: Option<&Path>, most: usize) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> = tokenizer.bos().into_iter().collect();
    let bos = ids.len();
    let wanted = most.saturating_sub(bos);
    match path {
        None => {
            let haystack = Haystack::bundled()?.tokenise(tokenizer)?;
            ids.extend(haystack.take(0, wanted).0);
        }
        Some(path) => {
            let place = path.display().to_string();
            let bytes = beginning(path, wanted.saturating_mul(BYTES_PER_TOKEN))?;
            let text = utf8_text(&bytes, &place)?;
            for piece in pieces(&text, PIECE_BYTES) {
                // What stands before a later piece is a word; any will do.
                let anchor = if piece.start == 0 { "" } else { "." };
                ids.extend(tokenizer.encode_after(anchor, &text[piece])?.ids);
                if ids.len() >= most {
                    break;
                }
            }
            if text.trim().is_empty() || ids.len() == bos {
                return Err(Error::data("the context is empty")
                    .at(place)
                    .got(format!("{} bytes without a word", bytes.len()))
                    .expected("text"));
            }
        }
    }
    ids.truncate(most);
    Ok(ids)
}

/// The first `most` bytes of a file; where there are more, without the part of a character at their
/// end.
fn beginning(path: &Path, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(most as u64).read_to_end(&mut bytes))
        .map_err(|e| {
            Error::data("the context cannot be read")
                .at(path.display())
                .got(e)
                .expected("a file of UTF-8 text")
        })?;
    if read == most
        && let Err(e) = std::str::from_utf8(&bytes)
        && e.error_len().is_none()
    {
        bytes.truncate(e.valid_up_to());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embedded::needle_llama_tokenizer;
    use crate::model::planted;

    fn of_text(bytes: &[u8], most: usize) -> Result<Vec<u32>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, bytes).unwrap();
        context(&needle_llama_tokenizer().unwrap(), Some(&path), most)
    }

    #[test]
    fn a_context_begins_with_bos_and_ends_where_it_is_cut() {
        let tokenizer = needle_llama_tokenizer().unwrap();
        let text = "The harbour was quiet. ".repeat(5000);
        let ids = of_text(text.as_bytes(), 100).unwrap();
        assert_eq!(ids.len(), 100);
        let (bos, rest) = ids.split_at(usize::from(tokenizer.bos().is_some()));
        assert_eq!(bos.first().copied(), tokenizer.bos());
        assert!(text.starts_with(tokenizer.decode(&rest[..90]).unwrap().trim_start()));
        // Longer than a piece, and the same tokens.
        let long = of_text(text.as_bytes(), 9000).unwrap();
        assert!(long.len() == 9000 && long.starts_with(&ids));
        // Shorter than what is asked for.
        let all = [bos, &tokenizer.encode("Two words").unwrap()].concat();
        assert_eq!(of_text(b"\xef\xbb\xbfTwo words", 100).unwrap(), all);
        assert_eq!(context(&tokenizer, None, 64).unwrap().len(), 64);
    }

    #[test]
    fn a_text_without_a_space_is_no_more_work_than_another() {
        let ids = of_text(&b"x".repeat(4 << 20), 20).unwrap();
        assert!((2..=20).contains(&ids.len()), "{}", ids.len());
        // The cut falls into a character of two bytes.
        assert!(of_text(&[b"x", "é".repeat(9000).as_bytes()].concat(), 5).is_ok());
    }

    #[test]
    fn what_is_no_text_is_told() {
        for (bytes, says) in [
            (&b""[..], "0 bytes"),
            (b" \n\t ", "4 bytes"),
            (b"\xef\xbb\xbf", "without a word"),
            (b"abc\xff", "byte 3"),
            (b"ab\0c", "NUL"),
            // Half a character at the end of the file itself.
            (b"abc\xc3", "byte 3"),
        ] {
            let e = of_text(bytes, 100).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{bytes:?}");
            assert!(e.to_string().contains(says), "{bytes:?}: {e}");
        }
        let tokenizer = needle_llama_tokenizer().unwrap();
        for path in ["no/such/file", env!("CARGO_MANIFEST_DIR")] {
            let e = context(&tokenizer, Some(Path::new(path)), 100).unwrap_err();
            assert!(e.exit_code() == 3 && e.to_string().contains(path), "{e}");
        }
    }

    #[test]
    fn words_that_a_tokenizer_does_not_know_are_tokens_too() {
        let planted = planted::build(1).unwrap();
        let tokenizer =
            Tokenizer::from_bytes(planted.tokenizer_json.as_bytes(), "planted").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "unheard of").unwrap();
        let ids = context(&tokenizer, Some(&path), 100).unwrap();
        assert_eq!(ids, [planted::BOS, 0, 0]);
    }
}
