//! Reading and checking one response, however its bytes are cut: head, then a body by length, chunks or end.

use super::reference::Exchange;

/// How many bytes of a body are compared with the reference; beyond them its length alone counts.
pub const COMPARED: usize = 16 * 1024;

/// A response head may be this long.
const HEAD_LIMIT: usize = 16 * 1024;

/// What is wrong with a response that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Status,
    Body,
}

/// This is not HTTP/1, or not the answer to one request: where the next response begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the reader is after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The response is complete, right or `wrong`; the server wants the connection closed if `close`.
    Done {
        close: bool,
        wrong: Option<Fault>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Length(u64),
    /// The size so far, and whether a digit was seen.
    ChunkSize(u64, bool),
    ChunkExtension(u64),
    ChunkData(u64),
    /// The line end after a chunk's data.
    ChunkEnd,
    /// Trailer lines up to the empty one; true when the current line has something in it.
    Trailer(bool),
    UntilEnd,
}

/// The state of one response in flight. Kept by the connection, so that its buffer is allocated once.
pub(super) struct Reader {
    phase: Phase,
    head: Vec<u8>,
    close: bool,
    status: u16,
    /// Body bytes seen, and whether they were right so far.
    seen: u64,
    same: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Head,
            head: Vec::with_capacity(1024),
            close: false,
            status: 0,
            seen: 0,
            same: true,
        }
    }

    /// Nothing of the response has been read yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.phase == Phase::Head && self.head.is_empty()
    }

    pub(super) fn reset(&mut self) {
        self.phase = Phase::Head;
        self.head.clear();
        (self.close, self.seen, self.same) = (false, 0, true);
    }

    /// Takes the next bytes from the connection.
    ///
    /// # Errors
    /// [`Malformed`]: the connection is of no further use then.
    pub(super) fn feed(&mut self, mut bytes: &[u8], expected: &Exchange) -> Result<Progress, Malformed> {
        while self.phase == Phase::Head {
            match self.head(bytes, expected)? {
                Some(used) => bytes = &bytes[used..],
                None => return Ok(Progress::More),
            }
            // Interim: the answer follows. Nobody has asked to switch protocols.
            if (100..200).contains(&self.status) {
                self.reset();
            }
        }
        while !self.complete() {
            if bytes.is_empty() {
                return Ok(Progress::More);
            }
            bytes = self.body(bytes, expected)?;
        }
        if !bytes.is_empty() {
            return Err(Malformed); // nothing was asked for that this could be the answer to
        }
        Ok(self.finish(expected))
    }

    /// The server closed the connection: the end of a response without length, or `More` is missing.
    pub(super) fn end(&mut self, expected: &Exchange) -> Progress {
        if self.phase != Phase::UntilEnd {
            return Progress::More;
        }
        self.close = true;
        self.finish(expected)
    }

    fn complete(&self) -> bool {
        self.phase == Phase::Length(0)
    }

    fn finish(&mut self, expected: &Exchange) -> Progress {
        let wrong = if self.status != expected.status {
            Some(Fault::Status)
        } else if !self.same || expected.length.is_some_and(|length| length != self.seen) {
            Some(Fault::Body)
        } else {
            None
        };
        let close = self.close;
        self.reset();
        Progress::Done { close, wrong }
    }

    /// Reads the head; returns how many of `bytes` belong to it once it is complete.
    fn head(&mut self, bytes: &[u8], expected: &Exchange) -> Result<Option<usize>, Malformed> {
        let before = self.head.len();
        let room = HEAD_LIMIT - before;
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match parse_head(&self.head)? {
            Some(head) => {
                let body = if expected.bodiless { Phase::Length(0) } else { head.body };
                (self.phase, self.close, self.status) = (body, head.close, head.status);
                Ok(Some(head.length - before))
            }
            None if self.head.len() == HEAD_LIMIT => Err(Malformed),
            None => Ok(None),
        }
    }

    /// Takes one step in the body; returns the bytes that are left.
    fn body<'a>(&mut self, bytes: &'a [u8], expected: &Exchange) -> Result<&'a [u8], Malformed> {
        match self.phase {
            Phase::Length(left) => {
                let (part, rest) = split(bytes, left);
                self.content(part, expected);
                self.phase = Phase::Length(left - part.len() as u64);
                Ok(rest)
            }
            Phase::UntilEnd => {
                self.content(bytes, expected);
                Ok(&[])
            }
            Phase::ChunkData(left) => {
                let (part, rest) = split(bytes, left);
                self.content(part, expected);
                let left = left - part.len() as u64;
                self.phase = if left == 0 { Phase::ChunkEnd } else { Phase::ChunkData(left) };
                Ok(rest)
            }
            _ => {
                self.phase = self.chunk_line(bytes[0])?;
                Ok(&bytes[1..])
            }
        }
    }

    /// One byte of what stands between the chunks' data.
    fn chunk_line(&self, byte: u8) -> Result<Phase, Malformed> {
        match (self.phase, byte) {
            (Phase::ChunkSize(0, true), b'\n') => Ok(Phase::Trailer(false)),
            (Phase::ChunkSize(size, true), b'\n') => Ok(Phase::ChunkData(size)),
            (Phase::ChunkExtension(0), b'\n') => Ok(Phase::Trailer(false)),
            (Phase::ChunkExtension(size), b'\n') => Ok(Phase::ChunkData(size)),
            (Phase::ChunkExtension(size), _) => Ok(Phase::ChunkExtension(size)),
            (Phase::ChunkSize(size, true), b'\r' | b';' | b' ') => Ok(Phase::ChunkExtension(size)),
            (Phase::ChunkSize(size, _), byte) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                Ok(Phase::ChunkSize(size.ok_or(Malformed)?, true))
            }
            (Phase::ChunkEnd, b'\r') => Ok(Phase::ChunkEnd),
            (Phase::ChunkEnd, b'\n') => Ok(Phase::ChunkSize(0, false)),
            (Phase::Trailer(false), b'\n') => Ok(Phase::Length(0)),
            (Phase::Trailer(_), b'\n') => Ok(Phase::Trailer(false)),
            (Phase::Trailer(any), byte) => Ok(Phase::Trailer(any || byte != b'\r')),
            _ => Err(Malformed),
        }
    }

    fn content(&mut self, part: &[u8], expected: &Exchange) {
        if let Some(length) = expected.length {
            let known =
                usize::try_from(self.seen).ok().and_then(|seen| expected.content.get(seen..)).unwrap_or(&[]);
            let compared = known.len().min(part.len());
            self.same &= part[..compared] == known[..compared] && self.seen + part.len() as u64 <= length;
        }
        self.seen += part.len() as u64;
    }
}

struct Head {
    status: u16,
    body: Phase,
    close: bool,
    length: usize,
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|_| Malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    let mut close = response.version == Some(0);
    let mut body = if matches!(status, 204 | 304) { Phase::Length(0) } else { Phase::UntilEnd };
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") && body == Phase::UntilEnd {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            body = Phase::Length(number.ok_or(Malformed)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding")
            && value.eq_ignore_ascii_case(b"chunked")
        {
            body = Phase::ChunkSize(0, false);
        } else if header.name.eq_ignore_ascii_case("connection") {
            let says = |word: &[u8]| {
                value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
            };
            close = says(b"close") || (close && !says(b"keep-alive"));
        }
    }
    Ok(Some(Head { status, body, close, length }))
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len()))
}

#[cfg(test)]
mod tests;
