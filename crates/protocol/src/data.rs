//! Binary payloads in text: base64 with padding (RFC 4648 section 4).

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::STANDARD;

const ENGINE: GeneralPurpose = STANDARD;

/// The bytes as base64.
pub fn encode_base64(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// The bytes behind a `data_base64`.
///
/// # Errors
/// A sentence that names the field and what is wrong.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    ENGINE
        .decode(text)
        .map_err(|error| format!("`data_base64` is no base64 (RFC 4648, with padding): {error}"))
}
