//! Where Redis is, and the way there: TCP, and TLS on it if the URL says so.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncStream, MultiplexedConnection};
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::tls::Tls;
use super::url::Url;
use crate::jobs::redis::Script;

/// Where Redis is, and what its scripts are called there.
pub struct Server {
    url: Url,
    tls: Option<Tls>,
    hashes: Vec<redis::Script>,
}

impl Server {
    /// # Errors
    /// A URL that is none, or TLS without certificates to trust. They do not repeat the URL: it may hold a password.
    pub fn new(url: &str, authorities: Option<&Path>) -> io::Result<Server> {
        let url =
            Url::parse(url).map_err(|why| io::Error::other(format!("--redis-url cannot be used: {why}")))?;
        let tls = url.tls.then(|| Tls::new(&url.host, authorities)).transpose()?;
        let hashes = Script::all().map(|script| redis::Script::new(&script.text())).collect();
        Ok(Server { url, tls, hashes })
    }

    /// For people: without user and password.
    pub fn place(&self) -> String {
        let over = if self.tls.is_some() { ", over TLS" } else { "" };
        format!("Redis at {}:{}{over}", self.url.host, self.url.port)
    }

    pub fn hash(&self, script: Script) -> &str {
        self.hashes[script as usize].get_hash()
    }

    /// `patience`: for an answer.
    pub async fn connect(&self, patience: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
        let settings = &self.url.settings;
        let (client, driver) =
            MultiplexedConnection::new_with_config(settings, self.stream().await?, config).await?;
        Ok(Connection { client, _driver: Arc::new(Driver(tokio::spawn(driver))) })
    }

    async fn stream(&self) -> io::Result<Pin<Box<dyn AsyncStream + Send>>> {
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some(tls) => Box::pin(tls.wrap(stream).await?),
            None => Box::pin(stream),
        })
    }
}

/// Closed with the last of its clones, even if answers are still to come.
#[derive(Clone)]
pub struct Connection {
    pub client: MultiplexedConnection,
    _driver: Arc<Driver>,
}

struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
