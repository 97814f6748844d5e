//! A running server and a client that speaks raw bytes, so that a test can be as rude as it wants.
#![allow(dead_code, unused_imports)] // each test program uses its own part

pub mod jobs;
pub mod redis;
mod skip;
pub mod spin;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, process};

use ounce_bench::launch::{Process, Signal, Spawn};
pub use skip::{skip, skip_absent};

/// No step of a test takes this long unless something is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The service, on a free port. It is killed on drop.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    /// After the process: it is dropped in this order.
    _home: Home,
}

/// A directory to be started in, where there are no jobs of others yet; removed on drop.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("home-{}-{}", process::id(), SERVERS.fetch_add(1, Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a directory can be made");
        Home(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// Starts the binary that cargo built for the tests, with one worker unless `flags` say otherwise.
    pub fn start(flags: &[&str]) -> Server {
        let fixed = [env!("CARGO_BIN_EXE_ounce"), "--listen", "127.0.0.1:0", "--workers", "1"];
        Server::spawn(fixed.iter().chain(flags).copied())
    }

    pub fn spawn<'a>(command: impl Iterator<Item = &'a str>) -> Server {
        let home = Home::new();
        let spawn = Spawn { workdir: Some(home.0.clone()), ..Spawn::new(command) };
        Server::ready(Process::spawn(&spawn).expect("the server starts"), home)
    }

    /// One that was started with more than flags, and keeps no files.
    pub fn of(process: Process) -> Server {
        Server::ready(process, Home::new())
    }

    fn ready(mut process: Process, home: Home) -> Server {
        let address = process.address_after("listening on http://", DEADLINE).expect("the ready line");
        Server { process, address, _home: home }
    }

    /// One that was started in another way, and elsewhere.
    pub fn at(process: Process, address: SocketAddr) -> Server {
        Server { process, address, _home: Home::new() }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }

    pub fn terminate(&self) {
        self.process.signal(Signal::TERM).expect("the server can be signalled");
    }

    /// The exit code, once the server has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.process.wait(DEADLINE).expect("waiting works");
        status.expect("the server ends before the deadline").code()
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.pid())).expect("it runs");
        let (_, rest) = stat.rsplit_once(") ").expect("proc(5)");
        let ticks: u64 =
            rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The server will not take another request on this connection.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).expect("the server accepts")
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, received: Vec::new() })
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    /// Sends a request, with `Content-Length` when there is a body, and reads the answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send((head + "\r\n").as_bytes()).expect("the request is taken");
        self.send(body).expect("the body is taken");
        self.answer_to(method).expect("an answer")
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Closes the sending side.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        self.answer_to("GET")
    }

    /// Reads one response. An error when the connection ends before it does.
    pub fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let end = loop {
            match self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.receive()?,
            }
        };
        let head = String::from_utf8(self.received.drain(..end + 4).collect()).expect("a head is ASCII");
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method != "HEAD" {
            answer.body = match answer.header("content-length") {
                Some(length) => self.take(length.parse().expect("a length"))?,
                None if answer.header("transfer-encoding") == Some("chunked") => self.chunks()?,
                None => Vec::new(),
            };
        }
        Ok(answer)
    }

    /// Whether the server closes the connection, with nothing left to read.
    pub fn closed(&mut self) -> bool {
        self.received.is_empty()
            && self.receive().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match self.received.windows(2).position(|window| window == b"\r\n") {
                    Some(end) => break end,
                    None => self.receive()?,
                }
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            let size =
                std::str::from_utf8(&line[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.expect("a chunk size");
            body.extend(self.take(size)?);
            self.take(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < length {
            self.receive()?;
        }
        Ok(self.received.drain(..length).collect())
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.received.extend_from_slice(&buffer[..n]);
                Ok(())
            }
        }
    }
}

/// Waits until `condition` holds, or fails the test.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}

/// A file that `make build` leaves.
pub fn dist(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name);
    assert!(path.exists(), "{} is missing: make build", path.display());
    path
}

/// What a component that `make build` leaves imports, each with its version: `wasi:io/poll@0.2.12`.
pub fn component_imports(name: &str) -> Vec<String> {
    use wasmparser::{Parser, Payload};

    let wasm = fs::read(dist(name)).expect("it can be read");
    let (mut imports, mut depth) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.expect("a valid component") {
            // What is nested imports from the component around it.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(
                    section.into_iter().map(|import| import.expect("a valid import").name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    imports
}
