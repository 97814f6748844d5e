//! One connection of the load: a non-blocking socket, what it is doing, and the response being read from it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, connect, send, socket_with, sockopt};

use super::response::Reader;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No socket until this time.
    Down {
        retry: u64,
    },
    /// Connecting since this time.
    Connecting {
        since: u64,
    },
    Idle,
    /// A request is in flight.
    Busy,
}

pub(super) struct Connection {
    pub(super) socket: Option<OwnedFd>,
    pub(super) state: State,
    /// Which of the plan's exchanges the request in flight belongs to.
    pub(super) kind: usize,
    /// When the request in flight was due, and when it was sent, in nanoseconds since the start.
    pub(super) intended: u64,
    pub(super) sent: u64,
    /// Bytes of the request that the kernel has taken.
    pub(super) written: usize,
    pub(super) reader: Reader,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            socket: None,
            state: State::Down { retry: 0 },
            kind: 0,
            intended: 0,
            sent: 0,
            written: 0,
            reader: Reader::new(),
        }
    }

    /// Begins to connect; the socket becomes writable when that is done.
    pub(super) fn open(&mut self, address: SocketAddr, now: u64) -> io::Result<&OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.state = State::Connecting { since: now };
        Ok(self.socket.insert(socket))
    }

    /// Whether the connect that was in progress has succeeded.
    pub(super) fn connected(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| matches!(sockopt::socket_error(socket), Ok(Ok(()))))
    }

    /// Writes what is left of the request, as much as the kernel takes.
    pub(super) fn write(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        while self.written < request.len() {
            match send(socket, &request[self.written..], SendFlags::NOSIGNAL) {
                Ok(n) => self.written += n,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) fn close(&mut self, retry: u64) {
        self.socket = None;
        self.state = State::Down { retry };
        self.reader.reset();
    }
}
