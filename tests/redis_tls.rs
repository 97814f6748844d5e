//! Jobs in a real Redis over TLS: whom the service trusts, and what it says when it does not.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::jobs::{becomes, stored, submit};
use common::redis::Redis;
use common::{DEADLINE, Server, eventually, skip};
use ounce_bench::launch::{Process, Spawn, free_port};

/// What must not be seen anywhere.
const PASSWORD: &str = "wr0ng-or-right";

/// Redis with a certificate for localhost, and the directory of the authorities.
struct Scene {
    _redis: Redis,
    port: u16,
    made: PathBuf,
}

impl Scene {
    fn new(name: &str, flags: &[&str]) -> Option<Scene> {
        let made = certificates(name)?;
        let port = free_port().expect("a port is free").port();
        let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|file| text(&made.join(file)));
        let number = port.to_string();
        let tls = ["--tls-port", &number, "--tls-auth-clients", "no", "--requirepass", PASSWORD];
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        let redis = Redis::start(&[&tls[..], &files[..], flags].concat())?;
        Some(Scene { _redis: redis, port, made })
    }

    fn spawn(&self, host: &str, flags: &[&str], authorities: &str) -> Process {
        let words = [&[env!("CARGO_BIN_EXE_ounce"), "--listen", "127.0.0.1:0"], flags].concat();
        let url = format!("rediss://:{PASSWORD}@{host}:{}", self.port);
        let file = text(&self.made.join(authorities));
        let spawn = Spawn::new(words).env("OUNCE_REDIS_URL", url).env("SSL_CERT_FILE", file);
        Process::spawn(&spawn).expect("it starts")
    }

    fn serve(&self, host: &str, flags: &[&str], authorities: &str) -> Server {
        Server::of(self.spawn(host, flags, authorities))
    }
}

#[test]
fn jobs_go_over_tls() {
    for version in ["TLSv1.3", "TLSv1.2"] {
        let Some(scene) = Scene::new(version, &["--tls-protocols", version]) else { return };
        let server = scene.serve("localhost", &[], "ca.pem");
        let done = stored(&server, "uppercase", "over tls");
        assert_eq!(becomes(&server, &done, "done")["result"], "OVER TLS", "{version}");
    }
}

/// `--redis-ca` comes before what the system trusts.
#[test]
fn an_authority_of_ones_own_can_be_named() {
    let Some(scene) = Scene::new("own", &[]) else { return };
    let own = text(&scene.made.join("ca.pem"));
    let server = scene.serve("localhost", &["--redis-ca", &own], "other.pem");
    becomes(&server, &stored(&server, "uppercase", "x"), "done");
}

#[test]
fn who_cannot_show_that_it_is_redis_gets_nothing() {
    let Some(scene) = Scene::new("stranger", &[]) else { return };
    for (host, authorities, why) in [
        ("localhost", "other.pem", "UnknownIssuer"),
        // It is for localhost alone.
        ("127.0.0.1", "ca.pem", "not valid for name"),
    ] {
        let server = scene.serve(host, &[], authorities);
        let refused = submit(&mut server.connect(), "uppercase", "x", None);
        assert_eq!(refused.status, 503, "{host}");
        let log = || server.process.stderr().text();
        eventually("it says why", || log().contains("certificate") && log().contains(why));
        let shown = log() + refused.text() + server.get("/metrics").text();
        assert!(!shown.contains(PASSWORD), "{shown}");
    }
}

/// It would never work, so it ends the start.
#[test]
fn without_authorities_there_is_no_start() {
    let Some(scene) = Scene::new("none", &[]) else { return };
    for (file, why) in [("missing.pem", "missing.pem"), ("san", "there are none")] {
        let mut process = scene.spawn("localhost", &[], file);
        let status = process.wait(DEADLINE).expect("waiting works").expect("it ends");
        assert_eq!(status.code(), Some(1));
        process.stderr().wait_closed(DEADLINE);
        let words = process.stderr().text();
        assert!(words.contains("certificates in") && words.contains(why), "{words}");
        assert!(!words.contains(PASSWORD), "{words}");
    }
}

#[test]
fn looking_away_cannot_be_asked_for() {
    let url = format!("rediss://:{PASSWORD}@localhost/#insecure");
    let spawn = Spawn::new([env!("CARGO_BIN_EXE_ounce")]).env("OUNCE_REDIS_URL", url);
    let mut process = Process::spawn(&spawn).expect("it starts");
    assert_eq!(process.wait(DEADLINE).expect("waiting works").expect("it ends").code(), Some(64));
    process.stderr().wait_closed(DEADLINE);
    let words = process.stderr().text();
    assert!(words.contains("OUNCE_REDIS_URL") && !words.contains(PASSWORD), "{words}");
}

/// Who names authorities wants TLS.
#[test]
fn authorities_are_not_for_a_connection_in_the_clear() {
    let words = ["--redis-url", "redis://localhost", "--redis-ca", "any.pem"];
    let spawn = Spawn::new([env!("CARGO_BIN_EXE_ounce")].into_iter().chain(words));
    let mut process = Process::spawn(&spawn).expect("it starts");
    assert_eq!(process.wait(DEADLINE).expect("waiting works").expect("it ends").code(), Some(64));
    process.stderr().wait_closed(DEADLINE);
    let words = process.stderr().text();
    assert!(words.contains("--redis-ca: 'any.pem' is for rediss:// alone"), "{words}");
}

fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

/// The directory of an authority's certificate, another's, and that of a server on localhost which the first has signed.
fn certificates(name: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-tls-{name}"));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let script = "set -e
        ca() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$1 -keyout $1.key -out $1.pem; }
        ca ca; ca other
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout key.pem -out request.pem
        echo subjectAltName=DNS:localhost >san
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem";
    let output = Command::new("sh").args(["-c", script]).current_dir(&directory).output().expect("sh runs");
    if !output.status.success() {
        skip("jobs over TLS", &format!("openssl: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    Some(directory)
}
