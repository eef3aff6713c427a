//! [`Mutator`]: inputs that are almost right.

use super::Random;

/// Longer inputs are cut off: what a reader does with much is the same, and slower.
const LONGEST: usize = 1 << 18;

/// What text formats stumble over.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"'",
    b"\\",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\t",
    b"null",
    b"true",
    b"false",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"None",
    b"True",
    b"nan",
    b"0",
    b"-0",
    b"-0.0",
    b"-1",
    b"1",
    b"0.5",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"1e38",
    b"1e39",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"100000000000000000000000000000000000000000",
    b"0.000000000000000000000000000000000000000000000000001",
    b"00",
    b"0x10",
    b"1_000",
    b"+1",
    b"[]",
    b"{}",
    b"\"\"",
    b"[null]",
    b"[[]]",
    b"{\"\":0}",
    b"\"a\":",
    b"\"0-0\":",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"\\u",
    b"\\x",
    b"\\uFFFF",
    b"\\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xff",
    "é".as_bytes(),
    "🦀".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{85}".as_bytes(),
    "İ".as_bytes(),
    "ß".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{e000}".as_bytes(),
    "中文。".as_bytes(),
    b"\x1b[31m",
    b"\x07",
    b"\x7f",
    b"../../x",
    b"/etc/passwd",
    b"C:\\x",
    b"=1+1",
    b"<script>",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"{#",
    b"#}",
    b"{% for x in range(9) %}",
    b"{% endfor %}",
    b"{% if true %}",
    b"{% endif %}",
    b"{% set x = 1 %}",
    b"{{ messages }}",
    b"|",
    b"~",
    b"%",
    b"k",
    b"..",
    b"-",
    b"+",
    b"(",
    b")",
    b"(?:",
    b"*",
    b"a+",
    b"[^",
    b"{1,1000}",
];

/// What length fields of binary formats may say.
const LENGTHS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    9,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    100_000_000,
    100_000_001,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_ffff,
];

/// How deep brackets are nested, at most, as a power of two; a stack of 8 MiB ends at some ten
/// thousand.
const DEEPEST: usize = 16;

/// Edits inputs.
pub struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// Of `seeds` that a reader takes; at least one.
    pub fn new(seeds: &'a [Vec<u8>]) -> Self {
        assert!(!seeds.is_empty(), "nothing to begin from");
        Self { seeds }
    }

    /// One of the seeds, as it is.
    pub fn seed(&self, random: &mut Random) -> Vec<u8> {
        random.one(self.seeds).clone()
    }

    /// `input` with one to some edits: rarely many.
    pub fn edited(&self, mut input: Vec<u8>, random: &mut Random) -> Vec<u8> {
        let edits = 1 + (random.next() | 1 << 40).trailing_zeros().min(7) as usize;
        for _ in 0..edits {
            self.edit(&mut input, random);
            input.truncate(LONGEST);
        }
        input
    }

    fn edit(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let run = at..(at + 1 + random.below(24)).min(input.len());
        let run = if run.start > run.end { at..at } else { run };
        match random.below(16) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            2 => drop(input.drain(run)),
            3 => {
                let doubled = input[run].to_vec();
                input.splice(at..at, doubled);
            }
            4 => {
                // A long run of the same.
                let doubled = input[run].repeat(1 << random.below(9));
                input.splice(at..at, doubled);
            }
            5 if random.below(4) == 0 => input.truncate(at),
            5 | 6 => {
                let word = *random.one(WORDS);
                input.splice(at..at, word.iter().copied());
            }
            7 => {
                let word = *random.one(WORDS);
                input.splice(run, word.iter().copied());
            }
            8 => self.splice(input, at, random),
            9 => {
                let length = random.one(LENGTHS).to_le_bytes();
                overwrite(input, at - at % 4, &length[..*random.one(&[1, 2, 4, 8])]);
            }
            10 => {
                // A length that is almost right.
                let at = at - at % 4;
                if let Some(bytes) = input.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok())
                {
                    let step = random.below(33) as u32;
                    let near = u32::from_le_bytes(bytes).wrapping_add(step).wrapping_sub(16);
                    overwrite(input, at, &near.to_le_bytes());
                }
            }
            11 => number(input, at, random),
            12 => value(input, at, random),
            13 if random.below(64) == 0 => {
                let deep = nested(random);
                input.splice(at..at, deep);
            }
            13 | 14 => swap(input, run, random),
            _ => {
                let runs = input.len() / 8;
                let from = at;
                let to = (from + random.below(runs + 1)).min(input.len());
                drop(input.drain(from..to));
            }
        }
    }

    /// The end of another seed behind the begin of this.
    fn splice(&self, input: &mut Vec<u8>, at: usize, random: &mut Random) {
        let other = random.one(self.seeds);
        let from = random.below(other.len() + 1);
        let to = from + random.below(other.len() - from + 1);
        if random.below(2) == 0 {
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        } else {
            input.splice(at..at, other[from..to].iter().copied());
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in input.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// Replaces the number that stands at or behind `at`.
fn number(input: &mut Vec<u8>, at: usize, random: &mut Random) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let Some(from) = input[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) else {
        return;
    };
    let to = input[from..].iter().position(|b| !is_part(b)).map_or(input.len(), |n| from + n);
    let numbers = WORDS.iter().filter(|w| w.iter().all(is_part) && w.len() > 1);
    let numbers: Vec<&[u8]> = numbers.copied().collect();
    let new = random.one(&numbers).to_vec();
    input.splice(from..to, new);
}

/// Replaces what stands between the colon behind `at` and the next comma or bracket: a JSON value.
fn value(input: &mut Vec<u8>, at: usize, random: &mut Random) {
    let find = |from: usize, ends: &[u8]| {
        input[from..].iter().position(|b| ends.contains(b)).map(|n| from + n)
    };
    let Some(from) = find(at, b":,[").map(|n| n + 1) else { return };
    let to = find(from, b",]}\n").unwrap_or(input.len());
    let values: [&[u8]; 14] = [
        b"null",
        b"true",
        b"0",
        b"-1",
        b"1e999",
        b"0.5",
        b"\"\"",
        b"\"x\"",
        b"[]",
        b"{}",
        b"[[]]",
        b"{\"a\":{}}",
        b"18446744073709551615",
        b"1000000000",
    ];
    let new = random.one(&values).to_vec();
    input.splice(from..to, new);
}

/// Brackets within brackets, closed or not.
fn nested(random: &mut Random) -> Vec<u8> {
    let pairs: [(&[u8], &[u8]); 8] = [
        (b"[", b"]"),
        (b"{\"a\":", b"}"),
        (b"(", b")"),
        (b"{'a':", b"}"),
        (b"{% if true %}", b"{% endif %}"),
        (b"{{(", b")}}"),
        (b"-", b""),
        (b"not ", b""),
    ];
    let (open, close) = random.one(&pairs);
    let doublings = random.below(DEEPEST + 1);
    let depth = 1 + random.below(1 << doublings);
    match random.below(2) {
        0 => open.repeat(depth),
        _ => [open.repeat(depth), close.repeat(depth)].concat(),
    }
}

/// Moves a run to another place.
fn swap(input: &mut Vec<u8>, run: std::ops::Range<usize>, random: &mut Random) {
    let moved: Vec<u8> = input.drain(run).collect();
    let to = random.below(input.len() + 1);
    input.splice(to..to, moved);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed gives the same inputs, other numbers give others, and most differ from the
    /// seed.
    #[test]
    fn edits_follow_from_the_seed() {
        let seeds = [b"{\"a\": [1, 2], \"b\": \"x\"}".to_vec(), b"[0.5, null]".to_vec()];
        let mutator = Mutator::new(&seeds);
        let inputs = |seed| {
            let input = |n| {
                let mut random = Random::new(seed, "t", n);
                mutator.edited(mutator.seed(&mut random), &mut random)
            };
            (0..500).map(input).collect::<Vec<_>>()
        };
        let all = inputs(1);
        assert_eq!(all, inputs(1));
        assert_ne!(all, inputs(2));
        let mut different = all.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 400, "{}", different.len());
        let parsed = |input: &&Vec<u8>| serde_json::from_slice::<serde_json::Value>(input).is_ok();
        let parsed = all.iter().filter(parsed).count();
        assert!((25..475).contains(&parsed), "{parsed} of 500 are JSON");
    }
}
