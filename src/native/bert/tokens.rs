//! tokenizer.json: from text to tokens that the model has.

use tokenizers::{PostProcessor, Tokenizer};

use super::description::Description;

pub struct Tokens {
    tokenizer: Tokenizer,
    vocabulary: usize,
}

impl Tokens {
    pub fn parse(json: &[u8], description: &Description) -> Result<Tokens, String> {
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|error| format!("is no tokenizer: {error}"))?;
        let (vocabulary, most) = (description.vocabulary, description.most_tokens());
        if let Some((token, id)) = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id)
            && id as usize >= vocabulary
        {
            return Err(format!(
                "has token {id}, '{token}', but the model has {vocabulary}: they do not belong together"
            ));
        }
        // Tokenizers subtracts one from the other.
        let added = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if added >= most {
            return Err(format!("adds {added} tokens to a text, and the model reads {most} in all"));
        }
        let mut truncation = tokenizer.get_truncation().cloned().unwrap_or_default();
        (truncation.max_length, truncation.stride) = (most, 0);
        tokenizer.with_truncation(Some(truncation)).map_err(|error| format!("cannot cut texts: {error}"))?;
        tokenizer.with_padding(None);
        // What a text says is text, also where it says "[SEP]".
        tokenizer.set_encode_special_tokens(true);
        let tokens = Tokens { tokenizer, vocabulary };
        // The model judges by the first token, which is not the text's own.
        match tokens.of("")?.as_slice() {
            [] => Err("adds no token to a text: its post_processor is missing".into()),
            _ => Ok(tokens),
        }
    }

    /// At least one, and as many as the model has positions.
    pub fn of(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| error.to_string())?;
        let tokens = encoding.get_ids();
        match tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            None => Ok(tokens.to_vec()),
            Some(token) => Err(format!("gives token {token}, and the model has {}", self.vocabulary)),
        }
    }
}
