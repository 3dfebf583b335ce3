//! Tidegate's wire: the frames of the native door with their codecs, the envelope, the codes.
//!
//! Bytes become values of `tidegate-core` here and back; whatever is wrong with them is said with
//! field, limit and value. It must not know sockets, Redis or sessions.

mod client_frame;
mod codec;
pub mod codes;
mod data;
mod envelope;
mod flat;
pub mod json;
mod logged;
pub mod msgpack;
mod reading;
mod server_frame;

pub use client_frame::{ClientFrame, MAX_KEY, Malformed};
pub use codec::Codec;
pub use data::{decode_base64, encode_base64};
pub use envelope::Envelope;
pub use logged::Logged;
pub use server_frame::{EventFrame, ServerFrame};
