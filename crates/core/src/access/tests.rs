//! The laws of access, as a table and with real tokens.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::hs256::MAX_TOKEN_BYTES;
use super::*;

const SECRET: &str = "a secret of at least thirty-two bytes";
const NOW: u64 = 1_800_000_000;

fn token_by(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .unwrap()
}

fn access(anonymous: bool, namespaces: Namespaces) -> Access {
    let mut authorisers = vec![Authoriser::Hs256(Box::new(Hs256::new(SECRET).unwrap()))];
    if anonymous {
        authorisers.push(Authoriser::Anonymous);
    }
    Access::new(authorisers, namespaces)
}

fn verify(claims: &Value) -> Result<Identity, Refusal> {
    let credentials = Credentials { token: Some(token_by(Algorithm::HS256, SECRET, claims)) };
    access(false, Namespaces::default()).authorise(&credentials, NOW)
}

#[test]
fn a_token_says_who_and_until_when() {
    let who = verify(&json!({"sub": "ada", "exp": NOW + 60})).unwrap();
    assert_eq!(who.user.as_deref(), Some("ada"));
    assert_eq!(who.expires, Some(NOW + 60 + 30), "with 30 s for clocks that differ");
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    for (claims, words) in [
        (json!({"sub": "ada"}), "`exp` is missing"),
        (json!({"exp": "never"}), "whole seconds"),
        (json!({"exp": NOW - 31}), "expired"),
        (json!({"exp": NOW + 99, "nbf": NOW + 40}), "not valid yet"),
        (json!({"exp": NOW + 99, "grants": ["chat:1"]}), "`grants`"),
    ] {
        let refusal = verify(&claims).unwrap_err();
        assert!(
            refusal.reason == Reason::Unauthorized && refusal.message.contains(words),
            "{claims}: {refusal}"
        );
    }
    assert!(verify(&json!({"exp": NOW - 29})).is_ok(), "within the leeway");
}

#[test]
fn only_hs256_with_our_secret_counts() {
    let claims = json!({"sub": "ada", "exp": NOW + 60});
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE5MDAwMDAwMDB9.";
    let long = "x".repeat(10_000);
    for token in [
        token_by(Algorithm::HS256, "another secret of thirty-two bytes!!", &claims),
        token_by(Algorithm::HS512, SECRET, &claims),
        none.to_owned(),
        "a.b.c".to_owned(),
        String::new(),
        long,
    ] {
        let refused =
            access(true, Namespaces::default()).authorise(&Credentials { token: Some(token.clone()) }, NOW);
        assert_eq!(refused.unwrap_err().reason, Reason::Unauthorized, "{token}");
    }
}

#[test]
fn nobody_in_particular_gets_in_only_where_anonymous_is_on() {
    let nothing = Credentials::default();
    assert_eq!(access(true, Namespaces::default()).authorise(&nothing, NOW), Ok(Identity::default()));
    assert_eq!(
        access(false, Namespaces::default()).authorise(&nothing, NOW).unwrap_err().reason,
        Reason::Unauthorized
    );
}

#[test]
fn a_short_secret_is_refused() {
    assert!(Hs256::new("short").unwrap_err().to_string().contains("at least 32 bytes, this one has 5"));
}

#[test]
fn rules_and_grants_decide_each_request() {
    let rules = |subscribe, publish| Rules { subscribe, publish, welcome: None };
    let declared = [
        ("open".to_owned(), rules(Allow::Anyone, Allow::Anyone)),
        ("chat".to_owned(), rules(Allow::Granted, Allow::Granted)),
        ("news".to_owned(), rules(Allow::Anyone, Allow::Nobody)),
    ];
    let namespaces =
        Namespaces { declared: declared.into(), default: Rules::default(), refuse_undeclared: true };
    let access = access(true, namespaces);
    let grants = json!({"subscribe": ["chat:*", "news:1"], "publish": ["chat:42"], "dance": ["chat:1"]});
    let ada = verify(&json!({"sub": "ada", "exp": NOW + 60, "grants": grants})).unwrap();
    let nobody = Identity::default();
    let (subscribe, publish) = (Action::Subscribe, Action::Publish);
    let refused = |reason| Err(reason);
    for (who, what, channel, expected) in [
        (&nobody, subscribe, "open:1", Ok(())),
        (&nobody, publish, "open:1", Ok(())),
        (&nobody, subscribe, "chat:1", refused(Reason::Forbidden)),
        (&nobody, subscribe, "news:1", Ok(())),
        (&nobody, publish, "news:1", refused(Reason::Forbidden)),
        (&nobody, subscribe, "other:1", refused(Reason::UnknownChannel)),
        (&nobody, subscribe, "lobby", Ok(())),
        (&ada, subscribe, "chat:1", Ok(())),
        (&ada, subscribe, "chat", Ok(())),
        (&ada, publish, "chat:42", Ok(())),
        (&ada, publish, "chat:421", refused(Reason::Forbidden)),
        (&ada, publish, "chat:1", refused(Reason::Forbidden)),
        (&ada, publish, "news:1", refused(Reason::Forbidden)),
    ] {
        let answer = access.check(who, what, &channel.parse().unwrap()).map_err(|r| r.reason);
        assert_eq!(answer, expected, "{what} {channel}");
    }
}

/// A claim as anybody may have signed it.
fn claim() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::collection::vec(".{0,8}", 0..4).prop_map(Value::from),
        Just(json!({"subscribe": ["chat:*"], "publish": [7]})),
        Just(json!({"subscribe": ["*", "", "a*b"], "dance": {}})),
    ]
}

proptest! {
    #[test]
    fn any_text_is_no_token_and_says_nothing_of_itself(text in ".{0,300}", repeated in 1usize..60) {
        let token = text.repeat(repeated);
        let refusal = access(true, Namespaces::default()).authorise(&Credentials { token: Some(token.clone()) }, NOW);
        let refusal = refusal.unwrap_err();
        prop_assert_eq!(refusal.reason, Reason::Unauthorized);
        prop_assert!(token.len() < 40 || !refusal.message.contains(&token));
        prop_assert_eq!(token.len() > MAX_TOKEN_BYTES, refusal.message.contains("at most 8192 are read"));
    }

    #[test]
    fn a_token_that_was_touched_is_none(at in any::<usize>(), byte in 0x20u8..0x7f) {
        let whole = token_by(Algorithm::HS256, SECRET, &json!({"sub": "ada", "exp": NOW + 60}));
        let mut bytes = whole.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let touched = String::from_utf8(bytes).unwrap();
        let answer = access(false, Namespaces::default()).authorise(&Credentials { token: Some(touched.clone()) }, NOW);
        prop_assert_eq!(answer.is_ok(), touched == whole, "{}", touched);
    }

    #[test]
    fn any_claims_are_understood_or_refused(
        sub in claim(), exp in prop_oneof![claim(), Just(json!(NOW + 60))], nbf in claim(), grants in claim(),
    ) {
        let claims = json!({"sub": sub, "exp": exp, "nbf": nbf, "grants": grants});
        match verify(&claims) {
            Ok(who) => {
                prop_assert!(who.expires.is_some_and(|at| at > NOW));
                let _ = who.grants.allow(Action::Publish, &"chat:1".parse().unwrap());
            }
            Err(refusal) => prop_assert_eq!(refusal.reason, Reason::Unauthorized),
        }
    }
}
