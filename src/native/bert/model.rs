//! The classifier as a whole: text → tokens → logits → probability.

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::Classify;
use super::description::{Description, Output};
use super::encoder::Encoder;
use super::tokens::Tokens;

pub struct Model {
    pub tokens: Tokens,
    pub encoder: Encoder,
    pub description: Description,
    /// All computing is done in here.
    pub pool: ThreadPool,
}

impl Classify for Model {
    fn probability(&self, text: &str) -> Result<f32, String> {
        self.pool.install(|| {
            let tokens = self.tokens.of(text)?;
            let logits = self.encoder.logits(&tokens).map_err(|error| error.to_string())?;
            let Description { output, toxic, .. } = &self.description;
            let probability = probability(&logits, *output, toxic);
            // Weights can be finite and what follows from them not.
            if probability.is_finite() { Ok(probability) } else { Err(format!("the outputs are {logits:?}")) }
        })
    }

    fn about(&self) -> String {
        let Description { labels, toxic, .. } = &self.description;
        let toxic: Vec<_> = toxic.iter().map(|label| labels[*label].as_str()).collect();
        format!("toxic is {}; it reads {} tokens", toxic.join(" or "), self.description.most_tokens())
    }
}

fn probability(logits: &[f32], output: Output, toxic: &[usize]) -> f32 {
    let toxic = toxic.iter().map(|label| logits[*label]);
    match output {
        Output::Softmax => {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let all: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
            toxic.map(|logit| (logit - most).exp()).sum::<f32>() / all
        }
        Output::Sigmoid => {
            let likeliest = toxic.fold(f32::NEG_INFINITY, f32::max);
            1.0 / (1.0 + (-likeliest).exp())
        }
    }
}

pub fn pool(threads: usize) -> Result<ThreadPool, String> {
    let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("bert-{n}"));
    builder.build().map_err(|error| format!("no threads can be started (--bert-threads): {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_textbook() {
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(close(probability(&[0.0, 0.0], Output::Softmax, &[1]), 0.5));
        // e² and e⁰ against e¹.
        assert!(close(probability(&[2.0, 1.0, 0.0], Output::Softmax, &[0, 2]), 0.755_271_5));
        assert!(close(probability(&[-3.0, 1.0, 0.0], Output::Sigmoid, &[0, 2]), 0.5));
        assert!(close(probability(&[1.0], Output::Sigmoid, &[0]), 0.731_058_6));
        // None of them overflows.
        assert!(close(probability(&[300.0, -300.0], Output::Softmax, &[0]), 1.0));
        assert!(close(probability(&[-300.0], Output::Sigmoid, &[0]), 0.0));
        assert!(probability(&[f32::NAN, 0.0], Output::Softmax, &[1]).is_nan());
    }
}
