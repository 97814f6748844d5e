//! What a URL of Redis says: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, `rediss://...` for TLS.

use http::Uri;
use percent_encoding::percent_decode_str;
use redis::RedisConnectionInfo;

const PORT: u16 = 6379;

pub struct Url {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    /// User, password and database.
    pub settings: RedisConnectionInfo,
}

impl Url {
    /// # Errors
    /// What is wrong, without repeating any of it: there may be a password.
    pub fn parse(text: &str) -> Result<Url, &'static str> {
        let uri: Uri =
            text.parse().map_err(|_| "it is not a URL with a host; what is odd in a password must be %XX")?;
        let tls = match uri.scheme_str() {
            Some("redis") => false,
            Some("rediss") => true,
            _ => return Err("it begins with neither redis:// nor rediss://"),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("it has no host");
        }
        let after = authority.as_str().rsplit_once(authority.host()).map_or("", |(_, after)| after);
        let port = match after.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| "its port is not a number up to 65535")?,
            None => PORT,
        };
        if uri.query().is_some() {
            return Err("it has a query, which says nothing here");
        }
        let user = authority.as_str().rsplit_once('@').map_or("", |(user, _)| user);
        Ok(Url { tls, host: host.to_owned(), port, settings: settings(user, uri.path())? })
    }
}

fn settings(user: &str, path: &str) -> Result<RedisConnectionInfo, &'static str> {
    let mut settings = RedisConnectionInfo::default();
    let (name, password) = user.split_once(':').map_or((user, None), |(name, word)| (name, Some(word)));
    let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| "user or password are not UTF-8");
    if !name.is_empty() {
        settings = settings.set_username(decoded(name)?);
    }
    if let Some(password) = password {
        settings = settings.set_password(decoded(password)?);
    }
    let database = match path.trim_matches('/') {
        "" => 0,
        number => number.parse::<u32>().map_err(|_| "its path is not the number of a database")?,
    };
    Ok(settings.set_db(database.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_read() {
        let url = Url::parse("rediss://me:p%40ss%2Fword:x@queue.internal:7000/3").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port), (true, "queue.internal", 7000));
        assert_eq!((url.settings.username(), url.settings.password()), (Some("me"), Some("p@ss/word:x")));
        assert_eq!(url.settings.db(), 3);
    }

    #[test]
    fn most_of_it_may_be_left_out() {
        let url = Url::parse("redis://:word@[::1]").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port), (false, "::1", 6379));
        assert_eq!((url.settings.username(), url.settings.password()), (None, Some("word")));
        let url = Url::parse("redis://127.0.0.1/").unwrap();
        assert_eq!((url.settings.username(), url.settings.password(), url.settings.db()), (None, None, 0));
    }

    #[test]
    fn what_is_none_is_refused_and_not_repeated() {
        for odd in [
            "redis://:secret@host:port:0/x/y",
            "redis://:secret@host:65536",
            "redis://:secret@host/x",
            "redis://:secret@host/1?protocol=3",
            "redis://:secret@",
            "redis://:sec ret@host",
            "redis://:secret%FF@host",
            "http://:secret@host",
            "/secret",
        ] {
            let why = Url::parse(odd).err().unwrap_or_else(|| panic!("{odd} was taken"));
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
