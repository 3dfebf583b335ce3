//! Who publishes in a scenario.

use std::fmt;
use std::str::FromStr;

/// The way in which events enter the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// Redis `PUBLISH`: live, no position.
    #[default]
    Publish,
    /// Redis `FCALL tg_publish`: numbered and kept where the namespace has history.
    Fcall,
    /// The admin port.
    Http,
    /// A native client at the public door.
    Client,
}

impl FromStr for Via {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "publish" => Self::Publish,
            "fcall" => Self::Fcall,
            "http" => Self::Http,
            "client" => Self::Client,
            _ => return Err("publishers are publish, fcall, http, client".to_owned()),
        })
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Fcall => "fcall",
            Self::Http => "http",
            Self::Client => "client",
        })
    }
}
