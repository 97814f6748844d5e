//! Containers of Docker Engine, through its command line.
//!
//! The port is published on the gateway address of the bridge, not on loopback: what goes to 127.0.0.1 is copied
//! by a proxy process, while the gateway's address takes the kernel's way (NAT), as a request from outside does.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use super::error::LaunchError;
use super::guard::Place;
use super::instance::{Context, Instance, Launcher};
use super::local::Local;
use super::owner;
use super::process::{Process, Spawn};
use super::ready::Start;
use super::words::{Words, target_error};
use crate::cgroup::Cgroup;
use crate::proc;
use crate::target::{Kind, Lack, Target, find_program};
use crate::weigh::Scope;

/// The port that the service listens on inside, unless the target names another.
const INSIDE: u16 = 8080;

pub(super) struct DockerLauncher;

impl Launcher for DockerLauncher {
    fn missing(&self, target: &Target) -> Vec<Lack> {
        let image = target.image.as_deref().unwrap_or_default();
        let lack = |what: String, hint: &str| vec![Lack { what, hint: hint.into() }];
        if find_program("docker").is_none() {
            return lack(
                "the program docker".into(),
                "install Docker Engine, see https://docs.docker.com/engine/install",
            );
        }
        match docker(&["image", "inspect", "--format", "{{.Id}}", image]) {
            Ok(_) => Vec::new(),
            Err(error) if error.to_string().contains("No such image") && image.starts_with("ounce:") => {
                lack(format!("the image {image}"), "make images")
            }
            Err(error) if error.to_string().contains("No such image") => {
                lack(format!("the image {image}"), "build it, or docker pull it")
            }
            Err(error) if error.to_string().contains("permission denied") => lack(
                "access to the Docker daemon".into(),
                "run as root, or usermod -aG docker $USER and log in again",
            ),
            Err(error) => lack(format!("a Docker daemon that answers ({error})"), "systemctl start docker"),
        }
    }

    /// All of the image.
    fn artefact_bytes(&self, target: &Target) -> Option<u64> {
        docker(&["image", "inspect", "--format", "{{.Size}}", target.image.as_deref()?]).ok()?.parse().ok()
    }

    fn launch(&self, target: &Target, context: &Context<'_>) -> Result<Box<dyn Instance>, LaunchError> {
        let failed = |what: &str, error: io::Error| target_error(target, format!("{what}: {error}"));
        let address =
            context.address.map_or_else(published, Ok).map_err(|error| failed("no free port", error))?;
        let mut container = Container::new().map_err(|error| failed("no guard for a container", error))?;
        let words = Words::new(target, context, address)?;
        let spawn = words.spawn(&command(target, context, address, &container.name), context)?;
        let process = Process::spawn(&spawn)?;
        let local = Local::ready(process, target, address, context, words.scratch, None);
        let local = local.map_err(|error| container.explained(error, target.limits.memory_mib));
        container.made = !matches!(
            local,
            Err(LaunchError::Interrupted | LaunchError::NotReady { .. } | LaunchError::NotSaid { .. })
        );
        let local = local?;
        let scope =
            scope(&container.name).map_err(|error| failed("the container cannot be weighed", error))?;
        Ok(Box::new(Docker { local, scope, container, limit_mib: target.limits.memory_mib }))
    }
}

/// `docker run` in the foreground: it hands signals and output on, and ends with the container.
fn command(target: &Target, context: &Context<'_>, address: SocketAddr, name: &str) -> Vec<String> {
    let label = format!("{}={}", owner::LABEL, owner::mark());
    let publish = format!("{address}:{}", target.container_port.unwrap_or(INSIDE));
    let fixed = [
        ["docker", "run", "--rm"].as_slice(),
        &["--name", name, "--label", &label, "--publish", &publish, "--read-only", "--cap-drop", "ALL"],
        // The image's health check would be measured, too.
        &["--security-opt", "no-new-privileges", "--no-healthcheck"],
    ];
    let mut words: Vec<String> = fixed.concat().into_iter().map(String::from).collect();
    let cpus = &context.placement.server_cpus;
    if !cpus.is_empty() {
        let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        words.push(format!("--cpuset-cpus={}", list.join(",")));
    }
    if let Some(cpus) = target.limits.cpus {
        // Docker refuses more than the machine has.
        words.push(format!("--cpus={}", cpus.min(online())));
    }
    if let Some(mib) = target.limits.memory_mib {
        words.extend([format!("--memory={mib}m"), format!("--memory-swap={mib}m")]);
    }
    words.extend(target.env.iter().map(|(name, value)| format!("--env={name}={value}")));
    words.extend(target.image.clone());
    words.extend(target.args.clone());
    words
}

/// CPUs of the machine; this program itself may be confined to some of them.
fn online() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as f64
}

/// A free port of the bridge's gateway, or of loopback where that is not an address of this machine.
fn published() -> io::Result<SocketAddr> {
    let subnet = docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", "bridge"]);
    let gateway = subnet.ok().and_then(|subnet| first_of(&subnet)).unwrap_or(Ipv4Addr::LOCALHOST);
    let bound = TcpListener::bind((gateway, 0));
    bound.or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?.local_addr()
}

/// The first address of a subnet, which is the gateway unless the daemon is configured otherwise.
fn first_of(subnet: &str) -> Option<Ipv4Addr> {
    let (address, _) = subnet.split_once('/')?;
    Some(Ipv4Addr::from(u32::from(address.parse::<Ipv4Addr>().ok()?) + 1))
}

/// The processes that a container needs: its own, its shim (their parent), the proxies of its ports; and its
/// cgroup. The daemons serve all containers and are nobody's.
pub(super) fn scope(name: &str) -> io::Result<Scope> {
    let text = docker(&["inspect", "--format", "{{.State.Pid}} {{.Id}}", name])?;
    let (pid, id) = text.split_once(' ').unwrap_or_default();
    let pid: i32 = pid.parse().map_err(io::Error::other)?;
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let inside = cgroups.contains(id);
    let Some(shim) = proc::parent(pid).filter(|_| inside) else {
        return Err(io::Error::other(
            "its processes cannot be seen from here (a remote daemon, or one in a virtual machine)",
        ));
    };
    let mut roots = vec![shim];
    roots.extend(proxies(pid));
    Ok(Scope { roots, cgroup: Cgroup::of(pid), kind: Some(Kind::Docker), guest_ram: None })
}

/// Docker's user-space proxies for the ports of a container, found by the container's address.
fn proxies(pid: i32) -> Vec<i32> {
    let routes = fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap_or_default();
    proc::all()
        .filter(|&pid| proc::name(pid).as_deref() == Some("docker-proxy"))
        .filter(|&pid| {
            let words = proc::command_line(pid);
            let address =
                words.iter().position(|word| word == "-container-ip").and_then(|at| words.get(at + 1));
            address.is_some_and(|address| routes.lines().any(|line| line.ends_with(&format!(" {address}"))))
        })
        .collect()
}

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a short command of Docker's; what it prints, or the first line of its complaint.
pub(crate) fn docker(words: &[&str]) -> io::Result<String> {
    let program = find_program("docker").ok_or(io::ErrorKind::NotFound)?;
    let spawn = Spawn::new([&[&*program.to_string_lossy()], words].concat());
    let mut process = Process::spawn(&spawn).map_err(io::Error::other)?;
    let Some(status) = process.wait(PATIENCE)? else {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("docker did not answer within {PATIENCE:?}"),
        ));
    };
    process.stdout().wait_closed(PATIENCE);
    process.stderr().wait_closed(PATIENCE);
    if status.success() {
        return Ok(process.stdout().text().trim().to_owned());
    }
    let complaint = process.stderr().text();
    Err(io::Error::other(complaint.lines().next().unwrap_or("docker failed").to_owned()))
}

/// A container's name, with the duty to remove what bears it.
struct Container {
    name: String,
    /// False as long as the daemon may still be busy making it.
    made: bool,
    gone: bool,
    since: SystemTime,
    /// The guard removes the container when the scale is killed.
    _place: Place,
}

impl Container {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = owner::name(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = Place::held(&format!("docker rm --force {name}"))?;
        Ok(Self { name, made: false, gone: false, since: SystemTime::now(), _place: place })
    }

    /// What its end was, when the kernel has ended it: nothing else is left of it than what the daemon remembers.
    fn explained(&self, error: LaunchError, limit_mib: Option<u64>) -> LaunchError {
        match error {
            LaunchError::ExitedEarly { command, output, .. } if limit_mib.is_some() && self.ran_out() => {
                LaunchError::OutOfMemory { command, limit_mib, output }
            }
            error => error,
        }
    }

    fn ran_out(&self) -> bool {
        let stamp = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
        };
        let (since, until) = (stamp(self.since), stamp(SystemTime::now()));
        let (name, event) = (format!("container={}", self.name), "event=oom");
        let words = [
            "events", "--since", &since, "--until", &until, "--filter", &name, "--filter", event, "--format",
            "oom",
        ];
        docker(&words).is_ok_and(|events| !events.is_empty())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        // What a killed client has asked for may be made after it cannot be found.
        for pause in [0, 500, 1000, 2000] {
            std::thread::sleep(Duration::from_millis(pause));
            let removed = docker(&["rm", "--force", "--volumes", &self.name]);
            // Clients differ in what they call that: a failure, or a success that names nothing.
            let not_found = match &removed {
                Ok(names) => names.is_empty(),
                Err(error) => error.to_string().contains("No such container"),
            };
            if self.made || !not_found {
                return;
            }
        }
    }
}

struct Docker {
    local: Local,
    scope: Scope,
    container: Container,
    limit_mib: Option<u64>,
}

impl Instance for Docker {
    fn address(&self) -> SocketAddr {
        self.local.address()
    }

    fn scope(&self) -> Scope {
        self.scope.clone()
    }

    fn start(&self) -> Option<Start> {
        self.local.start()
    }

    fn check_alive(&mut self) -> Result<(), LaunchError> {
        self.local.check_alive().map_err(|error| self.container.explained(error, self.limit_mib))
    }

    fn stop(&mut self) -> Result<(), LaunchError> {
        let status = self.local.end();
        // An exit code is the container's, which `--rm` has removed; without one the client was killed.
        self.container.gone = status.is_ok_and(|status| status.code().is_some());
        Ok(())
    }
}
