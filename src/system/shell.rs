//! Text for POSIX shells.

/// `word` as one word of a shell: as it is where no shell would change it, else in single quotes,
/// in which nothing but the quote itself has a meaning.
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_@%+:,./-=".contains(&b);
    // `a=b` in front of a command is an assignment.
    let assigns = word.contains('=') && !word.starts_with('-');
    match word.is_empty() || assigns || !word.bytes().all(plain) {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word.to_owned(),
    }
}

/// A command line of these words.
pub fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Lines as a comment: every line of it, also where a word of a command has line breaks in it, so
/// that the text without its marks is what it was.
pub fn comment(text: &str) -> String {
    // A carriage return alone would look like a new line and not be one.
    text.split('\n').map(|line| format!("#   {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that shells like to change.
    const WORDS: &[&str] = &[
        "",
        " ",
        "plain",
        "--out=results",
        "a=b",
        "=ls",
        "it's",
        "''",
        "'",
        "\\",
        "\\'",
        "a\nb",
        "\n",
        "a\r\nb\tc",
        "$HOME",
        "$(exit 7)",
        "`exit 7`",
        "a;exit 7",
        "a & b | c > d < e",
        "* ? [a-z] {a,b} {} {.}",
        "~",
        "~root",
        "!!",
        "#x",
        "\"",
        "\u{1}\u{7f}",
        "größe → 人",
    ];

    #[test]
    fn words_that_mean_themselves_stay_as_they_are() {
        for word in ["headprof", "--lengths", "1k,2k..4k:1k", "a/b.c", "ORG/NAME@main", "-"] {
            assert_eq!(quoted(word), word);
        }
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a=b"), "'a=b'");
        assert_eq!(quoted(""), "''");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_gives_the_words_back() {
        let words: Vec<String> = WORDS.iter().map(|word| quoted(word)).collect();
        let script = format!("printf '%s\\0' {}", words.join(" "));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let expected: String = WORDS.iter().map(|word| format!("{word}\0")).collect();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_comment_does_nothing_and_is_its_text() {
        for word in WORDS {
            let text = format!("exit 7 {}", quoted(word));
            let comment = comment(&text);
            let status = std::process::Command::new("sh").args(["-c", &comment]).status().unwrap();
            assert!(status.success(), "{comment}");
            let lines: Vec<&str> = comment.split_inclusive('\n').collect();
            let without: String = lines.iter().map(|l| l.strip_prefix("#   ").unwrap()).collect();
            assert_eq!(without, format!("{text}\n"));
        }
    }
}
