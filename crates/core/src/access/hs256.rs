//! Tokens signed with a shared secret: JWT with HS256 (RFC 7519, RFC 7518 section 3.2).
//!
//! The algorithm is pinned to the key: a token's own `alg` chooses nothing.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::{Grants, Identity};

/// How far the clocks of whoever mints tokens and of this node may be apart, in seconds.
const LEEWAY_S: u64 = 30;
/// The longest token that is looked at, in bytes: headers are bounded to less than this anyway.
pub(super) const MAX_TOKEN_BYTES: usize = 8 << 10;
/// The shortest secret, in bytes: RFC 7518 section 3.2 wants as many as the hash has.
const MIN_SECRET_BYTES: usize = 32;

/// Verifies tokens of one secret.
pub struct Hs256 {
    key: DecodingKey,
    validation: Validation,
}

/// What is wrong with a token or a secret. Says nothing of their content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, or not one with the claims we need.
    #[error("the token is malformed: {0}")]
    Malformed(String),
    /// Signed with another secret, or by another algorithm than HS256.
    #[error("the token's signature is not valid (HS256 with this cluster's secret is expected)")]
    Signature,
    /// `exp` has passed.
    #[error("the token expired")]
    Expired,
    /// `nbf` is yet to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// The secret is too short; holds its length.
    #[error("auth.hmac_secret must have at least 32 bytes, this one has {0}")]
    ShortSecret(usize),
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: u64,
    nbf: Option<u64>,
    #[serde(default)]
    grants: Grants,
}

impl Hs256 {
    /// A verifier for `secret`.
    ///
    /// # Errors
    /// [`TokenError::ShortSecret`] below 32 bytes.
    pub fn new(secret: &str) -> Result<Self, TokenError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(TokenError::ShortSecret(secret.len()));
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below against the time that was passed in; one secret means one
        // audience.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(Self { key: DecodingKey::from_secret(secret.as_bytes()), validation })
    }

    /// Who `token` says this is. `unix_s` is the time in seconds since 1970.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong.
    pub fn verify(&self, token: &str, unix_s: u64) -> Result<Identity, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed(format!(
                "{} bytes, at most {MAX_TOKEN_BYTES} are read",
                token.len()
            )));
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|e| explain(&e))?
            .claims;
        let ends = claims.exp.saturating_add(LEEWAY_S);
        if unix_s >= ends {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| unix_s.saturating_add(LEEWAY_S) < nbf) {
            return Err(TokenError::NotYet);
        }
        Ok(Identity { user: claims.sub.map(Arc::from), grants: claims.grants, expires: Some(ends) })
    }
}

fn explain(error: &jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            TokenError::Signature
        }
        // serde's words name the claim and the type, not the value.
        ErrorKind::Json(json) if json.is_data() => TokenError::Malformed(claim_of(&json.to_string())),
        _ => TokenError::Malformed(
            "three base64url parts, with `sub`, `exp` and `grants`, are expected".into(),
        ),
    }
}

/// Which claim is at fault; the value itself stays out of messages and logs.
fn claim_of(serde_words: &str) -> String {
    match serde_words {
        words if words.contains("`exp`") => "`exp` is missing (seconds since 1970)".into(),
        words if words.contains("`nbf`") || words.contains("u64") => {
            "`exp` and `nbf` must be whole seconds since 1970".into()
        }
        _ => "`sub` must be a string, `grants` an object of lists of channel patterns".into(),
    }
}

impl fmt::Debug for Hs256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hs256(secret)")
    }
}
