//! How processes that share a file learn of each other's jobs without asking again and again: whoever has queued jobs
//! touches the file, and the kernel tells who watches it. Touching comes after the commit; what SQLite itself
//! writes comes before, when there is nothing to be seen yet.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Where one waits. On a system without inotify nobody ever rings.
#[derive(Default)]
pub struct Door {
    watch: Option<AsyncFd<OwnedFd>>,
    /// Whether the file itself is watched, rather than the directory in which it is to appear.
    file: bool,
}

impl Door {
    /// Watches the file, or while there is none, its directory.
    pub fn watch(&mut self, path: &Path, exists: bool) {
        if exists && !self.file {
            self.watch = watch(path, WatchFlags::ATTRIB).ok();
            self.file = true;
        } else if !exists && self.watch.is_none() {
            let directory = path.parent().unwrap_or(path);
            self.watch = watch(directory, WatchFlags::CREATE | WatchFlags::MOVED_TO).ok();
        }
    }

    /// Waits until somebody has rung since the last time.
    pub async fn rung(&self) {
        let Some(watch) = &self.watch else { return pending().await };
        // Which events there were is of no interest.
        let mut events = [0; 512];
        let read = watch.async_io(Interest::READABLE, |file| Ok(rustix::io::read(file, &mut events)?));
        if read.await.is_err() {
            pending().await
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe code, and here the descriptor is owned as that demands"
)]
fn watch(path: &Path, what: WatchFlags) -> io::Result<AsyncFd<OwnedFd>> {
    let file = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&file, path, what)?;
    AsyncFd::with_interest(file, Interest::READABLE)
}

/// Tells all who watch the file. It is not opened: closing it would give up SQLite's locks.
pub fn ring(path: &Path) {
    let now = || Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now(), last_modification: now() };
    // Others then wait for their own timers.
    let _ = utimensat(CWD, path, &times, AtFlags::empty());
}
