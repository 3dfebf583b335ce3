//! The two codecs of the native door, and how a client asks for one.

use tidegate_core::Refusal;

use crate::{ClientFrame, Malformed, json, msgpack};

/// How native frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// One JSON object a frame (a client may send several, one a line), in text frames.
    Json,
    /// MessagePack maps back to back, in binary frames.
    MessagePack,
}

impl Codec {
    /// The WebSocket subprotocol that asks for this codec.
    ///
    /// ```
    /// # use tidegate_protocol::Codec;
    /// assert_eq!(Codec::Json.subprotocol(), "tidegate.v1.json");
    /// ```
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "tidegate.v1.json",
            Self::MessagePack => "tidegate.v1.msgpack",
        }
    }

    /// The codec a subprotocol asks for.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::MessagePack].into_iter().find(|codec| codec.subprotocol() == name)
    }

    /// Whether its frames are text frames.
    pub fn is_text(self) -> bool {
        self == Self::Json
    }

    /// The requests in one message of a client, each decoded or refused by itself.
    pub fn decode(self, message: &[u8]) -> Vec<Result<ClientFrame, Malformed>> {
        match self {
            Self::Json => json::decode_client(message),
            Self::MessagePack => msgpack::decode_client(message),
        }
    }

    /// The refusal of a message in the other kind of frame.
    pub fn wrong_frame(self) -> Refusal {
        let kind = if self.is_text() { "text" } else { "binary" };
        let message = format!("{} wants {kind} frames", self.subprotocol());
        Refusal::new(tidegate_core::Reason::BadRequest, message)
    }
}
