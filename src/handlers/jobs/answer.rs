//! What a client gets to see of jobs.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::jobs::{Job, Uuid};

#[derive(Serialize)]
pub struct Accepted {
    #[serde(serialize_with = "display")]
    pub job_id: Uuid,
    pub status: &'static str,
}

#[derive(Serialize)]
pub struct Page<'a> {
    pub jobs: Vec<Item<'a>>,
    /// The next page's cursor.
    pub next: Option<&'a str>,
}

#[derive(Serialize)]
pub struct Item<'a> {
    #[serde(serialize_with = "display")]
    job_id: Uuid,
    kind: &'a str,
    status: &'static str,
    attempts: u32,
    #[serde(serialize_with = "time")]
    created_at: Option<u64>,
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    started_at: Option<u64>,
    #[serde(serialize_with = "time", skip_serializing_if = "Option::is_none")]
    finished_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Item<'_> {
    pub fn of(job: &Job) -> Item<'_> {
        Item {
            job_id: job.id,
            kind: &job.kind,
            status: job.status.as_str(),
            attempts: job.attempts,
            created_at: Some(job.created),
            started_at: job.started,
            finished_at: job.finished,
            // It was made by us.
            result: job.result.as_deref().and_then(|result| serde_json::from_str(result).ok()),
            error: job.error.as_deref(),
        }
    }
}

fn display<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// RFC 3339, UTC, to a millisecond.
fn time<S: Serializer>(time: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    // Past the year 9999 there is no such text.
    const MOST: u64 = 253_402_300_799_999;
    let since = Duration::from_millis(time.unwrap_or_default().min(MOST));
    serializer.collect_str(&humantime::format_rfc3339_millis(UNIX_EPOCH + since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Status;

    #[test]
    fn a_job_is_shown_with_what_it_has() {
        let mut job = Job {
            id: Uuid::nil(),
            kind: "uppercase".into(),
            status: Status::Queued,
            attempts: 0,
            created: 1_700_000_000_123,
            started: None,
            finished: None,
            result: None,
            error: None,
        };
        let shown = |job: &Job| serde_json::to_string(&Item::of(job)).unwrap();
        assert_eq!(
            shown(&job),
            "{\"job_id\":\"00000000-0000-0000-0000-000000000000\",\"kind\":\"uppercase\",\"status\":\"queued\",\
             \"attempts\":0,\"created_at\":\"2023-11-14T22:13:20.123Z\"}"
        );
        job.result = Some(r#"{"score":3}"#.into());
        job.finished = Some(u64::MAX);
        assert!(shown(&job).ends_with(r#""finished_at":"9999-12-31T23:59:59.999Z","result":{"score":3}}"#));
    }
}
