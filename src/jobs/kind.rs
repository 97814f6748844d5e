//! The registry of what a job may be.

use std::future::Future;
use std::time::Duration;

use crate::handlers::analyze;
use crate::values::time;

/// One that sleeps keeps others from being done.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uppercase,
    /// The toxicity of the text.
    Analyze,
    /// As long as the text says, such as `250ms`: for tests.
    Sleep,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Uppercase, Kind::Analyze, Kind::Sleep];

    /// What this build can do.
    pub fn built() -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Analyze || analyze::LOADED)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Uppercase => "uppercase",
            Kind::Analyze => "analyze",
            Kind::Sleep => "sleep",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::built().find(|kind| kind.as_str() == name)
    }

    /// Whether a job of this kind can be made of `text`; an error completes the sentence "text …".
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Uppercase => Ok(()),
            Kind::Analyze => match text.chars().count() {
                count if count > analyze::MAX_CHARS => Err(format!(
                    "has {count} characters; a job of kind analyze takes at most {}",
                    analyze::MAX_CHARS
                )),
                _ => Ok(()),
            },
            Kind::Sleep => match time(text, 0) {
                Ok(length) if length <= LONGEST_SLEEP => Ok(()),
                _ => Err("is not a time of 60m at most, such as 250ms or 2s".into()),
            },
        }
    }

    /// Does the work. The result is JSON; an error is for good.
    pub async fn run<F: Future<Output = ()>>(
        self,
        text: &str,
        sleep: impl FnOnce(Duration) -> F,
    ) -> Result<String, String> {
        match self {
            Kind::Uppercase => Ok(serde_json::Value::String(text.to_uppercase()).to_string()),
            Kind::Analyze => Ok(analyze::result(text)),
            Kind::Sleep => {
                let length = time(text, 0).map_err(|why| format!("the text {why}"))?;
                sleep(length).await;
                Ok("null".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_is_that_of_unicode() {
        for (text, result) in [
            ("bonjour le monde", r#""BONJOUR LE MONDE""#),
            ("straße, ﬁn, ǆ", r#""STRASSE, FIN, Ǆ""#),
            ("\"\u{0}\n😀", r#""\"\u0000\n😀""#),
        ] {
            let mut work = std::pin::pin!(Kind::Uppercase.run(text, |_| std::future::pending()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let std::task::Poll::Ready(done) = work.as_mut().poll(&mut context) else { panic!("{text}") };
            assert_eq!(done.as_deref(), Ok(result));
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_beforehand() {
        assert_eq!(Kind::named("uppercase"), Some(Kind::Uppercase));
        assert_eq!(Kind::named("lowercase"), None);
        assert!(Kind::Sleep.check("250ms").is_ok() && Kind::Sleep.check("soon").is_err());
        assert!(Kind::Uppercase.check("soon").is_ok());
    }
}
