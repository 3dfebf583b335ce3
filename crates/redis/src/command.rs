//! Commands about one key, and what is answered to them. The key says which server gets one.

use bytes::Bytes;
use redis::{Pipeline, ServerErrorKind, Value};

use crate::RedisError;
use crate::dialect::Dialect;

/// What is sent to the server that owns its key.
pub(crate) trait Keyed {
    /// The key or pub/sub name.
    fn key(&self) -> &str;
    /// Bytes it adds to those that wait for answers.
    fn bytes(&self) -> usize;
    /// Adds its one command.
    fn add_to(&self, pipeline: &mut Pipeline, dialect: Dialect);
}

/// A message to publish: pub/sub name, payload.
impl<P: AsRef<[u8]>> Keyed for (String, P) {
    fn key(&self) -> &str {
        &self.0
    }

    fn bytes(&self) -> usize {
        self.0.len() + self.1.as_ref().len()
    }

    fn add_to(&self, pipeline: &mut Pipeline, dialect: Dialect) {
        pipeline.cmd(dialect.publish()).arg(&self.0).arg(self.1.as_ref());
    }
}

impl<K: Keyed> Keyed for &K {
    fn key(&self) -> &str {
        (*self).key()
    }

    fn bytes(&self) -> usize {
        (*self).bytes()
    }

    fn add_to(&self, pipeline: &mut Pipeline, dialect: Dialect) {
        (*self).add_to(pipeline, dialect);
    }
}

/// A call of a function of the library, about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// The key it is about.
    pub key: String,
    /// What follows the key.
    pub arguments: Vec<Bytes>,
}

impl Keyed for Call {
    fn key(&self) -> &str {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.arguments.iter().map(Bytes::len).sum::<usize>()
    }

    fn add_to(&self, pipeline: &mut Pipeline, _: Dialect) {
        let call = pipeline.cmd("FCALL").arg(&self.function).arg(1).arg(&self.key);
        for argument in &self.arguments {
            call.arg(&argument[..]);
        }
    }
}

/// Fields of the hash at one key.
pub(crate) struct Fields<'a> {
    pub(crate) key: String,
    pub(crate) fields: &'a [&'a str],
}

impl Keyed for Fields<'_> {
    fn key(&self) -> &str {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.key.len()
    }

    fn add_to(&self, pipeline: &mut Pipeline, _: Dialect) {
        pipeline.cmd("HMGET").arg(&self.key).arg(self.fields);
    }
}

/// Calls, and the question whose history they write: it goes first, so that what follows is not of an earlier one.
pub(crate) enum Writing<'a> {
    /// `INFO replication`, at the server of this key.
    Lineage(&'a str),
    Call(&'a Call),
}

impl Keyed for Writing<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Lineage(key) => key,
            Self::Call(call) => call.key(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Lineage(_) => 0,
            Self::Call(call) => call.bytes(),
        }
    }

    fn add_to(&self, pipeline: &mut Pipeline, dialect: Dialect) {
        match self {
            Self::Lineage(_) => {
                pipeline.cmd("INFO").arg("replication");
            }
            Self::Call(call) => call.add_to(pipeline, dialect),
        }
    }
}

/// What is sent beside commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// `ROLE`, first: a server that is no master is not believed.
    Role,
    /// `ASKING`, before each: the slot is on its way to this server.
    Asking,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nil.
    Nothing,
    /// A number.
    Integer(i64),
    /// Bytes, or a word such as `OK`.
    Bytes(Bytes),
    /// Several.
    List(Vec<Answer>),
}

impl Answer {
    pub(crate) fn understand(value: Value) -> Result<Self, RedisError> {
        Ok(match value {
            Value::Nil => Self::Nothing,
            Value::Int(number) => Self::Integer(number),
            Value::BulkString(bytes) => Self::Bytes(bytes.into()),
            Value::SimpleString(word) => Self::Bytes(word.into_bytes().into()),
            Value::Okay => Self::Bytes(Bytes::from_static(b"OK")),
            Value::Array(values) => {
                Self::List(values.into_iter().map(Self::understand).collect::<Result<_, _>>()?)
            }
            Value::ServerError(error) => return Err(error.into()),
            other => return Err(RedisError::Refused(format!("an answer that nobody expects: {other:?}"))),
        })
    }
}

/// The library is not there: a new node of a Cluster, a snapshot that is older than it, `FUNCTION FLUSH`.
pub(crate) fn is_function_missing(answer: &Value) -> bool {
    // It has no code of its own.
    matches!(answer, Value::ServerError(error) if error.details() == Some("Function not found"))
}

/// The server is a replica.
pub(crate) fn is_read_only(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Value {
        redis::parse_redis_value(line.as_bytes()).expect("an answer")
    }

    #[test]
    fn answers_are_understood_errors_inside_too() {
        let list = said("*4\r\n$-1\r\n:7\r\n$1\r\nx\r\n+OK\r\n");
        let bytes = |text: &'static [u8]| Answer::Bytes(Bytes::from_static(text));
        let expected = vec![Answer::Nothing, Answer::Integer(7), bytes(b"x"), bytes(b"OK")];
        assert_eq!(Answer::understand(list), Ok(Answer::List(expected)));
        assert_eq!(
            Answer::understand(said("-TGKEY no\r\n")),
            Err(RedisError::Refused("TGKEY no".to_owned()))
        );
        assert!(is_function_missing(&said("-ERR Function not found\r\n")));
        assert!(!is_function_missing(&said("-ERR unknown\r\n")));
        assert!(is_read_only(&said("-READONLY a replica\r\n")));
    }
}
