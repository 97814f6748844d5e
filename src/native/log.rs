//! The log: one line an event, on standard error, as text or JSON.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::config::LogFormat;

static FORMAT: AtomicU8 = AtomicU8::new(LogFormat::Text as u8);

/// Chooses the format for the whole process.
pub fn init(format: LogFormat) {
    FORMAT.store(format as u8, Relaxed);
}

/// Writes an event with its fields, `log::event("ready", &[("address", address.into())])`.
pub fn event(message: &str, fields: &[(&str, Value)]) {
    let mut line = Vec::new();
    write(&mut line, message, fields);
    flush(&mut line);
}

/// Appends an event to `lines`, for callers with many of them.
pub fn write(lines: &mut Vec<u8>, message: &str, fields: &[(&str, Value)]) {
    let format = FORMAT.load(Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = (time.as_secs_f64() * 1e3).round() / 1e3;
    if format == LogFormat::Json as u8 {
        let mut object = Map::new();
        object.insert("time".into(), time.into());
        object.insert("message".into(), message.into());
        object.extend(fields.iter().map(|(name, value)| (name.to_string(), value.clone())));
        lines.extend(Value::Object(object).to_string().bytes());
        lines.push(b'\n');
    } else if format == LogFormat::Text as u8 {
        lines.extend(format!("{time:.3} {message}").bytes());
        for (name, value) in fields {
            lines.extend(format!(" {name}={value}").bytes());
        }
        lines.push(b'\n');
    }
}

/// Writes `lines` out and empties it. A log that nobody takes must not stop the service, so errors are ignored.
pub fn flush(lines: &mut Vec<u8>) {
    let _ = std::io::stderr().lock().write_all(lines);
    lines.clear();
}
