//! model.safetensors: the header first, then one tensor after the other, so that the file is never in memory as a
//! whole. Nothing that the header claims is believed before it fits the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

pub struct Weights {
    file: File,
    metadata: Metadata,
    /// Where the tensors begin.
    data: u64,
}

/// As in crate `safetensors`; real ones are a thousandth of it.
const MOST_HEADER: u64 = 100_000_000;

/// Bytes of all weights as the model computes with them: more than twice those of `xlm-roberta-large`.
const MOST_BYTES: u64 = 6 << 30;

impl Weights {
    pub fn open(path: &Path) -> Result<Weights, String> {
        let mut file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
        let size = file.metadata().map_err(|error| format!("cannot be read: {error}"))?.len();
        let mut length = [0; 8];
        read(&mut file, &mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MOST_HEADER || length > size.saturating_sub(8) {
            return Err(format!(
                "claims a header of {length} bytes in a file of {size}: it is cut short, or not of this format"
            ));
        }
        let mut header = vec![0; length as usize];
        read(&mut file, &mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| format!("has a header that is not of this format: {error}"))?;
        let weights = Weights { file, metadata, data: 8 + length };
        let wanted = weights.data + weights.metadata.data_len() as u64;
        if wanted != size {
            return Err(format!("has {size} bytes, but its header speaks of {wanted}: fetch it again"));
        }
        Ok(weights)
    }

    /// Finds that the tensors are there before any of them is read. Each is (names that it may have, shape).
    pub fn check<'a>(&self, wanted: impl Iterator<Item = (&'a [String], &'a [usize])>) -> Result<(), String> {
        let mut bytes: u64 = 0;
        for (names, shape) in wanted {
            let (name, info) = self.find(names)?;
            if info.shape != shape {
                return Err(format!("has '{name}' as {:?}, but config.json makes it {shape:?}", info.shape));
            }
            dtype(info.dtype).map_err(|why| format!("has '{name}' {why}"))?;
            // The shape was found to fit into the file.
            bytes = bytes.saturating_add(shape.iter().product::<usize>() as u64 * size_of::<f32>() as u64);
        }
        if bytes > MOST_BYTES {
            return Err(format!("has {bytes} bytes of weights; at most {MOST_BYTES} are taken"));
        }
        Ok(())
    }

    /// A tensor that has been checked, in 32 bits.
    pub fn read(&mut self, names: &[String]) -> Result<Tensor, String> {
        let (name, info) = self.find(names)?;
        let (name, (from, to)) = (name.to_owned(), info.data_offsets);
        let (dtype, shape) = (dtype(info.dtype)?, info.shape.clone());
        self.file
            .seek(SeekFrom::Start(self.data + from as u64))
            .map_err(|error| format!("cannot be read: {error}"))?;
        let mut bytes = vec![0; to - from];
        read(&mut self.file, &mut bytes)?;
        let candle = |error: candle_core::Error| format!("has '{name}', of which candle says: {error}");
        let tensor = Tensor::from_raw_buffer(&bytes, dtype, &shape, &Device::Cpu).map_err(candle)?;
        let tensor = tensor.to_dtype(DType::F32).map_err(candle)?;
        let sum = tensor.sum_all().and_then(|sum| sum.to_scalar::<f32>()).map_err(candle)?;
        // One infinity or NaN and it is neither.
        if sum.is_finite() {
            Ok(tensor)
        } else {
            Err(format!("has '{name}' with values that are no numbers"))
        }
    }

    fn find<'a>(&self, names: &'a [String]) -> Result<(&'a str, &safetensors::tensor::TensorInfo), String> {
        let found = names.iter().find_map(|name| Some((name.as_str(), self.metadata.info(name)?)));
        found.ok_or_else(|| {
            format!(
                "has no tensor '{}': it must be the classifier that config.json describes",
                names.join("' or '")
            )
        })
    }
}

fn read(file: &mut File, bytes: &mut [u8]) -> Result<(), String> {
    file.read_exact(bytes).map_err(|error| format!("cannot be read: {error}"))
}

fn dtype(dtype: Dtype) -> Result<DType, String> {
    match dtype {
        Dtype::F64 => Ok(DType::F64),
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        other => Err(format!("as {other:?}; known are F32, F16, BF16, F64: save it without quantisation")),
    }
}
