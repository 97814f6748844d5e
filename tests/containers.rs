//! The images and `compose.yaml`, as a user runs them. Needs Docker, and the images of `make images`.

mod common;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, dist, eventually, skip};
use serde_json::{Value, json};

struct Image {
    variant: &'static str,
    /// Its binary in `dist/`.
    binary: &'static str,
    largest_bytes: u64,
}

const IMAGES: [Image; 3] = [
    Image { variant: "standard", binary: "ounce", largest_bytes: 3_600_000 },
    Image { variant: "microvm", binary: "ounce", largest_bytes: 3_600_000 },
    Image { variant: "minimal", binary: "ounce-minimal", largest_bytes: 1_200_000 },
];

/// What a careful operator asks for, and nothing that the service would miss.
const CONFINED: [&str; 5] = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"];

impl Image {
    fn tag(&self) -> String {
        let name = std::env::var("OUNCE_IMAGE").unwrap_or_else(|_| "ounce".into());
        format!("{name}:{}", self.variant)
    }

    fn inspect(&self) -> Value {
        inspect("image", &self.tag())
    }
}

/// The output of a program that succeeds, or else what it says about that.
fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
    }
}

fn docker(args: &[&str]) -> String {
    let output = output(Command::new("docker").args(args));
    let output = output.unwrap_or_else(|why| panic!("docker {}: {why}", args.join(" ")));
    String::from_utf8(output).expect("text").trim().to_owned()
}

fn inspect(kind: &str, name: &str) -> Value {
    let mut all: Value = serde_json::from_str(&docker(&[kind, "inspect", name])).expect("JSON");
    all[0].take()
}

/// Whether there is a Docker to test with; says so when there is not.
fn engine(test: &str) -> bool {
    let version = output(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
    version.map_err(|why| skip(test, &why)).is_ok()
}

/// Compose, as the client's plugin or as a program of its own.
fn compose(test: &str) -> Option<Vec<&'static str>> {
    let known = [vec!["docker", "compose"], vec!["docker-compose"]];
    let runs = |words: &Vec<&str>| output(Command::new(words[0]).args(&words[1..]).arg("version")).is_ok();
    let found = known.into_iter().find(runs);
    if found.is_none() {
        skip(test, "neither docker compose nor docker-compose runs");
    }
    found
}

/// A name that no other test uses, in this process or in another.
fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("ounce-test-{}-{}", id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A container with a free port of the host in front of it. It is removed on drop.
struct Container(String);

impl Container {
    fn start(image: &Image, flags: &[&str]) -> Container {
        let (container, tag) = (Container(unique()), image.tag());
        let fixed = ["run", "--detach", "--name", &container.0, "--publish", "127.0.0.1::8080"];
        docker(&[&fixed, flags, &[&tag]].concat());
        container
    }

    fn inspect(&self) -> Value {
        inspect("container", &self.0)
    }

    fn address(&self) -> SocketAddr {
        published(&self.0)
    }

    fn get_healthy(&self) {
        get_healthy(&self.0);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = output(Command::new("docker").args(["rm", "--force", "--volumes", &self.0]));
    }
}

fn published(container: &str) -> SocketAddr {
    let ports = docker(&["port", container, "8080/tcp"]);
    ports.lines().next().and_then(|line| line.parse().ok()).expect("an address")
}

fn get_healthy(container: &str) {
    eventually("the container's own check succeeds", || {
        let state = &inspect("container", container)["State"];
        assert_eq!(state["Running"], true, "it ended: {state}\n{}", docker(&["logs", container]));
        assert_ne!(state["Health"]["Status"], "unhealthy", "{state}");
        state["Health"]["Status"] == "healthy"
    });
}

fn variant(address: SocketAddr) -> Value {
    Client::connect(address).get("/health").json()["variant"].take()
}

/// Names and contents of the files in a tar archive that hold anything.
fn files(archive: &[u8]) -> Vec<(String, &[u8])> {
    let text = |field: &[u8]| {
        String::from_utf8_lossy(field).trim_end_matches('\0').trim().to_owned() // padded with either
    };
    let (mut files, mut rest) = (Vec::new(), archive);
    while rest.len() >= 512 && rest[0] != 0 {
        let (name, size) = (text(&rest[..100]), text(&rest[124..136]));
        let size = usize::from_str_radix(&size, 8).expect("a size");
        if size > 0 {
            files.push((name, &rest[512..512 + size]));
        }
        rest = &rest[512 + size.next_multiple_of(512)..];
    }
    files
}

#[test]
fn an_image_is_small_and_holds_one_binary() {
    if !engine("an_image_is_small_and_holds_one_binary") {
        return;
    }
    for image in IMAGES {
        let (tag, container) = (image.tag(), Container(unique()));
        let size = image.inspect()["Size"].as_u64().expect("a size");
        assert!(size <= image.largest_bytes, "{tag}: {size} bytes");
        docker(&["create", "--name", &container.0, &tag]);
        let archive = output(Command::new("docker").args(["export", &container.0])).expect("it is exported");
        let files = files(&archive);
        let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["ounce"], "{tag}");
        let binary = fs::read(dist(image.binary)).expect("it is there");
        assert!(files[0].1 == binary, "{tag} does not hold dist/{}: make images", image.binary);
    }
}

#[test]
fn an_image_says_how_it_wants_to_run() {
    if !engine("an_image_says_how_it_wants_to_run") {
        return;
    }
    for image in IMAGES {
        let config = &image.inspect()["Config"];
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["ExposedPorts"], json!({"8080/tcp": {}}));
        assert_eq!(config["Entrypoint"], json!(["/ounce"]));
        assert_eq!(config["StopSignal"], "SIGTERM");
        assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "/ounce", "health"]));
        let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
        assert_eq!(label("title"), "ounce");
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(label("licenses"), "Apache-2.0 OR MIT");
        let revision = label("revision");
        let commit = revision.as_str().expect("a revision").trim_end_matches("-dirty");
        assert!(commit == "unknown" || commit.chars().all(|c| c.is_ascii_hexdigit()), "{revision}");
        assert_ne!(label("description"), Value::Null);
    }
}

#[test]
fn a_confined_container_gets_healthy_and_stops_cleanly() {
    if !engine("a_confined_container_gets_healthy_and_stops_cleanly") {
        return;
    }
    for image in IMAGES {
        let container = Container::start(&image, &[&CONFINED[..], &["--health-interval", "1s"]].concat());
        container.get_healthy();
        assert_eq!(variant(container.address()), image.variant);
        // The root is read-only, and what belongs to the volume is the service's own.
        let (json, job) = ([("content-type", "application/json")], br#"{"text": "hello"}"#);
        let answer = Client::connect(container.address()).request("POST", "/jobs", &json, job);
        let built = if image.binary == "ounce" { 202 } else { 501 };
        assert_eq!(answer.status, built, "{}: {}", image.variant, answer.text());
        let grace = Duration::from_secs(10); // Docker's own; it kills when that is over
        let start = Instant::now();
        docker(&["stop", &container.0]);
        assert!(start.elapsed() < grace, "{}: killed after {:?}", image.variant, start.elapsed());
        assert_eq!(container.inspect()["State"]["ExitCode"], 0, "{}", image.variant);
    }
}

/// Asks on `connections` at once for `time`; every answer must be the same. Returns how many there were.
fn load(address: SocketAddr, connections: usize, time: Duration) -> u64 {
    let body = Client::connect(address).get("/api/light").body;
    let end = Instant::now() + time;
    let ask = || -> io::Result<u64> {
        let (mut client, mut answers) = (Client::try_connect(address)?, 0);
        while Instant::now() < end {
            client.send(b"GET /api/light HTTP/1.1\r\nhost: test\r\n\r\n")?;
            let answer = client.answer()?;
            assert_eq!((answer.status, &answer.body), (200, &body));
            answers += 1;
        }
        Ok(answers)
    };
    let answers: io::Result<u64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().expect("every answer is right")).sum()
    });
    answers.expect("every request is answered")
}

#[test]
fn the_minimal_image_serves_in_16_mb() {
    if !engine("the_minimal_image_serves_in_16_mb") {
        return;
    }
    let [.., minimal] = &IMAGES;
    // Checked every second, because a check runs within the limit, too.
    let limits = ["--user", "65532", "--memory", "16m", "--restart", "always", "--health-interval", "1s"];
    let container = Container::start(minimal, &[&CONFINED[..], &limits].concat());
    container.get_healthy();
    let pid = container.inspect()["State"]["Pid"].take();
    let answers = load(container.address(), 64, Duration::from_secs(3));
    assert!(answers > 64, "{answers} answers");
    container.get_healthy();
    let after = container.inspect();
    assert_eq!(after["HostConfig"]["Memory"], 16 << 20);
    assert_eq!(after["RestartCount"], 0);
    assert_eq!(after["State"]["OOMKilled"], false);
    assert_eq!(after["State"]["Pid"], pid);
}

/// `compose.yaml` under a name of its own. It is taken down on drop.
struct Project {
    compose: Vec<&'static str>,
    name: String,
    cpus: u64,
}

impl Project {
    fn command(&self, args: &[&str]) -> Command {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml");
        let mut command = Command::new(self.compose[0]);
        command.args(&self.compose[1..]).args(["-f", file, "-p", &self.name]).args(args);
        // Port 0 takes a free one.
        for port in ["OUNCE_STANDARD_PORT", "OUNCE_MICROVM_PORT", "OUNCE_MINIMAL_PORT"] {
            command.env(port, "0");
        }
        command.env("OUNCE_STANDARD_CPUS", self.cpus.to_string()).env_remove("OUNCE_BIND");
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = output(&mut self.command(args)).unwrap_or_else(|why| panic!("compose {args:?}: {why}"));
        String::from_utf8(output).expect("text").trim().to_owned()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = output(&mut self.command(&["down", "--volumes", "--timeout", "5"]));
    }
}

#[test]
fn compose_runs_three_healthy_services_within_their_limits() {
    let test = "compose_runs_three_healthy_services_within_their_limits";
    let Some(compose) = engine(test).then(|| compose(test)).flatten() else { return };
    // Docker refuses more than the machine has.
    let cpus = docker(&["info", "--format", "{{.NCPU}}"]).parse::<u64>().expect("a number").min(2);
    let project = Project { compose, name: unique(), cpus };
    project.run(&["up", "--detach", "--no-build"]);
    let limits = [("standard", cpus * 1000, 512), ("microvm", 1000, 256), ("minimal", 500, 128_u64)];
    for (service, milli_cpus, mib) in limits {
        let container = project.run(&["ps", "-q", service]);
        get_healthy(&container);
        assert_eq!(variant(published(&container)), service);
        assert!(published(&container).ip().is_loopback(), "{service}");
        let host = &inspect("container", &container)["HostConfig"];
        assert_eq!(host["NanoCpus"], milli_cpus * 1_000_000, "{service}");
        assert_eq!(host["Memory"], mib << 20, "{service}");
        assert_eq!(host["ReadonlyRootfs"], true, "{service}");
        assert_eq!(host["CapDrop"], json!(["ALL"]), "{service}");
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]), "{service}");
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped", "{service}");
    }
}

#[test]
fn without_docker_no_image_is_built_and_one_line_says_so() {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/images.sh"));
    // Nobody listens there.
    let output = script.env("DOCKER_HOST", "tcp://127.0.0.1:1").output().expect("bash runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(69), "EX_UNAVAILABLE: {stderr}");
    assert_eq!((stdout.lines().count(), stderr.lines().count()), (0, 1), "{stdout}{stderr}");
    assert!(stderr.starts_with("images: not built: "), "{stderr}");
}

#[test]
fn the_dockerfile_names_the_versions_of_the_manifest() {
    let dockerfile =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile")).expect("it is there");
    for (argument, value) in
        [("VERSION", env!("CARGO_PKG_VERSION")), ("RUST_VERSION", env!("CARGO_PKG_RUST_VERSION"))]
    {
        let line = format!("ARG {argument}={value}");
        assert!(dockerfile.lines().any(|found| found == line), "no line {line:?}");
    }
}
