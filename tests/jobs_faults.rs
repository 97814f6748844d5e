//! Jobs in a file whose disk fills up or turns read-only, and whose workers sleep through their leases.

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, id as own_id};

use common::jobs::{becomes, id, job, stored, submit};
use common::{Server, eventually, skip};
use ounce_bench::launch::Signal;

/// A file system of 1 MiB, in memory; unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    /// `None` where that is not allowed, which is said.
    fn new(name: &str) -> Option<Disk> {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{name}-{}", own_id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        let disk = Disk(path);
        if disk.mount("size=1m") {
            return Some(disk);
        }
        skip("a disk that fills up", "only root may mount one");
        None
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }

    fn serve(&self, flags: &[&str]) -> Server {
        serve(&self.0, flags)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
    }
}

fn serve(directory: &Path, flags: &[&str]) -> Server {
    Server::start(&[&["--data-dir", directory.to_str().expect("text")], flags].concat())
}

fn all_done(server: &Server, accepted: &HashMap<String, String>) {
    for (id, text) in accepted {
        assert_eq!(becomes(server, id, "done")["result"], text.to_uppercase());
    }
}

#[test]
fn a_full_disk_refuses_jobs_and_loses_none() {
    let Some(disk) = Disk::new("full") else { return };
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![0; 400_000]).expect("it fits");
    let mut server = disk.serve(&["--worker", "off"]);
    let (mut client, mut accepted) = (server.connect(), HashMap::new());
    let refused = loop {
        let text = format!("{} {}", accepted.len(), "x".repeat(1000));
        let answer = submit(&mut client, "uppercase", &text, None);
        if answer.status != 202 {
            break answer;
        }
        accepted.insert(id(&answer), text);
        assert!(accepted.len() < 2000, "it never fills up");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    eventually("it says why", || server.process.stderr().text().contains("the disk is full: make room"));
    // Killed in that state.
    server.process.signal(Signal::KILL).expect("it can be killed");
    server.exit_code();
    fs::remove_file(&filler).expect("it is there");
    let server = disk.serve(&[]);
    all_done(&server, &accepted);
    assert!(accepted.len() > 10, "{}", accepted.len());
}

/// The same without a restart: the worker goes on as soon as there is room.
#[test]
fn room_on_the_disk_is_used_at_once() {
    let Some(disk) = Disk::new("room") else { return };
    let server = disk.serve(&[]);
    let mut accepted = HashMap::new();
    let first = stored(&server, "uppercase", "first");
    becomes(&server, &first, "done");
    // Whatever is left.
    let filler = disk.0.join("filler");
    let _ = fs::write(&filler, vec![0; 2_000_000]);
    let mut client = server.connect();
    eventually("it is refused", || {
        let text = format!("{} {}", accepted.len(), "y".repeat(10_000));
        let answer = submit(&mut client, "uppercase", &text, None);
        if answer.status == 202 {
            accepted.insert(id(&answer), text);
        }
        answer.status == 503
    });
    fs::remove_file(&filler).expect("it is there");
    let mut last = String::new();
    eventually("it is accepted", || {
        let answer = submit(&mut client, "uppercase", "last", None);
        last = if answer.status == 202 { id(&answer) } else { String::new() };
        !last.is_empty()
    });
    accepted.insert(last, "last".into());
    all_done(&server, &accepted);
    assert!(server.process.stderr().text().contains("the store of jobs is back"));
}

#[test]
fn a_disk_that_cannot_be_written_to_is_said() {
    let Some(disk) = Disk::new("read-only") else { return };
    assert!(disk.mount("remount,ro,size=1m"));
    let server = disk.serve(&[]);
    assert_eq!(submit(&mut server.connect(), "uppercase", "x", None).status, 503);
    eventually("it says why", || {
        let words = server.process.stderr().text();
        words.contains("ounce.db") && words.contains("--data-dir")
    });
    assert!(disk.mount("remount,rw,size=1m"));
    eventually("it works", || submit(&mut server.connect(), "uppercase", "x", None).status == 202);
}

/// Stopped in the middle of a commit, it would keep the file locked.
fn stop_between_commits(server: &Server) {
    let pid = server.process.pid();
    eventually("it is stopped between two commits", || {
        server.process.signal(Signal::STOP).expect("it can be stopped");
        eventually("it stands", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        });
        let locks = fs::read_to_string("/proc/locks").expect("Linux lists locks");
        let writes = |line: &str| line.contains(&format!(" WRITE {pid} "));
        let between = !locks.lines().any(writes);
        if !between {
            server.process.signal(Signal::CONT).expect("it can go on");
        }
        between
    });
}

/// What does not touch the disk says nothing about it.
#[test]
fn a_store_that_never_was_there_is_not_back() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nowhere-{}/none", own_id()));
    let mut server = serve(&directory, &[]);
    assert_eq!(submit(&mut server.connect(), "uppercase", "x", None).status, 503);
    let nobodys = "/jobs/019a8c5e-3b7e-7a40-9d58-6f0c2f1b7c11";
    assert_eq!(server.connect().request("DELETE", nobodys, &[], b"").status, 404);
    eventually("it says why", || server.process.stderr().text().contains("cannot make the directory"));
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    let words = server.process.stderr().text();
    assert!(!words.contains("is back"), "{words}");
}

/// A worker sleeps through its lease, and wakes up with its job at its end, which another has begun again.
#[test]
fn the_end_of_a_lost_lease_does_not_count() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lease-{}", own_id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let late = serve(&directory, &["--job-lease", "500ms"]);
    let job_id = stored(&late, "sleep", "1500ms");
    becomes(&late, &job_id, "processing");
    stop_between_commits(&late);
    let next = serve(&directory, &["--job-lease", "500ms"]);
    eventually("another begins it", || job(&next, &job_id)["attempts"] == 2);
    late.process.signal(Signal::CONT).expect("it can go on");
    let stale = |server: &Server| server.get("/metrics").text().contains("jobs_stale_total 1\n");
    eventually("its end is refused", || stale(&late));
    assert_eq!(becomes(&next, &job_id, "done")["attempts"], 2);
    assert!(!stale(&next));
    let done = |server: &Server, count: u32| {
        server.get("/metrics").text().contains(&format!("jobs_completed_total{{status=\"done\"}} {count}\n"))
    };
    assert!(done(&late, 0) && done(&next, 1), "it is counted where its end counted");
    drop((late, next));
    let _ = fs::remove_dir_all(&directory);
}
