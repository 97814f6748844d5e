//! `ounce health`: asks a running instance how it is, for images without a shell or curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// To connect, and then for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where an instance that listens on `listen` can be asked from the same machine.
pub fn default_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/readyz", SocketAddr::new(ip, listen.port()))
}

/// Asks `url`. Success is any 2xx.
///
/// # Errors
/// Says in one line what went wrong, the status of another answer included.
pub fn ask(url: &str) -> Result<(), String> {
    let status = get(url).map_err(|error| format!("{url}: {error}"))?;
    match status.as_bytes() {
        [b'2', _, _] => Ok(()),
        _ => Err(format!("{url}: answered {status}")),
    }
}

/// The status code of the answer.
fn get(url: &str) -> io::Result<String> {
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("only http:// URLs can be asked"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/readyz" } else { path };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let address = address.to_socket_addrs()?.next().ok_or_else(|| invalid("the host has no address"))?;
    let end = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let line = first_line(&mut stream, end)?;
    let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.split(' ').next());
    let is_status = |status: &&str| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    status.filter(is_status).map(str::to_owned).ok_or_else(|| invalid("the answer is not HTTP"))
}

/// Longer than any status line.
const LINE_BYTES: usize = 256;

fn first_line(stream: &mut TcpStream, end: Instant) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.contains(&b'\r') && line.len() < LINE_BYTES {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; LINE_BYTES];
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => line.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let line = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_listens_everywhere_is_asked_on_loopback() {
        let url = |listen: &str| default_url(listen.parse().unwrap());
        assert_eq!(url("0.0.0.0:8080"), "http://127.0.0.1:8080/readyz");
        assert_eq!(url("[::]:81"), "http://[::1]:81/readyz");
        assert_eq!(url("10.0.0.1:82"), "http://10.0.0.1:82/readyz");
    }

    #[test]
    fn mistakes_name_the_url() {
        assert_eq!(
            ask("https://localhost/").unwrap_err(),
            "https://localhost/: only http:// URLs can be asked"
        );
    }
}
