//! The log: one line an event, on standard error, as text or JSON.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Hands `lines` to the log's own thread and empties it. Whoever reads the log may stop reading; that must not stop
/// the service, so what there is no room for is lost, and counted.
pub fn flush(lines: &mut Vec<u8>) {
    if lines.is_empty() {
        return;
    }
    let lost = LOST.swap(0, Relaxed);
    if lost > 0 {
        write(lines, "log lines were lost", &[("bytes", Field::Number(lost))]);
    }
    let lines = std::mem::take(lines);
    let bytes = lines.len() as u64;
    let writer = WRITER.get_or_init(spawn).as_ref();
    if writer.is_none_or(|writer| writer.try_send(Message::Lines(lines)).is_err()) {
        LOST.fetch_add(lost + bytes, Relaxed);
    }
}

/// Waits until what was logged is written, but not for a reader that has stopped.
pub fn finish() {
    let Some(Some(writer)) = WRITER.get() else { return };
    let (done, written) = sync_channel(1);
    if writer.try_send(Message::Finish(done)).is_ok() {
        let _ = written.recv_timeout(PATIENCE);
    }
}

enum Message {
    Lines(Vec<u8>),
    Finish(SyncSender<()>),
}

/// Pieces that may wait for the thread.
const QUEUE: usize = 64;

/// How long the end of the process may wait for the log.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the thread, which is started with the first line; `None` when it could not be.
static WRITER: OnceLock<Option<SyncSender<Message>>> = OnceLock::new();

/// Bytes that there was no room for.
static LOST: AtomicU64 = AtomicU64::new(0);

fn spawn() -> Option<SyncSender<Message>> {
    let (writer, messages) = sync_channel(QUEUE);
    let thread = thread::Builder::new().name("log".into()).stack_size(64 * 1024);
    let started = thread.spawn(move || {
        for message in messages {
            match message {
                Message::Lines(lines) => drop(std::io::stderr().write_all(&lines)),
                Message::Finish(done) => drop(done.send(())),
            }
        }
    });
    started.is_ok().then_some(writer)
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
