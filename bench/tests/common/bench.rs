//! The scale with target files and a state directory of one test.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ounce_bench::background::{State, Store};
use ounce_bench::launch::{Process, Signal, Spawn};
use serde_json::Value;

use super::{Act, ended, ok, scratch, serve_on};

/// What was left behind is the whole machine's: tests that leave something, or remove it, take turns.
pub fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Target files and a state directory of one test, whose targets end with it.
pub struct Bench(pub PathBuf);

impl Bench {
    pub fn new(name: &str) -> Self {
        Self(scratch(&format!("background-{name}")))
    }

    pub fn target(&self, name: &str, rest: &str) -> String {
        let path = self.0.join(format!("{name}.toml"));
        fs::write(&path, format!("name = \"{name}\"\n{rest}")).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub fn stub(&self, name: &str, rest: &str) -> String {
        let exe = std::env::current_exe().unwrap();
        let command =
            format!("kind = \"process\"\ncommand = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]\n");
        self.target(name, &format!("{command}{rest}[env]\nSTUB_LISTEN = \"{{address}}\"\n"))
    }

    pub fn start(&self, words: &[&str]) -> Process {
        let all = [&[env!("CARGO_BIN_EXE_ounce-bench")], words].concat();
        let spawn = Spawn::new(all).env("OUNCE_STATE", self.0.join("state").to_string_lossy());
        Process::spawn(&spawn).unwrap()
    }

    /// Exit code, standard output, standard error.
    pub fn scale(&self, words: &[&str]) -> (i32, String, String) {
        ended(self.start(words), Duration::from_secs(60))
    }

    pub fn up(&self, target: &str) -> State {
        let (code, stdout, stderr) = self.scale(&["up", "--target", target]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let name = Path::new(target).file_stem().unwrap().to_str().unwrap();
        self.state(name).unwrap()
    }

    pub fn state(&self, name: &str) -> Option<State> {
        Store::at(&self.0.join("state")).read(name)
    }

    /// The JSON of the only target.
    pub fn status(&self) -> Value {
        let (code, stdout, _) = self.scale(&["status", "--json"]);
        assert_eq!(code, 0);
        let mut all: Vec<Value> = serde_json::from_str(&stdout).unwrap();
        assert_eq!(all.len(), 1, "{stdout}");
        all.remove(0)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for state in Store::at(&self.0.join("state")).all(&[]) {
            let _ = state.held().map(|keeper| keeper.signal(Signal::TERM));
        }
    }
}

pub fn get(state: &State) -> String {
    let mut stream = TcpStream::connect(state.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// The service that tests start in their own executable: serves where STUB_LISTEN says, if it does.
pub fn serve_stub() {
    let Ok(address) = std::env::var("STUB_LISTEN") else { return };
    let listener = TcpListener::bind(address).unwrap();
    println!("stub listening on http://{}", listener.local_addr().unwrap());
    serve_on(listener, |_| Act::Answer(ok("hello")));
}
