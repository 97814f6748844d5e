//! The page at `/`: who gets it, what it weighs, and what a real browser makes of it.

#[path = "page/browser.rs"]
mod browser;
mod common;
#[path = "page/mount.rs"]
mod mount;

use std::path::PathBuf;
use std::{env, fs};

use browser::{Screen, Tab};
use common::{Answer, Server, eventually, skip};
use serde_json::{Value, json};

const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

const DESKTOP: Screen = Screen { width: 1280, height: 800, phone: false, dark: false };
const PHONE: Screen = Screen { width: 390, height: 844, phone: true, dark: false };

fn server(flags: &[&str]) -> Server {
    Server::start(&[&["--data-dir", ":memory:"], flags].concat())
}

fn asked(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.connect().request("GET", path, headers, b"")
}

fn submit(server: &Server, kind: &str, text: &str) -> String {
    let body = json!({"kind": kind, "text": text}).to_string();
    let answer = server.connect().request("POST", "/jobs", &[], body.as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["job_id"].as_str().expect("an id").into()
}

/// A tab, or the reason that there is none.
fn tab(name: &str) -> Option<Tab> {
    let profile =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&profile);
    let tab = Tab::open(&profile);
    if tab.is_none() {
        skip("the page of jobs", "chromium is missing: bench/setup.sh browser, or apt-get install chromium");
    }
    tab
}

fn page(server: &Server) -> String {
    format!("http://{}/", server.address)
}

/// The page, when it has asked all that it asks at its start.
fn visit(tab: &mut Tab, url: &str) {
    tab.visit(url);
    tab.until("document.querySelector('#about').innerText !== ''");
    tab.until("!document.querySelector('#none').hidden || document.querySelector('#list li') !== null");
}

#[test]
fn browsers_get_the_page_and_programs_json() {
    let server = server(&[]);
    let page = asked(&server, "/", &[("accept", CHROME)]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().starts_with("<!doctype html>"));
    for accept in ["*/*", "application/json"] {
        let answer = asked(&server, "/", &[("accept", accept)]);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
        assert!(!answer.text().contains("/page."), "{}", answer.text());
        assert!(answer.headers.contains(&("vary".into(), "accept".into())));
    }
    assert!(page.headers.contains(&("vary".into(), "accept".into())));
}

#[test]
fn the_page_may_do_little_and_weighs_little() {
    let server = server(&[]);
    let mut packed = 0;
    for path in ["/", "/page.css", "/page.js"] {
        let plain = asked(&server, path, &[("accept", CHROME)]);
        assert_eq!(plain.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(
            (plain.header("content-encoding"), plain.header("cache-control")),
            (None, Some("no-cache"))
        );
        for word in ["innerHTML", "<style", " style=", "eval(", "onclick=", "http://", "https://"] {
            assert!(!plain.text().contains(word), "{path}: {word}");
        }
        let zipped = asked(&server, path, &[("accept", CHROME), ("accept-encoding", "br, gzip")]);
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{path}");
        assert!(zipped.headers.contains(&("vary".into(), "accept-encoding".into())));
        packed += zipped.body.len();
    }
    assert!(packed <= 6 * 1024, "{packed} bytes");
    let page = asked(&server, "/", &[("accept", CHROME)]);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
}

/// By keys alone: what is typed is submitted, watched to its end, and shown as text.
#[test]
fn a_job_is_submitted_and_its_result_is_seen() {
    let Some(mut tab) = tab("submit") else { return };
    let server = server(&[]);
    tab.screen(DESKTOP);
    visit(&mut tab, &page(&server));
    tab.tab_to("#text");
    tab.write("<b id=evil>l'été</b>");
    tab.tab_to("#submit");
    tab.press("Enter");
    tab.until("document.querySelector('#status').innerText === 'done'");
    assert_eq!(tab.shown("#result"), "<B ID=EVIL>L'ÉTÉ</B>");
    assert_eq!(tab.ask("document.querySelector('#evil') === null"), Value::Bool(true));
    tab.until("document.querySelector('#list .tag')?.innerText === 'done'");
    // That was the end: nobody looks again.
    let looks = tab.ask(LOOKS);
    tab.ask("new Promise(done => setTimeout(done, 1000))");
    assert_eq!(tab.ask(LOOKS), looks);
    let id = tab.ask("location.hash.slice(1)");
    let job = server.get(&format!("/jobs/{}", id.as_str().expect("text"))).json();
    assert_eq!((&job["kind"], &job["result"]), (&json!("uppercase"), &json!("<B ID=EVIL>L'ÉTÉ</B>")));
    // The address names the job, so it is there again.
    let again = tab.ask("location.href");
    tab.visit("about:blank");
    visit(&mut tab, again.as_str().expect("text"));
    tab.until("document.querySelector('#result').innerText.startsWith('<B ID')");
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

#[test]
fn another_kind_is_chosen_and_the_command_says_the_same() {
    let Some(mut tab) = tab("kind") else { return };
    let server = server(&[]);
    visit(&mut tab, &page(&server));
    tab.tab_to("[value=uppercase]");
    tab.press("ArrowRight");
    tab.tab_to("#text");
    tab.write("you're 1d10t");
    tab.tab_to("summary");
    tab.press("Enter");
    let command = tab.shown("#curl");
    let body = r#"'{"text":"you'\''re 1d10t","kind":"analyze"}'"#;
    let url = page(&server);
    assert_eq!(command, format!("curl -H 'Content-Type: application/json' -d {body} '{url}jobs'"));
    tab.ask("document.querySelector('#form').requestSubmit()");
    tab.until("document.querySelector('#status').innerText === 'done'");
    let result: Value = serde_json::from_str(&tab.shown("#result")).expect("JSON");
    assert!(result["score"].is_number(), "{result}");
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

#[test]
fn a_job_that_waits_can_be_cancelled() {
    let Some(mut tab) = tab("cancel") else { return };
    let server = server(&["--worker", "off"]);
    let (first, second) = (submit(&server, "sleep", "1ms"), submit(&server, "uppercase", "x"));
    visit(&mut tab, &format!("{}#{second}", page(&server)));
    tab.until("document.querySelector('#status').innerText === 'queued'");
    tab.tab_to("#cancel");
    tab.press("Enter");
    tab.until("document.querySelector('#status').innerText === 'cancelled'");
    assert_eq!(server.get(&format!("/jobs/{second}")).status, 404);
    tab.tab_to("li button");
    tab.press("Enter");
    tab.until("document.querySelector('#list li') === null");
    assert_eq!(server.get(&format!("/jobs/{first}")).status, 404);
    // A look may have been under way when the job went.
    tab.complaints.retain(|complaint| !complaint.contains("404"));
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

#[test]
fn a_refusal_is_told_in_the_services_words() {
    let Some(mut tab) = tab("refusal") else { return };
    let server = server(&["--worker", "off", "--queue-limit", "1"]);
    submit(&server, "uppercase", "x");
    visit(&mut tab, &page(&server));
    tab.tab_to("#text");
    tab.write("y");
    tab.press("Control+Enter");
    tab.until("document.querySelector('#refused').innerText !== ''");
    assert_eq!(tab.shown("#refused"), "429: the queue is full; try again later (in 1 s)");
    drop(server);
    tab.press("Control+Enter");
    tab.until("document.querySelector('#refused').innerText.startsWith('The service cannot')");
}

#[test]
fn older_jobs_are_a_button_away() {
    let Some(mut tab) = tab("older") else { return };
    let server = server(&["--worker", "off"]);
    let ids: Vec<_> = (0..12).map(|_| submit(&server, "uppercase", "x")).collect();
    visit(&mut tab, &page(&server));
    let links = "[...document.querySelectorAll('#list a')].map(link => link.hash.slice(1))";
    let shown = |tab: &mut Tab| serde_json::from_value::<Vec<String>>(tab.ask(links)).expect("texts");
    let latest: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(shown(&mut tab), latest[..10]);
    tab.tab_to("#older");
    tab.press("Enter");
    tab.until("document.querySelector('#older').hidden");
    assert_eq!(shown(&mut tab), latest);
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

/// What the page has asked about one job.
const LOOKS: &str =
    "performance.getEntriesByType('resource').filter(entry => /jobs\\/./.test(entry.name)).length";

#[test]
fn a_job_is_not_looked_at_while_the_page_is_not() {
    let Some(mut tab) = tab("hidden") else { return };
    let server = server(&["--worker", "off"]);
    let id = submit(&server, "uppercase", "x");
    visit(&mut tab, &format!("{}#{id}", page(&server)));
    tab.until(&format!("{LOOKS} >= 2"));
    let turn = |hidden| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});\
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    tab.ask(&turn(true));
    // One may have been under way.
    tab.ask("new Promise(done => setTimeout(done, 100))");
    let before = tab.ask(LOOKS);
    tab.ask("new Promise(done => setTimeout(done, 2000))");
    assert_eq!(tab.ask(LOOKS), before);
    tab.ask(&turn(false));
    tab.until(&format!("{LOOKS} > {before}"));
}

#[test]
fn it_works_below_a_path() {
    let Some(mut tab) = tab("mount") else { return };
    let server = server(&[]);
    let address = mount::below("/some/where", server.address);
    visit(&mut tab, &format!("http://{address}/some/where/"));
    tab.tab_to("#text");
    tab.write("below");
    tab.tab_to("#submit");
    tab.press("Enter");
    tab.until("document.querySelector('#result').innerText === 'BELOW'");
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

#[test]
fn without_scripts_it_says_what_to_do() {
    let Some(mut tab) = tab("plain") else { return };
    let server = server(&[]);
    tab.call("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    tab.visit(&page(&server));
    let shown = tab.shown("body");
    assert!(shown.contains("needs JavaScript") && !shown.contains("Submit"), "{shown}");
    keep(&mut tab, "plain");
}

/// As it is in use: an end, jobs that wait, a list with more to come, and everything unfolded.
fn in_use(tab: &mut Tab, server: &Server) {
    for _ in 0..12 {
        submit(server, "uppercase", "x");
    }
    let text = "A text with aVeryLongWordThatHasNoPlaceToBreakInAndGoesOnForLongerThanAnyPhoneIsWideSoThatItMustBeBroken";
    let id = submit(server, "analyze", text);
    eventually("it is done", || server.get(&format!("/jobs/{id}")).json()["status"] == "done");
    submit(server, "sleep", "60s");
    submit(server, "uppercase", "waits");
    visit(tab, &format!("{}#{id}", page(server)));
    tab.tab_to("#text");
    tab.write(text);
    tab.ask("document.querySelector('details').open = true");
    tab.until("document.querySelector('#result').innerText.includes('score')");
}

/// `OUNCE_SCREENSHOTS` names a directory for pictures of it.
#[test]
fn nothing_sticks_out_on_a_phone_in_light_and_dark() {
    let Some(mut tab) = tab("look") else { return };
    let server = server(&["--worker-concurrency", "1"]);
    in_use(&mut tab, &server);
    let narrow = Screen { width: 360, height: 740, ..PHONE };
    for (name, screen) in [("desktop", DESKTOP), ("phone", PHONE), ("narrow", narrow)] {
        for dark in [false, true] {
            tab.screen(Screen { dark, ..screen });
            let wide = tab.ask("document.documentElement.scrollWidth");
            assert_eq!(wide, screen.width, "{name}");
            let paper = tab.ask("getComputedStyle(document.body).backgroundColor");
            assert_eq!(paper, if dark { "rgb(20, 23, 27)" } else { "rgb(244, 245, 247)" });
            let name = format!("{name}-{}", if dark { "dark" } else { "light" });
            tab.ask("scrollTo(0, 0)");
            keep(&mut tab, &name);
            tab.ask("document.querySelector('#job').scrollIntoView()");
            keep(&mut tab, &format!("{name}-below"));
        }
    }
    assert!(tab.complaints.is_empty(), "{:#?}", tab.complaints);
}

fn keep(tab: &mut Tab, name: &str) {
    let Some(dir) = env::var_os("OUNCE_SCREENSHOTS") else { return };
    let path = PathBuf::from(dir).join(format!("{name}.png"));
    fs::write(&path, tab.picture()).expect("the directory can be written to");
}
