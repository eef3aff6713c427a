//! A template's text and the tokens of its tags, as jinja2's lexer cuts them with `trim_blocks`
//! and `lstrip_blocks`.

use super::fault::{Fault, Outcome};
use super::text::is_space;

/// A token, and the line it begins in.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Text between tags.
    Data(String),
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name(String),
    Str(String),
    Int(i128),
    Float(f64),
    /// An operator or a bracket.
    Op(&'static str),
    End,
}

/// Longest first, so that `**` is not two `*`.
const OPERATORS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";", "!",
];

/// The tokens of `source`, with [`Kind::End`] behind them.
///
/// # Errors
/// For what jinja2 cannot cut into tokens either.
pub fn tokens(source: &str) -> Outcome<Vec<Token>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    // One line break at the end is not part of a template.
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { source, at: 0, line_start: true, tokens: Vec::new() };
    lexer.run().map_err(|e| e.at(line_of(source, lexer.at)))?;
    lexer.push(Kind::End);
    Ok(lexer.tokens)
}

fn line_of(source: &str, at: usize) -> usize {
    source.as_bytes()[..at].iter().filter(|&&b| b == b'\n').count() + 1
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Whether the last token ended with a line break.
    line_start: bool,
    tokens: Vec<Token>,
}

/// How a tag begins.
#[derive(Clone, Copy, PartialEq)]
enum Begin {
    Raw,
    Block,
    Comment,
    Variable,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: Kind) {
        let line = line_of(self.source, self.at);
        self.tokens.push(Token { kind, line });
    }

    fn run(&mut self) -> Outcome<()> {
        while self.at < self.source.len() {
            let Some((text, begin)) = self.next_tag() else {
                self.push(Kind::Data(self.rest().to_owned()));
                self.at = self.source.len();
                return Ok(());
            };
            self.data(text, begin);
            match begin {
                Begin::Raw => self.raw()?,
                Begin::Comment => self.comment()?,
                Begin::Block => self.tag(Kind::BlockBegin, Kind::BlockEnd)?,
                Begin::Variable => self.tag(Kind::VariableBegin, Kind::VariableEnd)?,
            }
            self.line_start = self.source[..self.at].ends_with('\n');
        }
        Ok(())
    }

    /// The text before the next tag, and what tag it is.
    fn next_tag(&self) -> Option<(&'a str, Begin)> {
        let rest = self.rest();
        let open = |i: &usize| matches!(&rest.as_bytes()[*i..*i + 2], b"{%" | b"{#" | b"{{");
        let at = (0..rest.len().saturating_sub(1)).find(open)?;
        let begin = match rest.as_bytes()[at + 1] {
            b'#' => Begin::Comment,
            b'{' => Begin::Variable,
            _ if raw_begin(&rest[at..]).is_some() => Begin::Raw,
            _ => Begin::Block,
        };
        Some((&rest[..at], begin))
    }

    /// Keeps the text before a tag, less what the tag takes away, and moves to the tag.
    fn data(&mut self, text: &str, begin: Begin) {
        let sign = self.source[self.at + text.len() + 2..].chars().next();
        let kept = kept_before(text, sign, begin != Begin::Variable, self.line_start);
        if !kept.is_empty() {
            self.push(Kind::Data(kept.to_owned()));
        }
        self.at += text.len();
    }

    fn comment(&mut self) -> Outcome<()> {
        let body = &self.rest()[2..];
        let body = body.strip_prefix(['-', '+']).unwrap_or(body);
        let end = body.find("#}").ok_or_else(|| Fault::raised("a comment has no end"))?;
        let begin = self.source.len() - body.len();
        self.at = begin + end + 2;
        self.behind(body[..end].chars().next_back());
        Ok(())
    }

    fn raw(&mut self) -> Outcome<()> {
        self.at += raw_begin(self.rest()).unwrap_or(0);
        let body = self.rest();
        let found = body.match_indices("{%").find_map(|(i, _)| Some((i, raw_end(&body[i..])?)));
        let (end, tag) = found.ok_or_else(|| Fault::raised("a raw block has no end"))?;
        let line_start = self.source[..self.at].ends_with('\n');
        let kept = kept_before(&body[..end], body[end + 2..].chars().next(), true, line_start);
        if !kept.is_empty() {
            self.push(Kind::Data(kept.to_owned()));
        }
        self.at += end + tag.len();
        self.behind(tag[..tag.len() - 2].chars().next_back());
        Ok(())
    }

    /// What the end of a block or comment with the sign `sign` takes away behind it.
    fn behind(&mut self, sign: Option<char>) {
        let rest = self.rest();
        self.at += match sign {
            Some('-') => rest.len() - rest.trim_start_matches(is_space).len(),
            Some('+') => 0,
            _ => usize::from(rest.starts_with('\n')),
        };
    }

    /// The tokens of `{% … %}` or `{{ … }}`.
    fn tag(&mut self, begin: Kind, end: Kind) -> Outcome<()> {
        let variable = begin == Kind::VariableBegin;
        self.push(begin);
        self.at += 2;
        self.at += usize::from(self.rest().starts_with(['-', '+']));
        let mut brackets: Vec<char> = Vec::new();
        loop {
            let rest = self.rest();
            let closing = if variable { "}}" } else { "%}" };
            let signed =
                |sign: &str| rest.strip_prefix(sign).is_some_and(|r| r.starts_with(closing));
            if brackets.is_empty() {
                let sign = match () {
                    () if rest.starts_with(closing) => None,
                    () if signed("-") => Some('-'),
                    () if !variable && signed("+") => Some('+'),
                    () => {
                        self.token(&mut brackets)?;
                        continue;
                    }
                };
                self.push(end);
                self.at += 2 + usize::from(sign.is_some());
                if !variable || sign.is_some() {
                    self.behind(sign);
                }
                return Ok(());
            }
            self.token(&mut brackets)?;
        }
    }

    /// One token inside a tag.
    fn token(&mut self, brackets: &mut Vec<char>) -> Outcome<()> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(Fault::raised("a tag has no end"));
        };
        if is_space(first) {
            self.at += first.len_utf8();
        } else if first == '"' || first == '\'' {
            let (text, length) = string(rest, first)?;
            self.push(Kind::Str(text));
            self.at += length;
        } else if first.is_ascii_digit() {
            let behind_dot = self.source[..self.at].ends_with('.');
            let (kind, length) = number(rest, behind_dot)?;
            self.push(kind);
            self.at += length;
        } else if first == '_' || first.is_alphanumeric() {
            let word = |c: char| !(c == '_' || c.is_alphanumeric());
            let length = rest.find(word).unwrap_or(rest.len());
            if !rest[..length].is_ascii() {
                return Err(Fault::unsupported(format!("the name {:?}", &rest[..length])));
            }
            self.push(Kind::Name(rest[..length].to_owned()));
            self.at += length;
        } else {
            self.operator(rest, brackets)?;
        }
        Ok(())
    }

    fn operator(&mut self, rest: &str, brackets: &mut Vec<char>) -> Outcome<()> {
        let found = OPERATORS.iter().find(|op| rest.starts_with(**op) && **op != "!");
        let Some(&op) = found else {
            let c: String = rest.chars().take(1).collect();
            return Err(Fault::raised(format!("unexpected character {c:?}")));
        };
        match op {
            "(" => brackets.push(')'),
            "[" => brackets.push(']'),
            "{" => brackets.push('}'),
            ")" | "]" | "}" if brackets.pop().map(String::from).as_deref() != Some(op) => {
                return Err(Fault::raised(format!("unexpected {op:?}")));
            }
            _ => {}
        }
        self.push(Kind::Op(op));
        self.at += op.len();
        Ok(())
    }
}

/// What is left of `text` before a tag that has `sign` behind its brace; `strips` unless the tag
/// prints an expression.
fn kept_before(text: &str, sign: Option<char>, strips: bool, line_start: bool) -> &str {
    match sign {
        Some('-') => text.trim_end_matches(is_space),
        Some('+') => text,
        _ if strips => {
            let line = text.rfind('\n').map_or(0, |i| i + 1);
            let alone = !text[line..].is_empty() && text[line..].chars().all(is_space);
            if (line > 0 || line_start) && alone { &text[..line] } else { text }
        }
        _ => text,
    }
}

/// The length of `{% raw %}` at the beginning of `text`, with what its `-` takes away.
fn raw_begin(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.trim_start_matches(is_space).strip_prefix("raw")?;
    let inner = inner.trim_start_matches(is_space);
    let rest = match inner.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => inner.strip_prefix("%}")?,
    };
    Some(text.len() - rest.len())
}

/// `{% endraw %}` at the beginning of `text`.
fn raw_end(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.trim_start_matches(is_space).strip_prefix("endraw")?;
    let inner = inner.trim_start_matches(is_space);
    let rest = inner.strip_prefix(['-', '+']).unwrap_or(inner).strip_prefix("%}")?;
    Some(&text[..text.len() - rest.len()])
}

/// The string literal that `rest` begins with, and its length.
fn string(rest: &str, quote: char) -> Outcome<(String, usize)> {
    let mut escaped = false;
    let end = rest[1..].char_indices().find(|&(_, c)| {
        let end = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        end
    });
    let (end, _) = end.ok_or_else(|| Fault::raised("a string has no end"))?;
    Ok((unescaped(&rest[1..=end])?, end + 2))
}

/// Python's escapes.
fn unescaped(text: &str) -> Outcome<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut behind = rest[at + 1..].chars();
        let Some(c) = behind.next() else { break };
        rest = behind.as_str();
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            '0'..='7' => {
                let digits = rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let number = format!("{c}{}", &rest[..digits]);
                out.push(character(&number, 8)?);
                rest = &rest[digits..];
            }
            'x' | 'u' | 'U' => {
                let digits = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let number =
                    rest.get(..digits).filter(|n| n.bytes().all(|b| b.is_ascii_hexdigit()));
                let number =
                    number.ok_or_else(|| Fault::raised(format!("an incomplete escape \\{c}")))?;
                out.push(character(number, 16)?);
                rest = &rest[digits..];
            }
            'N' => return Err(Fault::unsupported("a character by its name, \\N{…},")),
            other => out.extend(['\\', other]),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn character(digits: &str, radix: u32) -> Outcome<char> {
    let code = u32::from_str_radix(digits, radix).ok();
    let found = code.and_then(char::from_u32);
    found.ok_or_else(|| Fault::unsupported(format!("the character of code {digits}")))
}

/// The number that `rest` begins with, and its length. Behind a dot it is an index.
fn number(rest: &str, behind_dot: bool) -> Outcome<(Kind, usize)> {
    let too_large = || Fault::unsupported("a number of more than 38 digits");
    let digits = |text: &str, radix: u32| {
        // Digits with single underscores between them.
        let mut end = 0;
        for (i, c) in text.char_indices() {
            match c.is_digit(radix) {
                true => end = i + 1,
                false if c == '_' && end == i && i > 0 => {}
                false => break,
            }
        }
        end
    };
    let whole = digits(rest, 10);
    if !behind_dot {
        let dot = rest[whole..].strip_prefix('.').map_or(0, |r| digits(r, 10));
        let mantissa = if dot > 0 { whole + 1 + dot } else { whole };
        let exponent = rest[mantissa..].strip_prefix(['e', 'E']).and_then(|r| {
            let sign = usize::from(r.starts_with(['+', '-']));
            Some(digits(&r[sign..], 10)).filter(|&n| n > 0).map(|n| 1 + sign + n)
        });
        if dot > 0 || exponent.is_some() {
            let length = mantissa + exponent.unwrap_or(0);
            let value = rest[..length].replace('_', "").parse().map_err(|_| too_large())?;
            return Ok((Kind::Float(value), length));
        }
    }
    for (prefix, radix) in [("0b", 2), ("0o", 8), ("0x", 16)] {
        if rest.get(..2).is_some_and(|p| p.eq_ignore_ascii_case(prefix)) {
            let length = digits(rest[2..].trim_start_matches('_'), radix);
            let skipped = rest[2..].len() - rest[2..].trim_start_matches('_').len();
            if length > 0 && skipped < 2 {
                let text = rest[2 + skipped..2 + skipped + length].replace('_', "");
                let value = i128::from_str_radix(&text, radix).map_err(|_| too_large())?;
                return Ok((Kind::Int(value), 2 + skipped + length));
            }
        }
    }
    // `012` is 0 and 12, which no expression has next to each other.
    let length = match rest.starts_with('0') {
        true => digits(&rest[..rest.find(|c| c != '0' && c != '_').unwrap_or(rest.len())], 10),
        false => whole,
    };
    let value = rest[..length].replace('_', "").parse().map_err(|_| too_large())?;
    Ok((Kind::Int(value), length))
}
