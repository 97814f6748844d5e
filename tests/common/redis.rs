//! A Redis server of one's own, on a free port, in a directory of its own. It is killed on drop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{env, fs};

use ounce_bench::launch::{Process, Signal, Spawn, free_port};

use super::{DEADLINE, skip};

/// Every answer is stored before it is given.
pub const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

pub struct Redis {
    process: Process,
    command: Vec<String>,
    pub address: SocketAddr,
    pub directory: PathBuf,
}

impl Redis {
    /// `None` where there is no `redis-server`, which is said.
    pub fn start(flags: &[&str]) -> Option<Redis> {
        let directory = directory()?;
        let address = free_port().expect("a port is free");
        let (port, dir) = (address.port().to_string(), directory.to_str().expect("text").to_owned());
        let fixed = ["redis-server", "--port", &port, "--bind", "127.0.0.1", "--dir", &dir, "--save", ""];
        let command: Vec<String> = fixed.iter().chain(flags).map(|word| (*word).to_owned()).collect();
        let process = spawn(&command);
        Some(Redis { process, command, address, directory })
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("Redis can be signalled");
    }

    /// As a power cut would, but for what the kernel has taken already.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.wait(DEADLINE).expect("waiting works").expect("it ends");
    }

    /// In the same place, with what is in its files.
    pub fn restart(&mut self) {
        self.process = spawn(&self.command);
    }

    /// The same, with more flags.
    pub fn restart_with(&mut self, flags: &[&str]) {
        self.command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.restart();
    }

    /// Asks it something; the answer is as it comes over the wire.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let mut question = format!("*{}\r\n", words.len());
        for word in words {
            question += &format!("${}\r\n{word}\r\n", word.len());
        }
        // What follows shows where the answer ends.
        stream.write_all((question + "PING\r\n").as_bytes()).expect("it takes questions");
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"+PONG\r\n") {
            let count = stream.read(&mut buffer).expect("an answer");
            assert_ne!(count, 0, "it closed the connection");
            answer.extend_from_slice(&buffer[..count]);
        }
        answer.truncate(answer.len() - b"+PONG\r\n".len());
        String::from_utf8(answer).expect("text")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.signal(Signal::KILL);
        let _ = self.process.wait(DEADLINE);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(command: &[String]) -> Process {
    let mut process = Process::spawn(&Spawn::new(command)).expect("Redis starts");
    process.says("Ready to accept connections", DEADLINE, &Default::default()).expect("Redis is ready");
    process
}

/// A new one, if there is a `redis-server`.
fn directory() -> Option<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|directory| directory.join("redis-server").is_file()) {
        skip("jobs in Redis", "there is no redis-server; bench/setup.sh redis installs it where it can");
        return None;
    }
    let name = format!("redis-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("a directory can be made");
    Some(directory)
}
