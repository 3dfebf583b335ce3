//! Bad input at every way in, byte for byte: each gets its documented answer, and the node goes on.
//!
//! Each file is a way in, each row of its tables one slip or attack with the answer that the documents
//! promise. The tables are also driven all together, many times, against one node whose memory is
//! watched while an honest client is served (`memory`).

mod support;

#[path = "bad_input/admin.rs"]
mod admin;
#[path = "bad_input/bare.rs"]
mod bare;
#[path = "bad_input/command_line.rs"]
mod command_line;
#[path = "bad_input/http.rs"]
mod http;
#[path = "bad_input/memory.rs"]
mod memory;
#[path = "bad_input/native.rs"]
mod native;
#[path = "bad_input/redis_payloads.rs"]
mod redis_payloads;
#[path = "bad_input/row.rs"]
mod row;
#[path = "bad_input/socket.rs"]
mod socket;
#[path = "bad_input/websocket.rs"]
mod websocket;
