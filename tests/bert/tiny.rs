//! Models of a few kilobytes with random weights, as directories, and what they must say, computed without candle.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub const HIDDEN: usize = 32;
pub const LAYERS: usize = 2;
const HEADS: usize = 4;
const INTERMEDIATE: usize = 64;
/// Tokens that fit.
pub const POSITIONS: usize = 20;
const EPSILON: f64 = 1e-5;

/// Of every text, in front and behind, and for words that the model does not know.
const SPECIAL: [&str; 4] = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"];
pub const WORDS: [&str; 6] = ["you", "are", "a", "kind", "rotten", "person"];
pub const VOCABULARY: usize = SPECIAL.len() + WORDS.len();

pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub struct Tiny {
    pub config: Value,
    pub tokenizer: Value,
    pub tensors: Tensors,
}

/// Names of the parts of a family, as Transformers writes them.
struct Names {
    prefix: &'static str,
    layer: &'static str,
    /// query, key, value, attention's output, its norm, intermediate, output, its norm
    parts: [&'static str; 8],
    head: [&'static str; 2],
    /// Rows of the position embedding before the first token's.
    skipped: usize,
    token_types: usize,
    activation: fn(f64) -> f64,
}

const BERT: [&str; 8] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];
const DISTILBERT: [&str; 8] = [
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
];

fn names(model_type: &str) -> Names {
    match model_type {
        "distilbert" => Names {
            prefix: "distilbert",
            layer: "distilbert.transformer.layer",
            parts: DISTILBERT,
            head: ["pre_classifier", "classifier"],
            skipped: 0,
            token_types: 0,
            activation: |x| x.max(0.0),
        },
        "bert" => Names {
            prefix: "bert",
            layer: "bert.encoder.layer",
            parts: BERT,
            head: ["bert.pooler.dense", "classifier"],
            skipped: 0,
            token_types: 2,
            activation: f64::tanh,
        },
        _ => Names {
            prefix: "roberta",
            layer: "roberta.encoder.layer",
            parts: BERT,
            head: ["classifier.dense", "classifier.out_proj"],
            skipped: 2,
            token_types: 1,
            activation: f64::tanh,
        },
    }
}

/// splitmix64, whose numbers are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -0.5 to 0.5: large enough for texts to differ.
    fn weight(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}

impl Tiny {
    pub fn new(model_type: &str) -> Tiny {
        let names = names(model_type);
        Tiny { config: config(model_type, &names), tokenizer: tokenizer(), tensors: tensors(&names) }
    }

    pub fn labels(mut self, labels: &[&str]) -> Tiny {
        let map: BTreeMap<_, _> =
            labels.iter().enumerate().map(|(n, label)| (n.to_string(), label)).collect();
        self.config["id2label"] = json!(map);
        let head = names(self.config["model_type"].as_str().expect("a name")).head[1];
        let mut random = Random(99);
        for (part, shape) in [("weight", vec![labels.len(), HIDDEN]), ("bias", vec![labels.len()])] {
            let weights = (0..shape.iter().product()).map(|_| random.weight()).collect();
            self.tensors.insert(format!("{head}.{part}"), (shape, weights));
        }
        self
    }

    pub fn write(&self, name: &str) -> Directory {
        self.write_as(name, "F32", |weight| weight.to_le_bytes().to_vec())
    }

    pub fn write_as(&self, name: &str, dtype: &str, bytes: fn(f32) -> Vec<u8>) -> Directory {
        let directory = Directory::new(name);
        directory.put("config.json", self.config.to_string().as_bytes());
        directory.put("tokenizer.json", self.tokenizer.to_string().as_bytes());
        directory.put("model.safetensors", &safetensors(&self.tensors, dtype, bytes));
        directory
    }

    /// The outputs for a text of [`WORDS`].
    pub fn logits(&self, text: &str) -> Vec<f64> {
        let names = names(self.config["model_type"].as_str().expect("a name"));
        let mut tokens = vec![0];
        tokens.extend(text.split_whitespace().map(token).take(POSITIONS - 2));
        tokens.push(2);
        let norm = |rows: &mut Vec<Vec<f64>>, name: &str| self.norm(rows, name);
        let embeddings = format!("{}.embeddings", names.prefix);
        let row = |table: &str, row: usize| self.row(&format!("{embeddings}.{table}_embeddings.weight"), row);
        let embed = |(position, token): (usize, &usize)| {
            let mut hidden = row("word", *token);
            add(&mut hidden, &row("position", names.skipped + position));
            if names.token_types > 0 {
                add(&mut hidden, &row("token_type", 0));
            }
            hidden
        };
        let mut hidden: Vec<_> = tokens.iter().enumerate().map(embed).collect();
        norm(&mut hidden, &format!("{embeddings}.LayerNorm"));
        for layer in 0..LAYERS {
            let [query, key, value, output, first_norm, up, down, second_norm] =
                names.parts.map(|part| format!("{}.{layer}.{part}", names.layer));
            let [query, key, value] = [query, key, value].map(|name| self.linear(&hidden, &name));
            let attended = self.linear(&attend(&query, &key, &value), &output);
            hidden.iter_mut().zip(&attended).for_each(|(row, more)| add(row, more));
            norm(&mut hidden, &first_norm);
            let mut wide = self.linear(&hidden, &up);
            wide.iter_mut().flatten().for_each(|x| *x = gelu(*x));
            let narrow = self.linear(&wide, &down);
            hidden.iter_mut().zip(&narrow).for_each(|(row, more)| add(row, more));
            norm(&mut hidden, &second_norm);
        }
        let mut first = self.linear(&hidden[..1], names.head[0]);
        first[0].iter_mut().for_each(|x| *x = (names.activation)(*x));
        self.linear(&first, names.head[1]).remove(0)
    }

    pub fn softmax(&self, text: &str) -> Vec<f64> {
        softmax(&self.logits(text))
    }

    fn row(&self, name: &str, row: usize) -> Vec<f64> {
        let (shape, weights) = &self.tensors[name];
        weights[row * shape[1]..][..shape[1]].iter().map(|x| f64::from(*x)).collect()
    }

    fn linear(&self, rows: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let bias = &self.tensors[&format!("{name}.bias")].1;
        let weight = format!("{name}.weight");
        let outputs: Vec<_> = (0..bias.len()).map(|n| self.row(&weight, n)).collect();
        let output =
            |row: &Vec<f64>| outputs.iter().zip(bias).map(|(w, b)| dot(row, w) + f64::from(*b)).collect();
        rows.iter().map(output).collect()
    }

    fn norm(&self, rows: &mut [Vec<f64>], name: &str) {
        let epsilon = if self.config["model_type"] == "distilbert" { 1e-12 } else { EPSILON };
        let [scale, shift] = ["weight", "bias"].map(|part| &self.tensors[&format!("{name}.{part}")].1);
        for row in rows {
            let mean = row.iter().sum::<f64>() / HIDDEN as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / HIDDEN as f64;
            for (x, (scale, shift)) in row.iter_mut().zip(scale.iter().zip(shift)) {
                *x = (*x - mean) / (variance + epsilon).sqrt() * f64::from(*scale) + f64::from(*shift);
            }
        }
    }
}

fn token(word: &str) -> usize {
    SPECIAL.len() + WORDS.iter().position(|known| *known == word).expect("a word of the model's")
}

fn attend(query: &[Vec<f64>], key: &[Vec<f64>], value: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = HIDDEN / HEADS;
    let mut attended = vec![vec![0.0; HIDDEN]; query.len()];
    for head in 0..HEADS {
        let part = head * size..(head + 1) * size;
        for (query, attended) in query.iter().zip(&mut attended) {
            let score = |key: &Vec<f64>| dot(&query[part.clone()], &key[part.clone()]) / (size as f64).sqrt();
            let shares = softmax(&key.iter().map(score).collect::<Vec<_>>());
            for (share, value) in shares.iter().zip(value) {
                part.clone().for_each(|n| attended[n] += share * value[n]);
            }
        }
    }
    attended
}

fn softmax(xs: &[f64]) -> Vec<f64> {
    let all: f64 = xs.iter().map(|x| x.exp()).sum();
    xs.iter().map(|x| x.exp() / all).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(row: &mut [f64], more: &[f64]) {
    row.iter_mut().zip(more).for_each(|(x, y)| *x += y);
}

/// With the error function itself, from its Taylor series, which converges for every input here.
fn gelu(x: f64) -> f64 {
    let z = x / 2f64.sqrt();
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = if z.abs() > 5.0 { z.signum() } else { sum * 2.0 / std::f64::consts::PI.sqrt() };
    x * (1.0 + erf) / 2.0
}

fn config(model_type: &str, names: &Names) -> Value {
    let positions = POSITIONS + names.skipped;
    if model_type == "distilbert" {
        return json!({
            "model_type": model_type, "vocab_size": VOCABULARY, "dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS,
            "hidden_dim": INTERMEDIATE, "activation": "gelu", "max_position_embeddings": positions, "pad_token_id": 1,
        });
    }
    json!({
        "model_type": model_type, "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": INTERMEDIATE, "hidden_act": "gelu",
        "max_position_embeddings": positions, "type_vocab_size": names.token_types, "layer_norm_eps": EPSILON,
        "pad_token_id": 1, "problem_type": null,
    })
}

fn tokenizer() -> Value {
    let vocabulary: BTreeMap<_, _> = SPECIAL.iter().chain(&WORDS).zip(0..).collect();
    let special = |id: usize| {
        json!({
            "id": id, "content": SPECIAL[id], "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false,
        })
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null,
        "added_tokens": (0..SPECIAL.len()).map(special).collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 0]},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
}

fn tensors(names: &Names) -> Tensors {
    let mut random = Random(7);
    let mut tensors = Tensors::new();
    let mut put = |name: String, shape: &[usize]| {
        let weights = (0..shape.iter().product()).map(|_| random.weight()).collect();
        tensors.insert(name, (shape.to_vec(), weights));
    };
    let embeddings = format!("{}.embeddings", names.prefix);
    let tables =
        [("word", VOCABULARY), ("position", POSITIONS + names.skipped), ("token_type", names.token_types)];
    for (table, rows) in tables.into_iter().filter(|(_, rows)| *rows > 0) {
        put(format!("{embeddings}.{table}_embeddings.weight"), &[rows, HIDDEN]);
    }
    let mut pair = |name: String, shape: &[usize]| {
        put(format!("{name}.weight"), shape);
        put(format!("{name}.bias"), &shape[..1]);
    };
    pair(format!("{embeddings}.LayerNorm"), &[HIDDEN]);
    let square: &[usize] = &[HIDDEN, HIDDEN];
    let norm: &[usize] = &[HIDDEN];
    for layer in 0..LAYERS {
        let shapes =
            [square, square, square, square, norm, &[INTERMEDIATE, HIDDEN], &[HIDDEN, INTERMEDIATE], norm];
        for (part, shape) in names.parts.iter().zip(shapes) {
            pair(format!("{}.{layer}.{part}", names.layer), shape);
        }
    }
    pair(names.head[0].into(), square);
    pair(names.head[1].into(), &[2, HIDDEN]);
    tensors
}

/// The file format: the header's length, the header, the tensors.
pub fn safetensors(tensors: &Tensors, dtype: &str, bytes: fn(f32) -> Vec<u8>) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, weights)) in tensors {
        let start = data.len();
        weights.iter().for_each(|weight| data.extend(bytes(*weight)));
        let info = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), info);
    }
    with_header(&Value::Object(header).to_string(), &data)
}

pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), data].concat()
}

/// A directory of its own, which is removed on drop.
pub struct Directory(pub PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bert-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("it can be made");
        Directory(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.file(name), content).expect("it can be written");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
