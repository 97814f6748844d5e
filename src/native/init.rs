//! Process 1 of a guest that has no other program: runs the service, passes on the wish to stop, ends the machine.
//!
//! Linux starts it from an initramfs (`microvm/`), with the words that it does not know itself as arguments
//! (after `--`) and variables (`OUNCE_WORKERS=1`). What fails here is said on the console and lived with: a
//! service without `/proc` is better than none.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::sync;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, ioctl_tiocsctty, kill_process, setsid, wait};
use rustix::system::{RebootCommand, reboot};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

/// Whether this process is the init of a machine, or of a PID namespace.
pub fn called(program: Option<&OsStr>) -> bool {
    let name = program.and_then(|path| Path::new(path).file_name());
    name.is_some_and(|name| name == "init") && process::id() == 1
}

/// Serves with `args` and does not return, unless the machine cannot be ended.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    // First of all: a process 1 without a handler never sees the signal.
    let signals = Signals::register();
    prepare();
    let end = signals.and_then(|signals| {
        let child = start(args)?;
        signals.until_end_of(child)
    });
    let (end, code) = match end {
        Ok(status) => describe(status),
        Err(error) => (format!("could not be run: {error}"), ExitCode::FAILURE),
    };
    say(format_args!("ounce {end}; powering off"));
    sync();
    check("reboot", reboot(way_to_end()));
    code
}

fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "init: {what}");
}

fn check<T>(what: &str, result: rustix::io::Result<T>) {
    if let Err(error) = result {
        say(format_args!("{what}: {error}"));
    }
}

fn prepare() {
    // Somebody may have mounted it.
    if !Path::new("/proc/self").exists() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        check("mount /proc", mount("proc", "/proc", "proc", flags, None));
    }
    // Ctrl-C on the console becomes a SIGINT for the session that has it as terminal.
    check("console", setsid().and_then(|_| ioctl_tiocsctty(io::stdin())));
    // Ctrl-Alt-Del becomes one too, instead of a reset.
    check("Ctrl-Alt-Del", reboot(RebootCommand::CadOff));
}

/// The service, in a process group of its own: a Ctrl-C reaches it once, through us.
fn start(args: impl Iterator<Item = OsString>) -> io::Result<Pid> {
    let program = env::current_exe().unwrap_or_else(|_| "/init".into());
    let child = Command::new(program).arg("serve").args(args).process_group(0).spawn()?;
    Ok(Pid::from_child(&child))
}

struct Signals {
    /// Has one byte for each signal.
    arrivals: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let (arrivals, handlers) = UnixStream::pair()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Handlers run in this order: whoever reads the byte sees the flag.
            flag::register(signal, stop.clone())?;
            pipe::register(signal, handlers.try_clone()?)?;
        }
        pipe::register(SIGCHLD, handlers)?;
        Ok(Signals { arrivals, stop })
    }

    /// Passes signals on to the service, and reaps it and every orphan.
    fn until_end_of(mut self, child: Pid) -> io::Result<WaitStatus> {
        loop {
            match self.arrivals.read(&mut [0]) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if self.stop.swap(false, Relaxed) {
                check("signal ounce", kill_process(child, Signal::TERM));
            }
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if pid == child {
                    return Ok(status);
                }
            }
        }
    }
}

fn describe(status: WaitStatus) -> (String, ExitCode) {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (format!("ended with exit code {code}"), ExitCode::from(code as u8)),
        (None, Some(signal)) => (format!("was ended by signal {signal}"), ExitCode::from(128 + signal as u8)),
        (None, None) => ("ended".to_owned(), ExitCode::FAILURE),
    }
}

/// A kernel that cannot power off halts instead, and then the VMM would wait for ever; a reset ends every microVM's
/// VMM (Firecracker; QEMU with -no-reboot). A machine with ACPI can power off, but for those of which the kernel's
/// line says how they are reset: Firecracker's have ACPI without that ability.
fn way_to_end() -> RebootCommand {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let reset_is_told = line.split_ascii_whitespace().any(|word| word.starts_with("reboot="));
    if Path::new("/proc/acpi").exists() && !reset_is_told {
        RebootCommand::PowerOff
    } else {
        RebootCommand::Restart
    }
}
