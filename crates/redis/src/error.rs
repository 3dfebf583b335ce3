//! What can go wrong with Redis, by what the caller can do.

/// Why Redis did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// It does not answer, not in time, or asks to come back. Whether it was done is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// It answers, but refuses; holds its words. Somebody must act.
    #[error("{0}")]
    Refused(String),
    /// The channel's slot is another node's. It was not done.
    #[error("{0}")]
    Moved(String),
    /// The settings name no server that could be reached; says which setting.
    #[error("{0}")]
    Address(String),
}

impl RedisError {
    /// The code that the server's words start with, such as `OOM`.
    pub fn code(&self) -> Option<&str> {
        let (Self::Unavailable(words) | Self::Refused(words) | Self::Moved(words) | Self::Address(words)) =
            self;
        let first = words.split(' ').next()?;
        first.bytes().all(|byte| byte.is_ascii_uppercase()).then_some(first)
    }

    pub(crate) fn unavailable(why: &str) -> Self {
        Self::Unavailable(why.to_owned())
    }
}

/// Words of a server that is not ready yet, or not the right one for a moment.
const COME_BACK: [&str; 4] = ["LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"];

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        match error.code() {
            Some(code @ ("MOVED" | "ASK")) => Self::Moved(words(&error, code)),
            Some(code) if !COME_BACK.contains(&code) => Self::Refused(words(&error, code)),
            Some(code) => Self::Unavailable(words(&error, code)),
            None => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<redis::ServerError> for RedisError {
    fn from(error: redis::ServerError) -> Self {
        redis::RedisError::from(error).into()
    }
}

/// What the server said, as it said it.
fn words(error: &redis::RedisError, code: &str) -> String {
    match error.detail() {
        Some(detail) => format!("{code} {detail}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> RedisError {
        let redis::Value::ServerError(error) = redis::parse_redis_value(line.as_bytes()).unwrap() else {
            panic!("{line:?} is no error");
        };
        error.into()
    }

    #[test]
    fn a_server_that_is_not_ready_is_unavailable_a_wrong_one_says_so_others_refuse() {
        for line in ["LOADING dataset", "MASTERDOWN no link", "TRYAGAIN slot", "CLUSTERDOWN down"] {
            assert_eq!(said(&format!("-{line}\r\n")), RedisError::Unavailable(line.into()));
        }
        for line in ["MOVED 866 127.0.0.1:7002", "ASK 866 127.0.0.1:7002"] {
            assert_eq!(said(&format!("-{line}\r\n")), RedisError::Moved(line.into()));
        }
        for line in ["OOM command not allowed", "NOPERM no", "READONLY replica", "ERR syntax"] {
            assert_eq!(said(&format!("-{line}\r\n")), RedisError::Refused(line.into()));
        }
    }
}
