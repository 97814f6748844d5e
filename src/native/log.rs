//! The log: one line an event, on standard error, as text or JSON.

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use super::config::LogFormat;

static FORMAT: AtomicU8 = AtomicU8::new(LogFormat::Text as u8);

/// Chooses the format for the whole process.
pub fn init(format: LogFormat) {
    FORMAT.store(format as u8, Relaxed);
}

/// What an event says beside its message.
pub enum Field<'a> {
    Text(&'a str),
    Number(u64),
}

/// Writes an event with its fields, `log::event("draining", &[("signal", Text("SIGTERM"))])`.
pub fn event(message: &str, fields: &[(&str, Field<'_>)]) {
    let mut line = Vec::new();
    write(&mut line, message, fields);
    flush(&mut line);
}

/// Appends an event to `lines`, for callers with many of them.
pub fn write(lines: &mut Vec<u8>, message: &str, fields: &[(&str, Field<'_>)]) {
    let format = FORMAT.load(Relaxed);
    if format == LogFormat::Off as u8 {
        return;
    }
    let json = format == LogFormat::Json as u8;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (s, ms) = (now.as_secs(), now.subsec_millis());
    // Writing to a vector cannot fail, and neither can making a string JSON.
    if json {
        let _ = write!(lines, r#"{{"time":{s}.{ms:03},"message":"#);
        let _ = serde_json::to_writer(&mut *lines, message);
    } else {
        let _ = write!(lines, "{s}.{ms:03} {message}");
    }
    for (name, value) in fields {
        let _ = if json { write!(lines, ",\"{name}\":") } else { write!(lines, " {name}=") };
        let _ = match value {
            Field::Number(number) => write!(lines, "{number}"),
            // Quoted in text too: clients choose some of these, and must not be able to forge a line.
            Field::Text(text) => serde_json::to_writer(&mut *lines, text).map_err(Into::into),
        };
    }
    lines.extend_from_slice(if json { b"}\n" } else { b"\n" });
}

/// Writes `lines` out and empties it. A log that nobody takes must not stop the service, so errors are ignored.
pub fn flush(lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        let _ = std::io::stderr().lock().write_all(lines);
        lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_stays_on_its_line() {
        let mut lines = Vec::new();
        write(
            &mut lines,
            "request",
            &[("path", Field::Text("/\n1.000 forged")), ("status", Field::Number(404))],
        );
        let text = String::from_utf8(lines).unwrap();
        assert!(text.ends_with("request path=\"/\\n1.000 forged\" status=404\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
