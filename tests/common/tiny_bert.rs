//! A BERT of two layers with weights from a fixed seed: as the files of an embedding model, and
//! computed here in f64, so that the one can be held against the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::onnx::{Attribute, FLOAT, Graph, INT64};

const HIDDEN: usize = 32;
const HEADS: usize = 2;
const HEAD_DIM: usize = HIDDEN / HEADS;
const INNER: usize = 64;
const LAYERS: usize = 2;
/// Longest text in tokens, [CLS] and [SEP] included.
pub const POSITIONS: usize = 64;
const EPSILON: f32 = 1e-5;

const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
const WORDS: [&str; 24] = [
    "the", "a", "red", "boat", "code", "of", "ada", "is", "ben", "has", "in", "what", "year",
    "was", "and", "to", "said", "one", "seven", "house", ".", ",", "7", "not",
];

/// A matrix, `[rows][columns]`.
type Rows = Vec<Vec<f64>>;

/// The weights by name, each with its dimensions.
pub struct TinyBert(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl TinyBert {
    pub fn new() -> Self {
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        // Knuth's generator; the upper bits as a number from -1 to 1.
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, dims: &[usize], center: f32, scale: f32| {
            let n = dims.iter().product();
            let values = (0..n).map(|_| center + scale * random()).collect();
            tensors.insert(name, (dims.to_vec(), values));
        };
        let vocab = SPECIAL.len() + WORDS.len();
        for (name, rows) in [("word", vocab), ("position", POSITIONS), ("type", 2)] {
            add(name.to_owned(), &[rows, HIDDEN], 0.0, 1.0);
        }
        let mut norm = vec!["norm".to_owned()];
        for l in 0..LAYERS {
            for (name, rows, columns) in [
                ("q", HIDDEN, HIDDEN),
                ("k", HIDDEN, HIDDEN),
                ("v", HIDDEN, HIDDEN),
                ("o", HIDDEN, HIDDEN),
                ("up", HIDDEN, INNER),
                ("down", INNER, HIDDEN),
            ] {
                // Large enough for attention that is far from uniform.
                add(format!("{name}{l}"), &[rows, columns], 0.0, 0.5);
                add(format!("{name}{l}.bias"), &[columns], 0.0, 0.2);
            }
            norm.extend([format!("norm{l}.attention"), format!("norm{l}.mlp")]);
        }
        for name in norm {
            add(format!("{name}.bias"), &[HIDDEN], 0.0, 0.2);
            add(name, &[HIDDEN], 1.0, 0.2);
        }
        Self(tensors)
    }

    /// Writes the five files into the new folder `dir`.
    pub fn write(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for (name, content) in self.files() {
            fs::write(dir.join(name), content).unwrap();
        }
    }

    /// The five files.
    pub fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let json = |value: Value| value.to_string().into_bytes();
        vec![
            ("config.json", json(json!({"model_type": "bert", "pad_token_id": 0}))),
            ("model.onnx", self.onnx()),
            ("special_tokens_map.json", json(json!({"pad_token": "[PAD]", "unk_token": "[UNK]"}))),
            ("tokenizer.json", json(tokenizer())),
            (
                "tokenizer_config.json",
                json(json!({"model_max_length": POSITIONS, "pad_token": "[PAD]"})),
            ),
        ]
    }

    /// The cosine of the embeddings of two texts.
    pub fn cosine(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.embed(a), self.embed(b));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    }

    /// Of a text the mean of its tokens' last states, `[HIDDEN]`.
    fn embed(&self, text: &str) -> Vec<f64> {
        let ids = token_ids(text);
        let row = |name: &str, i: usize| {
            self.0[name].1[i * HIDDEN..(i + 1) * HIDDEN].iter().map(|w| f64::from(*w))
        };
        let mut states: Rows = Vec::new();
        for (position, id) in ids.iter().enumerate() {
            let sum = row("word", *id).zip(row("position", position)).zip(row("type", 0));
            states.push(sum.map(|((w, p), t)| w + p + t).collect());
        }
        self.normalise(&mut states, "norm");
        for l in 0..LAYERS {
            let attended = self.attention(&states, l);
            add(&mut states, &self.linear(&attended, &format!("o{l}")));
            self.normalise(&mut states, &format!("norm{l}.attention"));
            let mut inner = self.linear(&states, &format!("up{l}"));
            inner.iter_mut().flatten().for_each(|x| *x = x.max(0.0));
            add(&mut states, &self.linear(&inner, &format!("down{l}")));
            self.normalise(&mut states, &format!("norm{l}.mlp"));
        }
        let n = states.len() as f64;
        (0..HIDDEN).map(|i| states.iter().map(|s| s[i]).sum::<f64>() / n).collect()
    }

    fn attention(&self, states: &Rows, l: usize) -> Rows {
        let [q, k, v] = ["q", "k", "v"].map(|name| self.linear(states, &format!("{name}{l}")));
        let mut out = vec![vec![0.0; HIDDEN]; states.len()];
        for h in 0..HEADS {
            let part = h * HEAD_DIM..(h + 1) * HEAD_DIM;
            for (query, out) in q.iter().zip(&mut out) {
                let of = |key: &Vec<f64>| -> f64 {
                    let products = part.clone().map(|i| query[i] * key[i]);
                    (products.sum::<f64>() / (HEAD_DIM as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = k.iter().map(of).collect();
                let sum: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(&v) {
                    part.clone().for_each(|i| out[i] += weight / sum * value[i]);
                }
            }
        }
        out
    }

    fn linear(&self, x: &Rows, name: &str) -> Rows {
        let (dims, weights) = &self.0[name];
        let bias = &self.0[&format!("{name}.bias")].1;
        let entry = |row: &Vec<f64>, column: usize| {
            let products = row.iter().enumerate();
            let sum = products.map(|(i, x)| x * f64::from(weights[i * dims[1] + column]));
            sum.sum::<f64>() + f64::from(bias[column])
        };
        x.iter().map(|row| (0..dims[1]).map(|column| entry(row, column)).collect()).collect()
    }

    /// To mean 0 and variance 1, then times the weights plus the biases.
    fn normalise(&self, x: &mut Rows, name: &str) {
        let (weights, bias) = (&self.0[name].1, &self.0[&format!("{name}.bias")].1);
        for row in x {
            let mean = row.iter().sum::<f64>() / HIDDEN as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / HIDDEN as f64;
            let deviation = (variance + f64::from(EPSILON)).sqrt();
            for ((x, w), b) in row.iter_mut().zip(weights).zip(bias) {
                *x = (*x - mean) / deviation * f64::from(*w) + f64::from(*b);
            }
        }
    }

    /// The same as a graph: `[b, s]` of ids, mask and types to `[b, s, HIDDEN]`.
    fn onnx(&self) -> Vec<u8> {
        let mut g = Graph::default();
        for (name, (dims, values)) in &self.0 {
            g.floats(name, dims, values);
        }
        for name in ["input_ids", "attention_mask", "token_type_ids"] {
            g.value(true, name, INT64, &[Err("b"), Err("s")]);
        }
        g.value(false, "last_hidden_state", FLOAT, &[Err("b"), Err("s"), Ok(HIDDEN as i64)]);
        g.ints("zero", &[0]);
        g.ints("one", &[1]);
        g.ints("one and two", &[1, 2]);
        g.ints("by head", &[0, 0, HEADS as i64, HEAD_DIM as i64]);
        g.ints("hidden", &[0, 0, HIDDEN as i64]);
        g.floats("ones", &[], &[1.0]);
        g.floats("never", &[], &[-1e9]);
        g.floats("scale", &[], &[1.0 / (HEAD_DIM as f32).sqrt()]);

        let shape = g.node("Shape", &["input_ids"], &[]);
        let tokens = g.node("Gather", &[&shape, "one"], &[]);
        let position = g.node("Slice", &["position", "zero", &tokens, "zero"], &[]);
        let word = g.node("Gather", &["word", "input_ids"], &[]);
        let kind = g.node("Gather", &["type", "token_type_ids"], &[]);
        let sum = g.node("Add", &[&word, &kind], &[]);
        let sum = g.node("Add", &[&sum, &position], &[]);
        let mut x = norm(&mut g, &sum, "norm", None);

        let mask = g.node("Cast", &["attention_mask"], &[Attribute::Int("to", FLOAT)]);
        let hidden = g.node("Sub", &["ones", &mask], &[]);
        let mask = g.node("Mul", &[&hidden, "never"], &[]);
        let mask = g.node("Unsqueeze", &[&mask, "one and two"], &[]);
        for l in 0..LAYERS {
            let [q, k, v] = ["q", "k", "v"].map(|name| {
                let y = linear(&mut g, &x, &format!("{name}{l}"));
                let y = g.node("Reshape", &[&y, "by head"], &[]);
                let order: &[i64] = if name == "k" { &[0, 2, 3, 1] } else { &[0, 2, 1, 3] };
                g.node("Transpose", &[&y], &[Attribute::Ints("perm", order)])
            });
            let scores = g.node("MatMul", &[&q, &k], &[]);
            let scores = g.node("Mul", &[&scores, "scale"], &[]);
            let scores = g.node("Add", &[&scores, &mask], &[]);
            let weights = g.node("Softmax", &[&scores], &[Attribute::Int("axis", -1)]);
            let y = g.node("MatMul", &[&weights, &v], &[]);
            let y = g.node("Transpose", &[&y], &[Attribute::Ints("perm", &[0, 2, 1, 3])]);
            let y = g.node("Reshape", &[&y, "hidden"], &[]);
            let y = linear(&mut g, &y, &format!("o{l}"));
            let y = g.node("Add", &[&x, &y], &[]);
            let y = norm(&mut g, &y, &format!("norm{l}.attention"), None);
            let inner = linear(&mut g, &y, &format!("up{l}"));
            let inner = g.node("Relu", &[&inner], &[]);
            let inner = linear(&mut g, &inner, &format!("down{l}"));
            let sum = g.node("Add", &[&y, &inner], &[]);
            let output = (l + 1 == LAYERS).then_some("last_hidden_state");
            x = norm(&mut g, &sum, &format!("norm{l}.mlp"), output);
        }
        g.into_file()
    }
}

fn linear(g: &mut Graph, x: &str, name: &str) -> String {
    let y = g.node("MatMul", &[x, name], &[]);
    g.node("Add", &[&y, &format!("{name}.bias")], &[])
}

fn norm(g: &mut Graph, x: &str, name: &str, output: Option<&str>) -> String {
    let bias = format!("{name}.bias");
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", EPSILON)];
    match output {
        None => g.node("LayerNormalization", &[x, name, &bias], &attributes),
        Some(output) => {
            g.node_named("LayerNormalization", &[x, name, &bias], &attributes, output);
            output.to_owned()
        }
    }
}

fn add(x: &mut Rows, y: &Rows) {
    x.iter_mut().flatten().zip(y.iter().flatten()).for_each(|(x, y)| *x += y);
}

/// Words and runs of other characters in lower case, [CLS] before and [SEP] behind; of a longer
/// text the first.
fn token_ids(text: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.to_lowercase().chars() {
        match words.last_mut() {
            _ if c.is_whitespace() => {}
            Some(word) if !last.is_whitespace() && is_word(last) == is_word(c) => word.push(c),
            _ => words.push(c.to_string()),
        }
        last = c;
    }
    let id = |word: &String| WORDS.iter().position(|w| w == word).map_or(1, |i| SPECIAL.len() + i);
    let words = words.iter().take(POSITIONS - 2).map(id);
    [2].into_iter().chain(words).chain([3]).collect()
}

/// The same as a `tokenizer.json`.
fn tokenizer() -> Value {
    let vocab: BTreeMap<&str, usize> =
        SPECIAL.into_iter().chain(WORDS).enumerate().map(|(i, word)| (word, i)).collect();
    let added = SPECIAL.iter().enumerate().map(|(id, content)| {
        json!({
            "id": id, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    });
    let special = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let of = |name: &str| json!({"id": name, "ids": [vocab[name]], "tokens": [name]});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let (cls, sep) = (special("[CLS]"), special("[SEP]"));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, sequence("A"), sep],
            "pair": [cls, sequence("A"), sep, sequence("B"), sep],
            "special_tokens": {"[CLS]": of("[CLS]"), "[SEP]": of("[SEP]")},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
    })
}
