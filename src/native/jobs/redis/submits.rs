//! Jobs that come while others are on their way to Redis go there together: one call of a script costs Redis and us
//! more than one job in it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::link::Link;
use super::understood;
use crate::jobs::redis::{self as layout, MOST_AT_ONCE, Parts};
use crate::jobs::{Away, New, Submitted};

/// Text that goes together: more would keep short jobs waiting for long ones.
const BYTES: usize = 256 * 1024;

pub struct Submits {
    link: Arc<Link>,
    /// Jobs that may wait in the store.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(New, Reply)>,
    sending: bool,
}

type Reply = oneshot::Sender<Result<Submitted, Away>>;

impl Submits {
    pub fn new(link: Arc<Link>, limit: usize) -> Submits {
        Submits { link, limit, state: Mutex::default() }
    }

    pub async fn submit(self: Arc<Self>, new: New) -> Result<Submitted, Away> {
        let (reply, became) = oneshot::channel();
        let idle = {
            let mut state = self.state();
            state.waiting.push((new, reply));
            !mem::replace(&mut state.sending, true)
        };
        if idle {
            tokio::spawn(self.send());
        }
        became.await.unwrap_or_else(|_| Err(Away("Redis: nobody sends jobs".into())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self: Arc<Self>) {
        while let Some((jobs, replies)) = self.next() {
            let count = replies.len();
            match self.store(jobs).await {
                Ok(became) if became.len() == count => {
                    replies.into_iter().zip(became).for_each(|(reply, became)| drop(reply.send(Ok(became))));
                }
                Ok(_) => refuse(replies, &Away("Redis: fewer answers than jobs".into())),
                Err(away) => {
                    refuse(replies, &away);
                    // They have waited for long enough too.
                    let rest = mem::take(&mut self.state().waiting);
                    refuse(rest.into_iter().map(|(_, reply)| reply).collect(), &away);
                }
            }
        }
    }

    /// What goes together now, without those whose client has gone; `None` is the end.
    fn next(&self) -> Option<(Vec<New>, Vec<Reply>)> {
        let mut state = self.state();
        state.waiting.retain(|(_, reply)| !reply.is_closed());
        let mut bytes = 0;
        let fits = |(new, _): &&(New, Reply)| {
            bytes += new.text.len();
            bytes <= BYTES
        };
        let count = state.waiting.iter().take(MOST_AT_ONCE).take_while(fits).count();
        state.sending = count > 0;
        state.sending.then(|| state.waiting.drain(..count).unzip())
    }

    async fn store(&self, jobs: Vec<New>) -> Result<Vec<Submitted>, Away> {
        let parts = self.link.call(&layout::submit(self.limit, jobs)).await?;
        understood(layout::submitted(Parts::new(parts)))
    }
}

fn refuse(replies: Vec<Reply>, away: &Away) {
    for reply in replies {
        let _ = reply.send(Err(away.clone()));
    }
}
