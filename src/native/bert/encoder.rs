//! The network: candle's BERT, which the other families become by renaming, and the classifying head of each.

use std::collections::HashMap;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Linear, Module, VarBuilder};
use candle_transformers::models::bert::{BertModel, Config, PositionEmbeddingType};

use super::description::{Description, Family};
use super::weights::Weights;

pub struct Encoder {
    bert: BertModel,
    dense: Linear,
    activation: fn(&Tensor) -> candle_core::Result<Tensor>,
    classifier: Linear,
}

/// A tensor: what it is called here, what it may be called in the file, and its shape.
struct Part {
    ours: String,
    theirs: Vec<String>,
    shape: Vec<usize>,
}

/// DistilBERT's names for BERT's parts, below a layer.
const DISTIL: [(&str, &str); 8] = [
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
];

impl Encoder {
    pub fn load(description: &Description, weights: &mut Weights) -> Result<Encoder, String> {
        let parts = parts(description);
        weights.check(parts.iter().map(|part| (&*part.theirs, &*part.shape)))?;
        let mut tensors = HashMap::with_capacity(parts.len());
        for Part { ours, theirs, .. } in parts {
            tensors.insert(ours, weights.read(&theirs)?);
        }
        Encoder::build(description, tensors).map_err(|error| format!("does not fit the model: {error}"))
    }

    fn build(
        description: &Description,
        mut tensors: HashMap<String, Tensor>,
    ) -> candle_core::Result<Encoder> {
        let Description { hidden, positions_skipped, .. } = *description;
        let most = description.most_tokens();
        // Texts are not padded: the n-th token has the n-th position of those that are left.
        if let Some(positions) = tensors.get_mut(POSITIONS) {
            *positions = positions.narrow(0, positions_skipped, most)?.contiguous()?;
        }
        if description.family == Family::DistilBert {
            tensors.insert(TOKEN_TYPES.into(), Tensor::zeros((1, hidden), DType::F32, &Device::Cpu)?);
        }
        let tensors = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(Encoder {
            bert: BertModel::load(tensors.clone(), &config(description))?,
            dense: candle_nn::linear(hidden, hidden, tensors.pp("head.dense"))?,
            activation: if description.family == Family::DistilBert { Tensor::relu } else { Tensor::tanh },
            classifier: candle_nn::linear(hidden, description.labels.len(), tensors.pp("head.out"))?,
        })
    }

    /// What the model makes of the tokens: a number for each label.
    pub fn logits(&self, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let hidden = self.bert.forward(&tokens, &tokens.zeros_like()?, None)?;
        // The first token stands for the whole text.
        let first = (self.activation)(&self.dense.forward(&hidden.i((.., 0))?)?)?;
        self.classifier.forward(&first)?.squeeze(0)?.to_vec1()
    }
}

const POSITIONS: &str = "embeddings.position_embeddings.weight";
const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";

fn config(description: &Description) -> Config {
    Config {
        vocab_size: description.vocabulary,
        hidden_size: description.hidden,
        num_hidden_layers: description.layers,
        num_attention_heads: description.heads,
        intermediate_size: description.intermediate,
        hidden_act: description.activation,
        max_position_embeddings: description.most_tokens(),
        type_vocab_size: description.token_types,
        layer_norm_eps: description.epsilon,
        position_embedding_type: PositionEmbeddingType::Absolute,
        // The rest is for training and for generating, or says what the tensors' names begin with.
        model_type: None,
        ..Config::default()
    }
}

/// Everything that is read from the file.
fn parts(description: &Description) -> Vec<Part> {
    let Description { family, hidden, intermediate, .. } = *description;
    let mut parts = Vec::new();
    let mut table = |name: &str, rows: usize| {
        parts.push(part(family, &format!("embeddings.{name}.weight"), vec![rows, hidden]));
    };
    table("word_embeddings", description.vocabulary);
    table("position_embeddings", description.positions);
    if family != Family::DistilBert {
        table("token_type_embeddings", description.token_types);
    }
    let mut pair = |name: &str, shape: &[usize]| {
        parts.push(part(family, &format!("{name}.weight"), shape.to_vec()));
        parts.push(part(family, &format!("{name}.bias"), shape[..1].to_vec()));
    };
    pair("embeddings.LayerNorm", &[hidden]);
    for layer in 0..description.layers {
        let mut pair = |name: &str, shape: &[usize]| pair(&format!("encoder.layer.{layer}.{name}"), shape);
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            pair(&format!("attention.{name}"), &[hidden, hidden]);
        }
        pair("attention.output.LayerNorm", &[hidden]);
        pair("intermediate.dense", &[intermediate, hidden]);
        pair("output.dense", &[hidden, intermediate]);
        pair("output.LayerNorm", &[hidden]);
    }
    pair("head.dense", &[hidden, hidden]);
    pair("head.out", &[description.labels.len(), hidden]);
    parts
}

fn part(family: Family, ours: &str, shape: Vec<usize>) -> Part {
    let theirs = theirs(family, ours);
    // As the first checkpoints had them.
    let old =
        theirs.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    let theirs = if old == theirs { vec![theirs] } else { vec![theirs, old] };
    Part { ours: ours.to_owned(), theirs, shape }
}

fn theirs(family: Family, ours: &str) -> String {
    let (prefix, dense, out) = match family {
        Family::Bert => ("bert", "bert.pooler.dense", "classifier"),
        Family::Roberta => ("roberta", "classifier.dense", "classifier.out_proj"),
        Family::DistilBert => ("distilbert", "pre_classifier", "classifier"),
    };
    for (head, name) in [("head.dense", dense), ("head.out", out)] {
        if let Some(rest) = ours.strip_prefix(head) {
            return format!("{name}{rest}");
        }
    }
    let layer = ours.strip_prefix("encoder.layer.").filter(|_| family == Family::DistilBert);
    let Some((layer, part)) = layer.and_then(|rest| rest.split_once('.')) else {
        return format!("{prefix}.{ours}");
    };
    let (part, end) = part.rsplit_once('.').unwrap_or((part, ""));
    let part = DISTIL.iter().find(|(ours, _)| *ours == part).map_or(part, |(_, theirs)| theirs);
    format!("{prefix}.transformer.layer.{layer}.{part}.{end}")
}
