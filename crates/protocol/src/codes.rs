//! The one table of codes: how each reason and each close is spelled on the wire.
//!
//! docs/protocol.md lists the same; `cargo xtask tidy` compares them.

use tidegate_core::{Close, Reason};

/// Each error code: its reason, its spelling, and the HTTP status that says the same.
pub const ERRORS: &[(Reason, &str, u16)] = &[
    (Reason::BadRequest, "bad_request", 400),
    (Reason::UnknownType, "unknown_type", 400),
    (Reason::BadChannel, "bad_channel", 400),
    (Reason::UnknownChannel, "unknown_channel", 404),
    (Reason::NotConnected, "not_connected", 400),
    (Reason::AlreadySubscribed, "already_subscribed", 400),
    (Reason::NotSubscribed, "not_subscribed", 400),
    (Reason::Unauthorized, "unauthorized", 401),
    (Reason::Forbidden, "forbidden", 403),
    (Reason::TooManyChannels, "too_many_channels", 400),
    (Reason::TooLarge, "too_large", 413),
    (Reason::RateLimited, "rate_limited", 429),
    (Reason::KeyReused, "key_reused", 409),
    (Reason::NotReplicated, "not_replicated", 503),
    (Reason::Behind, "behind", 503),
    (Reason::Unavailable, "unavailable", 503),
    (Reason::Internal, "internal", 500),
];

/// Each close: its number and its name. 4000–4099 never come back, 4100–4199 come back after
/// backing off, 4200–4299 soon; the others are RFC 6455's (section 7.4.1).
pub const CLOSES: &[(Close, u16, &str)] = &[
    (Close::Normal, 1000, "normal"),
    (Close::Protocol, 1002, "protocol_error"),
    (Close::InvalidUtf8, 1007, "invalid_utf8"),
    (Close::TooBig, 1009, "too_big"),
    (Close::BadRequest, 4000, "bad_request"),
    (Close::Unauthorized, 4001, "unauthorized"),
    (Close::ConnectTimeout, 4002, "connect_timeout"),
    (Close::Forbidden, 4003, "forbidden"),
    (Close::Slow, 4100, "slow"),
    (Close::Overloaded, 4101, "overloaded"),
    (Close::RateLimited, 4102, "rate_limited"),
    (Close::Internal, 4103, "internal"),
    (Close::Draining, 4200, "draining"),
    (Close::NoPong, 4201, "no_pong"),
    (Close::Expired, 4202, "expired"),
];

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComeBack {
    /// The same attempt would be refused again.
    Never,
    /// After backing off.
    Later,
    /// At once, to any node, with a little jitter.
    Soon,
}

/// The spelling of a reason.
pub fn error_code(reason: Reason) -> &'static str {
    row(reason).1
}

/// The HTTP status of a reason.
pub fn http_status(reason: Reason) -> u16 {
    row(reason).2
}

/// The reason that is spelled so; none for a code of a newer server.
pub fn reason(code: &str) -> Option<Reason> {
    ERRORS.iter().find(|(_, spelling, _)| *spelling == code).map(|(reason, ..)| *reason)
}

/// Number and name of a close.
pub fn close_code(close: Close) -> (u16, &'static str) {
    let found = CLOSES.iter().find(|(c, ..)| *c == close);
    found.map_or((4103, "internal"), |(_, number, name)| (*number, name))
}

/// What a client does after a close with this number; none (1006, a cut) counts as any other.
///
/// ```
/// use tidegate_protocol::codes::{ComeBack, come_back};
/// assert_eq!(come_back(4001), ComeBack::Never);
/// assert_eq!(come_back(4200), ComeBack::Soon);
/// assert_eq!(come_back(1006), ComeBack::Later);
/// ```
pub fn come_back(number: u16) -> ComeBack {
    match number {
        1002 | 1007 | 1009 | 4000..=4099 => ComeBack::Never,
        4200..=4299 => ComeBack::Soon,
        _ => ComeBack::Later,
    }
}

fn row(reason: Reason) -> &'static (Reason, &'static str, u16) {
    // The test below walks every reason; the last row is `internal`.
    ERRORS.iter().find(|(r, ..)| *r == reason).unwrap_or(&ERRORS[ERRORS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_given_once_and_found_again() {
        for (r, code, _) in ERRORS {
            assert_eq!(reason(code), Some(*r));
            assert_eq!(error_code(*r), *code);
        }
        let mut numbers: Vec<u16> = CLOSES.iter().map(|(_, n, _)| *n).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), CLOSES.len());
    }
}
