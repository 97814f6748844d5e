//! Texts that wait for the model: so many, and no more.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Refusal;

pub struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    most: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The next job's number.
    next: u64,
}

/// A text to be computed.
pub struct Job {
    number: u64,
    pub text: String,
    pub answer: oneshot::Sender<Result<f32, Refusal>>,
}

/// A text's place in the queue, which is free again once this is dropped.
pub struct Place<'a> {
    queue: &'a Queue,
    number: u64,
    pub answer: oneshot::Receiver<Result<f32, Refusal>>,
}

impl Queue {
    pub fn new(most: usize) -> Queue {
        Queue { waiting: Mutex::default(), arrived: Condvar::new(), most }
    }

    pub fn push(&self, text: String) -> Result<Place<'_>, Refusal> {
        let mut waiting = self.lock();
        if waiting.jobs.len() >= self.most {
            return Err(Refusal::Busy);
        }
        let (sender, answer) = oneshot::channel();
        let number = waiting.next;
        waiting.next += 1;
        waiting.jobs.push_back(Job { number, text, answer: sender });
        self.arrived.notify_one();
        Ok(Place { queue: self, number, answer })
    }

    /// Waits for a job.
    pub fn next(&self) -> Job {
        let mut waiting = self.lock();
        loop {
            match waiting.jobs.pop_front() {
                Some(job) => return job,
                None => waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.lock().jobs.retain(|job| job.number != self.number);
    }
}
