//! The listening socket: takes connections, at most as many as may be open, and hands each to the worker that
//! has the fewest.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::worker::{Arrival, Slot, Worker};
use super::{Server, log};
use crate::router::Surface;

/// A worker and the way to it.
#[derive(Clone)]
pub struct Member {
    pub worker: Arc<Worker>,
    pub arrivals: mpsc::UnboundedSender<Arrival>,
}

pub struct Acceptor {
    pub server: Arc<Server>,
    pub surface: Surface,
    /// One permit for each connection that may be open.
    pub slots: Arc<Semaphore>,
    pub team: Vec<Member>,
}

/// Connections that wait for us to take them; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long to leave the listener alone when the system has no file descriptor or memory for one more.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a handshake may be under way that was begun before the listener closes.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// A classic BPF program that drops segments with SYN and without ACK: new connections, and nothing else.
/// Connections inherit it from their listener, which is why it must let everything else pass.
const NO_SYN: [SockFilter; 5] = {
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K: how many bytes of the segment to keep
    const FLAGS: u32 = 13; // where the TCP header has them
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
};

pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Some unikernels do not know this option, and do without.
    let _ = socket.set_reuseaddr(true);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Acceptor {
    /// Takes connections until `stop`, then those that the kernel had taken by then, so that none is lost.
    pub async fn run(self, listener: TcpListener, stop: Arc<Notify>) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.notified() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    failing = false;
                    if let Ok(stream) = stream.into_std() {
                        self.hand_over(stream).await;
                    }
                }
                // The client hung up while it waited.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        log::event(
                            "cannot accept connections for now",
                            &[("error", log::Field::Text(&error.to_string()))],
                        );
                    }
                    self.crowded(true);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.close(listener).await;
    }

    /// Closing a listener resets the connections that the kernel has taken for it and nobody has accepted, so
    /// first no more may come, then those that are there are taken.
    async fn close(&self, listener: TcpListener) {
        // Where the platform has no such filter a connection that comes at the very last moment is lost.
        let _ = SockRef::from(&listener).attach_filter(&NO_SYN);
        tokio::time::sleep(HANDSHAKE).await;
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            self.hand_over(stream).await;
        }
    }

    /// The metrics port has slots of its own, and says nothing about the service's.
    fn crowded(&self, crowded: bool) {
        if self.surface != Surface::Metrics {
            self.server.set_crowded(crowded);
        }
    }

    /// Waits for a free slot first. While somebody waits, connections are wanted back.
    async fn hand_over(&self, stream: std::net::TcpStream) {
        let permit = match self.slots.clone().try_acquire_owned() {
            Ok(permit) => {
                self.crowded(false);
                permit
            }
            Err(_) => {
                self.crowded(true);
                let permit = self.slots.clone().acquire_owned().await;
                permit.expect("the semaphore is never closed")
            }
        };
        // Some unikernels do not know this option, and do without.
        let _ = stream.set_nodelay(true);
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let Some(member) = self.team.iter().min_by_key(|member| member.worker.open.load(Relaxed)) else {
            return;
        };
        let slot = Slot::new(member.worker.clone(), permit);
        // Workers live as long as their senders.
        let _ = member.arrivals.send(Arrival { stream, surface: self.surface, slot });
    }
}
