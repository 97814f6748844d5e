//! Weighing and timing, held against programs of known size and known phases.

mod common;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::ptr;
use std::thread;
use std::time::Duration;

use common::{Act, ok, scratch, serve_on, skip_absent, wait_until};
use ounce_bench::cgroup::{self, Cgroup};
use ounce_bench::interrupt::Interrupt;
use ounce_bench::launch::{self, Context, Instance, LaunchError, PageCache, Process, Spawn, may_drop_caches};
use ounce_bench::placement::Placement;
use ounce_bench::proc;
use ounce_bench::target::{Kind, Target, find_program};
use ounce_bench::weigh::{self, Role, Scope, Weight};
use rustix::mm::{MapFlags, ProtFlags, mmap};

const BYTES: usize = 64 << 20;
const PAGE: usize = 4096;

/// How long the stub waits between its phases.
const PAUSE: Duration = Duration::from_millis(60);

/// Not a test: the program that other tests launch, in this same executable. What it does is in its environment.
#[test]
fn stub() {
    let set = |name: &str| std::env::var(name).ok();
    if let Some(file) = set("STUB_SHARE") {
        share(Path::new(&file));
    }
    if set("STUB_ESCAPED").is_some() {
        let held = touch(BYTES);
        loop {
            thread::park();
            black_box(&held);
        }
    }
    let touched = set("STUB_TOUCH").map(|bytes| touch(bytes.parse().unwrap()));
    let slow = set("STUB_PHASES").is_some();
    let pause = || thread::sleep(if slow { PAUSE } else { Duration::ZERO });
    let Some(address) = set("STUB_LISTEN") else { return };
    println!("stub begins");
    pause();
    let listener = TcpListener::bind(address).unwrap();
    println!("stub listens");
    pause();
    let swells = set("STUB_SWELLS").is_some();
    serve_on(listener, move |number| match number {
        0 | 1 if slow => Act::Answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into()),
        1 if swells => {
            black_box(touch(BYTES));
            Act::Hang
        }
        _ => Act::Answer(ok("hello")),
    });
    drop(black_box(touched));
}

fn touch(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    black_box(memory)
}

/// Maps all of a file, together with whoever else does, and never ends.
fn share(file: &Path) -> ! {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let length = file.metadata().unwrap().len() as usize;
    if length > 0 {
        // SAFETY: a mapping of its own that nothing unmaps; the others write the same.
        let memory = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        };
        let memory = memory.unwrap().cast::<u8>();
        for offset in (0..length).step_by(PAGE) {
            // SAFETY: within the mapping.
            unsafe { memory.add(offset).write_volatile(1) };
        }
    }
    println!("shared");
    loop {
        thread::park();
    }
}

/// The stub as a target of a kind of process, with more lines of TOML, and variables.
fn stub_target(name: &str, rest: &str, env: &str) -> Target {
    target(name, &std::env::current_exe().unwrap(), rest, env)
}

fn target(name: &str, exe: &Path, rest: &str, env: &str) -> Target {
    let path = scratch(&format!("weigh-{name}")).join(format!("{name}.toml"));
    let command = format!("command = [{exe:?}, \"stub\", \"--exact\", \"--nocapture\"]");
    let env = format!("[env]\nSTUB_LISTEN = \"{{address}}\"\n{env}");
    fs::write(&path, format!("name = \"{name}\"\nkind = \"process\"\n{command}\n{rest}{env}")).unwrap();
    Target::read(&path).unwrap()
}

fn launch_with(target: &Target, page_cache: PageCache) -> Result<Box<dyn Instance>, LaunchError> {
    let (placement, interrupt) = (Placement::here(None).unwrap(), Interrupt::new());
    launch::launch(target, &Context { page_cache, ..Context::new(&placement, &interrupt) })
}

fn launch(target: &Target) -> Result<Box<dyn Instance>, LaunchError> {
    launch_with(target, PageCache::Warm)
}

fn weight(scope: &Scope) -> Weight {
    weigh::at_rest(scope, &Interrupt::new()).unwrap()
}

/// Whether two sizes differ by 2 % at most.
fn close(bytes: u64, expected: usize) -> bool {
    bytes.abs_diff(expected as u64) <= expected as u64 / 50
}

#[test]
fn touched_memory_is_weighed_to_two_in_a_hundred() {
    let light = launch(&stub_target("light", "", "")).unwrap();
    let heavy = launch(&stub_target("heavy", "", &format!("STUB_TOUCH = \"{BYTES}\"\n"))).unwrap();
    let (light, heavy) = (weight(&light.scope()), weight(&heavy.scope()));
    let more = heavy.total.pss - light.total.pss;
    assert!(close(more, BYTES), "{more} bytes more");
    assert!(close(heavy.total.pss_anon - light.total.pss_anon, BYTES));
    assert_eq!(heavy.by_role(), [(Role::Service, heavy.processes[0].memory.pss)]);
    // Another scope: this machine may not have it.
    if let (Some(light), Some(heavy)) = (light.cgroup, heavy.cgroup) {
        assert!(close(heavy.anon - light.anon, BYTES), "{light:?} {heavy:?}");
    }
}

#[test]
fn what_two_processes_share_is_weighed_once() {
    let dir = scratch("weigh-shared");
    let exe = std::env::current_exe().unwrap();
    let weigh = |bytes: usize| {
        let file = dir.join(format!("{bytes}"));
        File::create(&file).unwrap().set_len(bytes as u64).unwrap();
        let stub = format!("'{}' stub --exact --nocapture", exe.display());
        let spawn = Spawn::new(["sh", "-c", &format!("{stub} & {stub} & wait")]);
        let process = Process::spawn(&spawn.env("STUB_SHARE", file.to_string_lossy())).unwrap();
        wait_until("both have touched it", || process.stdout().text().matches("shared\n").count() == 2);
        let weight = weight(&Scope::of(vec![process.pid()]));
        let rss = weight.processes.iter().map(|process| rss(process.pid)).sum::<u64>();
        (weight.total.pss, rss)
    };
    let (nothing, shared) = (weigh(0), weigh(BYTES));
    let (pss, rss) = (shared.0 - nothing.0, shared.1 - nothing.1);
    assert!(close(pss, BYTES), "PSS says {pss}");
    assert!(close(rss, 2 * BYTES), "RSS says {rss}: the test is wrong");
}

/// A helper whose parent ends becomes a child of process 1, or of whoever collects orphans.
#[test]
fn who_leaves_the_tree_is_weighed_all_the_same() {
    let exe = std::env::current_exe().unwrap();
    let exe = exe.display();
    let script =
        format!("(STUB_ESCAPED=1 {exe} stub --exact >/dev/null 2>&1 &); exec {exe} stub --exact --nocapture");
    let text = format!(
        "name = \"escape\"\nkind = \"process\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
         [env]\nSTUB_LISTEN = \"{{address}}\"\n"
    );
    let path = scratch("weigh-escape").join("escape.toml");
    fs::write(&path, text).unwrap();
    let mut instance = launch(&Target::read(&path).unwrap()).unwrap();
    let scope = instance.scope();
    let Some(group) = &scope.cgroup else {
        return skip_absent("who leaves the tree", "no control group can be made");
    };
    wait_until("the helper has touched its memory", || weight(&scope).total.pss as usize > BYTES);
    let escaped: Vec<i32> =
        group.members().into_iter().filter(|pid| !proc::tree(&scope.roots).contains(pid)).collect();
    assert_eq!(escaped.len(), 1, "one process has left the tree");
    instance.stop().unwrap();
    wait_until("it ends with the instance", || !proc::is_running(escaped[0]));
}

fn rss(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Whether this machine lets the scale make a control group. Where it does, a limit must be possible, too.
fn may_limit(target: &Target, what: &str) -> bool {
    let name = format!("weigh-test-{}", target.name);
    let made = cgroup::places().iter().find_map(|place| Cgroup::make(place, &name, None).ok());
    let Some(group) = made else {
        skip_absent(what, "no control group can be made");
        return false;
    };
    group.remove().unwrap();
    assert!(launch::missing(target).is_empty(), "{:?}", launch::missing(target));
    true
}

#[test]
fn a_limit_holds_and_who_exceeds_it_is_said_to_have_been_killed() {
    let env = format!("STUB_TOUCH = \"{BYTES}\"\n");
    let tight = stub_target("tight", "[limits]\nmemory_mib = 32\n", &env);
    if !may_limit(&tight, "a memory limit") {
        return;
    }
    let error = launch(&tight).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("out of memory at its limit of 32 MiB"), "{error}");
    assert!(error.contains("running 1 test"), "its last words are missing: {error}");

    let instance = launch(&stub_target("wide", "[limits]\nmemory_mib = 256\n", &env)).unwrap();
    let charge = weight(&instance.scope()).cgroup.unwrap();
    assert_eq!(charge.limit, Some(256 << 20));
    assert!(charge.current > BYTES as u64 && charge.anon > BYTES as u64 / 50 * 49, "{charge:?}");
}

#[test]
fn who_exceeds_its_limit_under_load_is_said_to_have_been_killed() {
    let target = stub_target("swells", "[limits]\nmemory_mib = 32\n", "STUB_SWELLS = \"1\"\n");
    if !may_limit(&target, "a memory limit under load") {
        return;
    }
    let mut instance = launch(&target).unwrap();
    instance.check_alive().unwrap();
    let address = instance.address();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("it is killed", || instance.check_alive().is_err());
    let error = instance.check_alive().unwrap_err().to_string();
    assert!(error.contains("out of memory at its limit of 32 MiB"), "{error}");
}

#[test]
fn a_group_of_its_own_is_gone_with_its_instance() {
    let mut instance = launch(&stub_target("grouped", "", "")).unwrap();
    let scope = instance.scope();
    let Some(group) = scope.cgroup else { return skip_absent("a control group", "none can be made") };
    assert_eq!(Cgroup::of(scope.roots[0]), Some(group.clone()));
    assert_eq!(group.members(), scope.roots);
    instance.stop().unwrap();
    drop(instance);
    assert!(!group.directory().exists());
}

#[test]
fn the_phases_of_a_start_are_told_apart() {
    let instance = launch(&stub_target("phases", "", "STUB_PHASES = \"1\"\n")).unwrap();
    let start = instance.start().unwrap();
    assert_eq!(start.page_cache, PageCache::Warm);
    // What is printed first comes from the test harness, before the stub begins.
    let (first, listening) = (start.first_output_ms.unwrap(), start.listening_ms.unwrap());
    let (pause, late) = (PAUSE.as_secs_f64() * 1e3, PAUSE.as_secs_f64() * 1e3 / 2.0);
    assert!(first > 0.0 && listening - first > pause - late, "{start:?}");
    assert!(start.ready_ms - listening > pause - late, "{start:?}");
}

#[test]
fn a_port_that_a_proxy_may_hold_tells_nothing_of_listening() {
    let rest = "[ready]\nconsole = \"stub begins\"\n";
    let start = launch(&stub_target("console", rest, "")).unwrap().start().unwrap();
    assert_eq!(start.listening_ms, None);
    assert!(start.first_output_ms.unwrap() <= start.ready_ms, "{start:?}");
}

#[test]
fn a_start_without_the_page_cache_reads_the_disk_and_takes_a_permission() {
    // A file that no running program keeps in memory.
    let copy = scratch("weigh-copy").join("stub");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let target = target("dropped", &copy, "", "");
    match launch_with(&target, PageCache::Dropped) {
        Ok(instance) => {
            assert_eq!(instance.start().unwrap().page_cache, PageCache::Dropped);
            assert!(read_from_disk(instance.scope().roots[0]) > 0);
        }
        Err(error) => {
            assert!(!may_drop_caches() && error.to_string().contains("run as root"), "{error}");
            skip_absent("a dropped page cache", "that takes root");
        }
    }
}

/// How often a process had to wait for a page that was not in memory.
fn read_from_disk(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(9).unwrap().parse().unwrap()
}

#[test]
fn the_ram_of_a_guest_is_found_in_its_machine() {
    let qemu = "qemu-system-x86_64";
    if find_program(qemu).is_none() {
        return skip_absent("the RAM in a virtual machine", "there is no QEMU");
    }
    // Its firmware alone, which does not run: no page of the RAM is touched, and yet the mapping is there.
    let words = ["-M", "pc", "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-m", "37M"];
    let process = Process::spawn(&Spawn::new([&[qemu], &words[..]].concat())).unwrap();
    wait_until("it has its RAM", || proc::guest_ram(process.pid(), 37 << 20).is_some());
    assert_eq!(proc::guest_ram(process.pid(), 36 << 20), None);
    let kind = Some(Kind::Microvm);
    let weight = weight(&Scope { kind, guest_ram: Some(37 << 20), ..Scope::of(vec![process.pid()]) });
    assert_eq!((weight.processes[0].role, weight.processes.len()), (Role::Vmm, 1));
    let sum: u64 = weight.by_role().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sum, weight.processes[0].memory.pss);
}
