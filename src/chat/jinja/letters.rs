//! Letters and digits, large and small, as Python tells them apart.

use super::fault::{Fault, Outcome};
use super::text::{is_printable, is_space};
use super::value::Value;

/// `own.upper()` and its like.
///
/// # Errors
/// For letters whose other forms Rust does not know.
pub fn cased(own: &str, name: &str) -> Outcome<Value> {
    let text = match name {
        "upper" => own.to_uppercase(),
        "lower" => own.to_lowercase(),
        // Only ASCII, where folding is the same as lowering.
        "casefold" if own.is_ascii() => own.to_lowercase(),
        "casefold" => return Err(Fault::unsupported("casefold of letters beyond ASCII")),
        "capitalize" => capitalized(own)?,
        "swapcase" => {
            let swap = |c: char| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => c.to_uppercase().collect(),
            };
            own.chars().map(swap).collect()
        }
        _ => {
            // A letter behind a letter is small, any other is large.
            let mut behind_letter = false;
            let mut text = String::new();
            for c in own.chars() {
                match behind_letter {
                    true => text.extend(c.to_lowercase()),
                    false => text.push_str(&title_case(c)?),
                }
                behind_letter = c.is_lowercase() || c.is_uppercase();
            }
            text
        }
    };
    Ok(Value::str(text))
}

/// The first letter large, all others small.
///
/// # Errors
/// As [`title_case`].
pub fn capitalized(own: &str) -> Outcome<String> {
    let mut chars = own.chars();
    let first = chars.next().map_or(Ok(String::new()), title_case)?;
    Ok(first + &chars.as_str().to_lowercase())
}

/// A letter as words begin with it, which for some is another than the large one.
///
/// # Errors
/// For letters of which Rust does not know it.
fn title_case(c: char) -> Outcome<String> {
    Ok(match c {
        '\u{1c4}'..='\u{1c6}' => "\u{1c5}".to_owned(),
        '\u{1c7}'..='\u{1c9}' => "\u{1c8}".to_owned(),
        '\u{1ca}'..='\u{1cc}' => "\u{1cb}".to_owned(),
        '\u{1f1}'..='\u{1f3}' => "\u{1f2}".to_owned(),
        // Georgian letters begin no word with a large one.
        '\u{10d0}'..='\u{10ff}' => c.to_string(),
        '\u{149}' | '\u{1f80}'..='\u{1fff}' => {
            return Err(Fault::unsupported(format!("a word that begins with {c:?}")));
        }
        _ => {
            let mut large = c.to_uppercase();
            let first: String = large.next().into_iter().collect();
            first + &large.flat_map(char::to_lowercase).collect::<String>()
        }
    })
}

/// Whether Python takes a character for a letter.
///
/// # Errors
/// For characters that Rust counts otherwise, or may.
pub fn is_letter(c: char) -> Outcome<bool> {
    match c {
        c if c.is_ascii() => Ok(c.is_ascii_alphabetic()),
        'ª' | 'º' => Ok(true),
        c if c.is_lowercase() || c.is_uppercase() => {
            match c.is_numeric() || c > '\u{24b5}' && c < '\u{24ea}' {
                true => Err(Fault::unsupported(format!("whether {c:?} is a letter"))),
                false => Ok(true),
            }
        }
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}' => Ok(true),
        '\u{ac00}'..='\u{d7a3}' => Ok(true),
        c if !c.is_alphanumeric() => Ok(false),
        c => Err(Fault::unsupported(format!("whether {c:?} is a letter"))),
    }
}

/// `own.isalpha()` and its like.
///
/// # Errors
/// For characters that Rust counts otherwise, or may.
pub fn is(own: &str, name: &str) -> Outcome<bool> {
    let has_case = |c: char| c.is_lowercase() || c.is_uppercase();
    let all = |test: fn(char) -> bool| !own.is_empty() && own.chars().all(test);
    let letters = || own.chars().map(is_letter).collect::<Outcome<Vec<bool>>>();
    Ok(match name {
        "isascii" => own.is_ascii(),
        "isspace" => all(is_space),
        "isprintable" => own.chars().all(is_printable),
        "islower" => own.chars().any(has_case) && !own.chars().any(char::is_uppercase),
        "isupper" => own.chars().any(has_case) && !own.chars().any(char::is_lowercase),
        "istitle" => {
            let (mut behind_letter, mut letters) = (false, false);
            for c in own.chars() {
                if c.is_uppercase() && behind_letter || c.is_lowercase() && !behind_letter {
                    return Ok(false);
                }
                behind_letter = has_case(c);
                letters |= behind_letter;
            }
            letters
        }
        "isdigit" | "isdecimal" | "isnumeric"
            if own.chars().any(|c| !c.is_ascii() && c.is_numeric()) =>
        {
            return Err(Fault::unsupported(format!("{name} of digits beyond ASCII")));
        }
        // Numbers in Chinese are letters that count as numeric.
        "isnumeric" if letters()?.contains(&true) && !own.is_ascii() => {
            return Err(Fault::unsupported("isnumeric of letters beyond ASCII"));
        }
        "isdigit" | "isdecimal" | "isnumeric" => all(|c| c.is_ascii_digit()),
        "isalpha" => !own.is_empty() && !letters()?.contains(&false),
        "isalnum" => {
            let digits = own.chars().map(|c| c.is_ascii_digit());
            !own.is_empty() && letters()?.into_iter().zip(digits).all(|(a, b)| a || b)
        }
        _ => {
            if !own.is_ascii() {
                return Err(Fault::unsupported("isidentifier of letters beyond ASCII"));
            }
            let word = |c: char| c == '_' || c.is_ascii_alphabetic();
            own.chars().next().is_some_and(word)
                && own.chars().all(|c| word(c) || c.is_ascii_digit())
        }
    })
}
