//! Workload *probe*: a constant, a large constant, a wait. What the packaging costs, with no work of ours in it.

use std::time::Duration;

use bytes::Bytes;
use once_cell::sync::Lazy;

use crate::host::Host;
use crate::reply::Reply;

const LIGHT: &[u8] = br#"{"message":"light"}"#;

/// Size of the heavy body, in bytes.
pub const HEAVY_BYTES: usize = 500 * 1024;

/// How long the slow answer takes.
pub const SLOW: Duration = Duration::from_secs(1);

/// Made on first use, so that whoever never asks for it does not carry it in memory.
static HEAVY: Lazy<Bytes> = Lazy::new(|| {
    let (open, close) = (br#"{"message":"heavy","data":""#, br#""}"#);
    let mut body = Vec::with_capacity(HEAVY_BYTES);
    body.extend_from_slice(open);
    body.resize(HEAVY_BYTES - close.len(), b'x');
    body.extend_from_slice(close);
    Bytes::from(body)
});

pub fn light() -> Reply {
    Reply::new("application/json", LIGHT)
}

/// Every response shares the one body.
pub fn heavy() -> Reply {
    Reply::new("application/json", HEAVY.clone())
}

pub async fn slow(host: &impl Host) -> Reply {
    host.sleep(SLOW).await;
    Reply::new("application/json", br#"{"message":"slow"}"#.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_is_json_of_the_promised_size_and_is_not_copied() {
        let (one, other) = (heavy().body, heavy().body);
        assert_eq!(one.len(), HEAVY_BYTES);
        assert!(serde_json::from_slice::<serde_json::Value>(&one).is_ok());
        assert_eq!(one.as_ptr(), other.as_ptr());
    }
}
