//! A real browser, driven through a pipe in its DevTools protocol: messages of JSON, each ended by a NUL.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, thread};

use ounce_bench::target::find_program;
use serde_json::{Value, json};

use crate::common::DEADLINE;

/// How long it may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// One tab of a Chromium without a window. It ends when its pipe does, and when this is dropped.
pub struct Tab {
    browser: Child,
    profile: PathBuf,
    words: ChildStdin,
    messages: Receiver<Value>,
    session: Value,
    calls: u64,
    /// What the console shows: exceptions, errors, violations of the page's policy, answers that are errors.
    pub complaints: Vec<String>,
}

/// A window's size in CSS pixels, and whether it is a phone's.
#[derive(Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub phone: bool,
    pub dark: bool,
}

impl Tab {
    /// A tab of a browser that is installed; `profile` is a fresh directory.
    pub fn open(profile: &Path) -> Option<Tab> {
        let mut browser = start(profile)?;
        let words = browser.stdin.take().expect("a pipe");
        let messages = messages(BufReader::new(browser.stdout.take().expect("a pipe")));
        let (session, complaints) = (Value::Null, Vec::new());
        let profile = profile.to_owned();
        let mut tab = Tab { browser, profile, words, messages, session, calls: 0, complaints };
        let target = tab.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        tab.session = tab.call("Target.attachToTarget", attach)["sessionId"].take();
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        Some(tab)
    }

    pub fn screen(&mut self, screen: Screen) {
        let Screen { width, height, phone, dark } = screen;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        self.call("Emulation.setEmulatedMedia", json!({"features": [scheme]}));
    }

    pub fn visit(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.until("document.readyState === 'complete'");
    }

    /// The value of an expression in the page.
    pub fn ask(&mut self, expression: &str) -> Value {
        let what = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", what);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// What an element shows.
    pub fn shown(&mut self, selector: &str) -> String {
        let text = self.ask(&format!("document.querySelector({selector:?})?.innerText"));
        text.as_str().unwrap_or_default().into()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.ask(expression) != Value::Bool(true) {
            let page = || "document.body?.innerText";
            assert!(start.elapsed() < DEADLINE, "never {expression}:\n{}", self.ask(page()));
            thread::yield_now();
        }
    }

    /// Presses a key, as a keyboard does: pages cannot tell.
    pub fn press(&mut self, key: &str) {
        let (control, key) = key.strip_prefix("Control+").map_or((false, key), |key| (true, key));
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "ArrowRight" => 39,
            _ => unreachable!("no test presses {key}"),
        };
        let mut event = json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        event["modifiers"] = if control { 2 } else { 0 }.into();
        if key == "Enter" {
            event["text"] = "\r".into();
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Presses Tab until the focus is on the element.
    pub fn tab_to(&mut self, selector: &str) {
        let there = format!("document.activeElement.matches({selector:?})");
        for _ in 0..40 {
            if self.ask(&there) == Value::Bool(true) {
                return;
            }
            self.press("Tab");
        }
        panic!("no key leads to {selector}");
    }

    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// A picture of the window, in PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        base64(answer["data"].as_str().expect("text"))
    }

    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        self.words.write_all(format!("{call}\0").as_bytes()).expect("the browser reads");
        loop {
            let mut message = self.messages.recv_timeout(DEADLINE).expect("the browser answers");
            if message["id"] == self.calls {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.heard(&message);
        }
    }

    fn heard(&mut self, event: &Value) {
        let method = event["method"].as_str().unwrap_or_default();
        if ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"].contains(&method) {
            self.complaints.push(event["params"].to_string());
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        // Asked to, it ends its other processes, which otherwise would go on writing to the profile for a while.
        let _ = self.words.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let until = Instant::now() + PATIENCE;
        while self.messages.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = self.browser.kill();
        let _ = self.browser.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A browser that is installed, which reads commands from its standard input and writes answers to its output.
fn start(profile: &Path) -> Option<Child> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let program = names.into_iter().find_map(find_program)?;
    // What it itself calls these pipes is descriptors 3 and 4.
    let browser = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null 2>&1 </dev/null"])
        .arg(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        .arg("--remote-debugging-pipe")
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    Some(browser.expect("the browser starts"))
}

/// The bytes that a text of base64 stands for.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c| DIGITS.iter().position(|digit| *digit == c);
    let sextets: Vec<usize> = text.bytes().filter_map(digit).collect();
    let bytes = |four: &[usize]| {
        let bits = four.iter().fold(0, |bits, sextet| bits << 6 | *sextet as u32) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    sextets.chunks(4).flat_map(bytes).collect()
}

fn messages(mut pipe: impl BufRead + Send + 'static) -> Receiver<Value> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut message = Vec::new();
        while pipe.read_until(0, &mut message).is_ok_and(|n| n > 0) {
            let text = message.strip_suffix(b"\0").unwrap_or(&message);
            let Ok(value) = serde_json::from_slice(text) else { return };
            if send.send(value).is_err() {
                return;
            }
            message.clear();
        }
    });
    receive
}
