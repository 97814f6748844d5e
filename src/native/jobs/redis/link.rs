//! A connection to Redis, which is made when it is needed and made again when it has broken.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use tokio::sync::Mutex;
use tokio::time;

use super::server::{Connection, Server};
use crate::jobs::Away;
use crate::jobs::redis::{Call, Part, STREAM};

/// To connect and to be let in.
const CONNECT: Duration = Duration::from_secs(2);

/// Between two tries to connect; whoever comes meanwhile is refused at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

pub struct Link {
    server: Arc<Server>,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// What Redis calls it.
    client: Option<i64>,
    /// Counts connections, so that an error of an old one does not end a new one.
    generation: u64,
    /// The last try failed: when the next may be, after which pause, and why it failed.
    down: Option<(Instant, Duration, Away)>,
}

impl Link {
    /// `patience`: for an answer.
    pub fn new(server: Arc<Server>, patience: Duration) -> Link {
        Link { server, patience, state: Mutex::default() }
    }

    /// Runs a script. Redis may have forgotten its text, and learns it again then.
    pub async fn call(&self, call: &Call) -> Result<Vec<Part>, Failure> {
        let by_hash = command("EVALSHA", self.server.hash(call.script), call);
        let answer = match self.ask(&by_hash).await {
            Err(error) if error.is(ServerErrorKind::NoScript) => {
                self.ask(&command("EVAL", &call.script.text(), call)).await
            }
            answer => answer,
        };
        Ok(flat(answer?))
    }

    /// Asks anything.
    pub async fn ask(&self, command: &Cmd) -> Result<Value, Failure> {
        let (mut connection, generation) = self.connection().await?;
        match connection.client.send_packed_command(command).await.and_then(Value::extract_error) {
            Ok(value) => Ok(value),
            Err(error) => {
                if broken(&error) {
                    self.disconnect(generation).await;
                }
                Err(Failure::Redis(error))
            }
        }
    }

    /// One connects, the others wait for it.
    async fn connection(&self) -> Result<(Connection, u64), Away> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.generation));
        }
        let mut pause = FIRST_PAUSE;
        if let Some((next, last, why)) = &state.down {
            if Instant::now() < *next {
                return Err(why.clone());
            }
            pause = (*last * 2).min(LAST_PAUSE);
        }
        match self.connect().await {
            Ok((connection, client)) => {
                let generation = state.generation + 1;
                *state = State { connection: Some(connection.clone()), client, generation, down: None };
                Ok((connection, generation))
            }
            Err(error) => {
                let why = Away(format!("{}: {error}{}", self.server.place(), advice(&error)));
                state.down = Some((Instant::now() + pause, pause, why.clone()));
                Err(why)
            }
        }
    }

    async fn connect(&self) -> RedisResult<(Connection, Option<i64>)> {
        let connecting = async {
            let mut connection = self.server.connect(self.patience).await?;
            // Where that is not allowed, we do without.
            let client = cmd("CLIENT").arg("ID").query_async(&mut connection.client).await.ok();
            Ok((connection, client))
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        time::timeout(CONNECT, connecting).await.map_err(late)?
    }

    async fn disconnect(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.connection = None;
        }
    }

    /// What Redis calls this connection, while there is one.
    pub async fn client(&self) -> Option<i64> {
        let state = self.state.lock().await;
        state.connection.as_ref().and(state.client)
    }
}

/// Why there is no answer.
pub enum Failure {
    Away(Away),
    Redis(RedisError),
}

impl Failure {
    fn is(&self, kind: ServerErrorKind) -> bool {
        matches!(self, Failure::Redis(error) if error.kind() == ErrorKind::Server(kind))
    }

    /// Whether the stream or its group is not there.
    pub fn no_group(&self) -> bool {
        self.says("NOGROUP")
    }

    pub fn group_exists(&self) -> bool {
        self.says("BUSYGROUP")
    }

    /// Errors of scripts have the code of what failed in them somewhere inside.
    fn says(&self, code: &str) -> bool {
        matches!(self, Failure::Redis(error) if error.to_string().contains(code))
    }
}

impl From<Away> for Failure {
    fn from(away: Away) -> Failure {
        Failure::Away(away)
    }
}

impl From<Failure> for Away {
    fn from(failure: Failure) -> Away {
        match failure {
            Failure::Away(away) => away,
            Failure::Redis(error) => away(&error),
        }
    }
}

/// Neither the URL nor what was sent is in these texts.
fn away(error: &RedisError) -> Away {
    Away(format!("Redis: {error}{}", if unknown(error) { WHO } else { "" }))
}

/// Whether it does not know us.
fn unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || error.to_string().contains("NOAUTH")
}

const WHO: &str = "; user and password belong in the URL";

/// What to do about it, if that is known.
fn advice(error: &RedisError) -> &'static str {
    let text = error.to_string();
    if text.contains("UnknownIssuer") {
        "; --redis-ca names a file with the certificate of another authority"
    } else if unknown(error) {
        WHO
    } else if text.contains("no connection in time") || text.contains("reset by peer") {
        "; if Redis is well, either both sides must speak TLS (rediss://) or none (redis://)"
    } else {
        ""
    }
}

/// Whether nothing good comes of this connection any more. One that was silent for too long may have answers on their
/// way that nobody waits for; and a replica that is written to was the primary once.
fn broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

fn command(name: &str, script: &str, call: &Call) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(1).arg(STREAM);
    for arg in &call.args {
        command.arg(&arg[..]);
    }
    command
}

/// All values in it, in their order.
pub fn flat(value: Value) -> Vec<Part> {
    let mut parts = Vec::new();
    flatten(value, &mut parts);
    parts
}

fn flatten(value: Value, parts: &mut Vec<Part>) {
    match value {
        Value::Int(number) => parts.push(Part::Int(number)),
        Value::BulkString(text) => parts.push(Part::Text(text)),
        Value::SimpleString(text) => parts.push(Part::Text(text.into())),
        Value::Array(values) => values.into_iter().for_each(|value| flatten(value, parts)),
        // Of a later protocol than we ask for.
        _ => parts.push(Part::Nil),
    }
}
