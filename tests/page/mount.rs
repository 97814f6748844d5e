//! A proxy that serves a service below a path, as ingresses do: one request a connection, and no more than that.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Serves until the test's process ends.
pub fn below(path: &'static str, service: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || pass(client, path, service));
        }
    });
    address
}

fn pass(client: TcpStream, path: &str, service: SocketAddr) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    let mut line = String::new();
    while client.read_line(&mut line)? > 0 && line != "\r\n" {
        let name = line.to_ascii_lowercase();
        length =
            name.strip_prefix("content-length: ").map_or(length, |rest| rest.trim().parse().unwrap_or(0));
        if !name.starts_with("connection:") {
            head += &line;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    if !head.contains(&format!(" {path}/")) {
        return client
            .get_mut()
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let head = head.replacen(&format!(" {path}/"), " /", 1) + "connection: close\r\n\r\n";
    let mut upstream = TcpStream::connect(service)?;
    upstream.write_all(&[head.as_bytes(), &body].concat())?;
    io::copy(&mut upstream, client.get_mut())?;
    client.get_ref().shutdown(Shutdown::Both)
}
