//! Sessions as transcripts: what goes in, what comes out.

use bytes::Bytes;

use super::*;
use crate::access::{Action, Allow, Authoriser, Credentials, Hs256, Namespaces, Rules};
use crate::hub::Hub;
use crate::place::Since;
use crate::{ClientId, Close, Reason, Refusal, RequestId, Ticket};

const NOW: Now = Now { monotonic_s: 100, unix_s: 1_800_000_000 };

fn later(seconds: u64) -> Now {
    Now { monotonic_s: NOW.monotonic_s + seconds, unix_s: NOW.unix_s + seconds }
}

fn id(n: u64) -> RequestId {
    RequestId::new(n).unwrap()
}

fn channel(text: &str) -> ChannelName {
    text.parse().unwrap()
}

fn heard(text: &str) -> (ChannelName, Since) {
    (channel(text), Since::Now)
}

fn join(text: &str, n: u64) -> Ask {
    Ask::Join { channel: channel(text), since: Since::Now, id: Some(id(n)) }
}

fn client() -> ClientId {
    ClientId::parse("tab-1").unwrap()
}

/// A session with its script: each step returns what came out.
struct Script {
    session: Session,
    hub: Hub<()>,
}

impl Script {
    fn new(manner: Manner) -> Self {
        let hs256 = Hs256::new("a secret of at least thirty-two bytes").unwrap();
        let rules = |publish| Rules { publish, ..Rules::default() };
        let declared = [("chat".to_owned(), rules(Allow::Anyone)), ("news".to_owned(), rules(Allow::Nobody))];
        let namespaces =
            Namespaces { declared: declared.into(), default: Rules::default(), refuse_undeclared: true };
        let access = Access::new(vec![Authoriser::Hs256(Box::new(hs256)), Authoriser::Anonymous], namespaces);
        let limits = Limits { event_bytes: 10, message_bytes: 100, channels: 2, asks: 3 };
        let policy = Arc::new(Policy { access, limits });
        Self { session: Session::new(policy, SessionId::from_random(7), manner, NOW), hub: Hub::new(1) }
    }

    fn connected() -> Self {
        let mut script = Self::new(Manner::Framed);
        script.connect(1);
        script.done(0, Answer::Authorised(Ok(Identity::default())));
        script
    }

    fn at(&mut self, now: Now, input: Input) -> Effects {
        let mut effects = Effects::new();
        self.session.step(input, now, &mut effects);
        effects
    }

    fn step(&mut self, input: Input) -> Effects {
        self.at(NOW, input)
    }

    fn connect(&mut self, n: u64) -> Effects {
        self.step(Input::Connect { id: id(n), credentials: Credentials::default(), client: client() })
    }

    fn subscribe(&mut self, n: u64, name: &str) -> Effects {
        self.step(Input::Subscribe { id: id(n), channel: channel(name), since: Since::Now })
    }

    fn publish(&mut self, n: u64, name: &str, payload: &'static str) -> Effects {
        self.step(Input::Publish {
            id: Some(id(n)),
            channel: Some(channel(name)),
            payload: Bytes::from_static(payload.as_bytes()),
            key: None,
        })
    }

    fn done(&mut self, ticket: u32, answer: Answer) -> Effects {
        self.step(Input::Done(Ticket(ticket), answer))
    }

    fn seat(&self, name: &str) -> Seat {
        self.hub.join(&channel(name), ()).seat
    }
}

fn reason(effects: &Effects) -> Option<Reason> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply(Reply::Refused { refusal, .. }) => Some(refusal.reason),
        _ => None,
    })
}

fn close(effects: &Effects) -> Option<Close> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close(close, _) => Some(*close),
        _ => None,
    })
}

#[test]
fn connect_subscribe_publish_unsubscribe() {
    let mut script = Script::new(Manner::Framed);
    assert_eq!(script.connect(1), [Effect::Ask(Ticket(0), Ask::Authorise(Credentials::default()))]);
    let user = Some(Arc::from("ada"));
    let who = Identity { user: user.clone(), ..Identity::default() };
    let connected =
        Reply::Connected { id: id(1), session: SessionId::from_random(7), client: client(), user };
    assert_eq!(script.done(0, Answer::Authorised(Ok(who))), [Effect::Reply(connected)]);

    assert_eq!(script.subscribe(2, "chat:1"), [Effect::Ask(Ticket(1), join("chat:1", 1 + 1))]);
    let seat = script.seat("chat:1");
    let subscribed = Reply::Subscribed { id: id(2), channel: channel("chat:1"), recovered: None };
    assert_eq!(script.done(1, Answer::Joined(Ok(seat))), [Effect::Attach(seat, Some(subscribed))]);

    let from = SessionId::from_random(7);
    let publish = Ask::Publish { channel: channel("chat:1"), payload: "hi".into(), from, key: None };
    assert_eq!(script.publish(3, "chat:1", "hi"), [Effect::Ask(Ticket(2), publish)]);
    let published = Reply::Published { id: id(3), position: None };
    assert_eq!(script.done(2, Answer::Published(Ok(None))), [Effect::Reply(published)]);

    let leave = script.step(Input::Unsubscribe { id: id(4), channel: channel("chat:1") });
    assert_eq!(leave, [Effect::Ask(Ticket(3), Ask::Leave(seat))]);
    assert_eq!(script.done(3, Answer::Left), [Effect::Reply(Reply::Unsubscribed { id: id(4) })]);
    assert_eq!(script.session.close().count(), 0);
}

#[test]
fn what_is_sent_behind_connect_waits_for_it() {
    let mut script = Script::new(Manner::Framed);
    script.connect(1);
    assert_eq!(script.subscribe(2, "chat:1"), []);
    let effects = script.done(0, Answer::Authorised(Ok(Identity::default())));
    assert!(matches!(effects[0], Effect::Reply(Reply::Connected { .. })));
    assert_eq!(effects[1], Effect::Ask(Ticket(1), join("chat:1", 1 + 1)));
}

#[test]
fn too_much_behind_connect_closes() {
    let mut script = Script::new(Manner::Framed);
    script.connect(1);
    for n in 2..5 {
        assert_eq!(script.subscribe(n, "chat:1"), []);
    }
    assert_eq!(close(&script.subscribe(5, "chat:1")), Some(Close::RateLimited));
}

#[test]
fn nothing_goes_before_connect() {
    let mut script = Script::new(Manner::Framed);
    assert_eq!(reason(&script.subscribe(1, "chat:1")), Some(Reason::NotConnected));
    assert_eq!(reason(&script.publish(2, "chat:1", "x")), Some(Reason::NotConnected));
    assert_eq!(script.step(Input::Ping { id: None }), [Effect::Reply(Reply::Pong { id: None })]);
    assert_eq!(script.at(later(4), Input::Tick), []);
    assert_eq!(close(&script.at(later(5), Input::Tick)), Some(Close::ConnectTimeout));
    assert_eq!(script.connect(3), [], "closed is closed");
}

#[test]
fn a_stranger_is_closed_with_words() {
    let mut script = Script::new(Manner::Framed);
    let refusal = Refusal::new(Reason::BadRequest, "not JSON");
    let effects = script.step(Input::Malformed { id: None, refusal: refusal.clone() });
    assert_eq!(effects[0], Effect::Reply(Reply::Refused { id: None, refusal }));
    assert_eq!(effects[1], Effect::Close(Close::BadRequest, "not JSON".into()));
}

#[test]
fn a_malformed_frame_harms_no_session() {
    let mut script = Script::connected();
    let refusal = Refusal::new(Reason::UnknownType, "`type` is \"dance\"");
    let effects = script.step(Input::Malformed { id: Some(id(2)), refusal });
    assert_eq!((reason(&effects), close(&effects)), (Some(Reason::UnknownType), None));
    assert_eq!(script.subscribe(3, "chat:1").len(), 1);
}

#[test]
fn a_refused_token_closes_as_unauthorized() {
    let mut script = Script::new(Manner::Framed);
    script.connect(1);
    let effects =
        script.done(0, Answer::Authorised(Err(Refusal::new(Reason::Unauthorized, "the token expired"))));
    assert_eq!((reason(&effects), close(&effects)), (Some(Reason::Unauthorized), Some(Close::Unauthorized)));
}

#[test]
fn a_session_ends_with_its_token() {
    let mut script = Script::new(Manner::Framed);
    script.connect(1);
    let who = Identity { expires: Some(NOW.unix_s + 60), ..Identity::default() };
    script.done(0, Answer::Authorised(Ok(who)));
    assert_eq!(script.session.deadline_s(later(10)), Some(NOW.monotonic_s + 60));
    assert_eq!(script.at(later(59), Input::Tick), []);
    assert_eq!(close(&script.at(later(60), Input::Tick)), Some(Close::Expired));
}

#[test]
fn limits_and_rights_are_checked_at_each_request() {
    let mut script = Script::connected();
    assert_eq!(reason(&script.publish(2, "news:1", "x")), Some(Reason::Forbidden));
    assert_eq!(reason(&script.subscribe(2, "void:1")), Some(Reason::UnknownChannel));
    assert_eq!(reason(&script.publish(2, "chat:1", "eleven byte")), Some(Reason::TooLarge));
    assert_eq!(reason(&script.connect(2)), Some(Reason::BadRequest));
    assert_eq!(
        reason(&script.step(Input::Unsubscribe { id: id(2), channel: channel("chat:1") })),
        Some(Reason::NotSubscribed)
    );
    assert_eq!(reason(&script.subscribe(3, "chat:1")), None);
    assert_eq!(reason(&script.subscribe(4, "chat:1")), Some(Reason::AlreadySubscribed));
    assert_eq!(reason(&script.subscribe(5, "chat:2")), None);
    assert_eq!(reason(&script.subscribe(6, "chat:3")), Some(Reason::TooManyChannels));
    assert_eq!(reason(&script.publish(7, "chat:1", "x")), None);
    assert_eq!(reason(&script.publish(8, "chat:1", "x")), Some(Reason::RateLimited), "three wait already");
}

#[test]
fn a_refused_join_can_be_tried_again() {
    let mut script = Script::connected();
    script.subscribe(2, "chat:1");
    let effects = script.done(1, Answer::Joined(Err(Refusal::unavailable())));
    assert_eq!(reason(&effects), Some(Reason::Unavailable));
    assert_eq!(script.subscribe(3, "chat:1"), [Effect::Ask(Ticket(2), join("chat:1", 2 + 1))]);
}

#[test]
fn a_bare_session_opens_when_its_last_channel_is_confirmed() {
    let mut script = Script::new(Manner::Bare);
    let channels = vec![heard("chat:1"), heard("news:1")];
    script.step(Input::Open { credentials: Credentials::default(), channels });
    let asks = script.done(0, Answer::Authorised(Ok(Identity::default())));
    assert_eq!(asks.len(), 2);
    let (chat, news) = (script.seat("chat:1"), script.seat("news:1"));
    assert_eq!(script.done(2, Answer::Joined(Ok(news))), [Effect::Attach(news, None)]);
    let opened = script.done(1, Answer::Joined(Ok(chat)));
    assert_eq!(opened, [Effect::Attach(chat, None), Effect::Reply(Reply::Opened)]);

    let say = script.step(Input::Publish { id: None, channel: None, payload: "hi".into(), key: None });
    assert!(
        matches!(&say[..], [Effect::Ask(_, Ask::Publish { channel, .. })] if channel.as_str() == "chat:1")
    );
    assert_eq!(script.done(3, Answer::Published(Ok(None))), [], "a bare publisher is not answered");

    // While the broker is away it stays, and hears whatever comes afterwards.
    script.step(Input::Publish { id: None, channel: None, payload: "lost".into(), key: None });
    let effects = script.done(4, Answer::Published(Err(Refusal::unavailable())));
    assert_eq!((reason(&effects), close(&effects)), (Some(Reason::Unavailable), None), "counted, not closed");
    script.step(Input::Publish { id: None, channel: None, payload: "refused".into(), key: None });
    let effects = script.done(5, Answer::Published(Err(Refusal::new(Reason::Internal, "why"))));
    assert_eq!(close(&effects), Some(Close::Internal));
    assert_eq!(script.session.close().collect::<Vec<_>>(), [chat, news]);
}

#[test]
fn a_refusal_ends_a_bare_session() {
    for (channels, expected) in
        [(vec!["void:1"], Close::BadRequest), (vec!["chat:1", "chat:2", "chat:3"], Close::BadRequest)]
    {
        let mut script = Script::new(Manner::Bare);
        let channels = channels.into_iter().map(heard).collect();
        script.step(Input::Open { credentials: Credentials::default(), channels });
        let effects = script.done(0, Answer::Authorised(Ok(Identity::default())));
        assert_eq!(close(&effects), Some(expected));
    }
    let mut script = Script::new(Manner::Bare);
    script.step(Input::Open { credentials: Credentials::default(), channels: vec![heard("news:1")] });
    script.done(0, Answer::Authorised(Ok(Identity::default())));
    let seat = script.seat("news:1");
    script.done(1, Answer::Joined(Ok(seat)));
    let effects = script.step(Input::Publish { id: None, channel: None, payload: "x".into(), key: None });
    assert_eq!((reason(&effects), close(&effects)), (Some(Reason::Forbidden), Some(Close::Forbidden)));
    assert_eq!(script.session.close().collect::<Vec<_>>(), [seat], "its seat is given back");
}

#[test]
fn a_bare_session_asks_for_nothing_when_one_of_its_channels_is_refused() {
    for channels in [vec!["chat:1", "void:1"], vec!["chat:1", "chat:2", "chat:3"]] {
        let mut script = Script::new(Manner::Bare);
        let channels = channels.into_iter().map(heard).collect();
        script.step(Input::Open { credentials: Credentials::default(), channels });
        let effects = script.done(0, Answer::Authorised(Ok(Identity::default())));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(..))), "{effects:?}");
    }
}

#[test]
fn a_seat_that_comes_after_the_end_is_given_back() {
    let mut script = Script::new(Manner::Framed);
    script.connect(1);
    let who = Identity { expires: Some(NOW.unix_s + 60), ..Identity::default() };
    script.done(0, Answer::Authorised(Ok(who)));
    script.subscribe(2, "chat:1");
    assert_eq!(close(&script.at(later(60), Input::Tick)), Some(Close::Expired));
    let seat = script.seat("chat:1");
    assert_eq!(script.done(1, Answer::Joined(Ok(seat))), [Effect::Ask(Ticket(1), Ask::Leave(seat))]);
    assert_eq!(script.done(1, Answer::Left), []);
    assert_eq!(script.session.close().count(), 0);
}

#[test]
fn access_is_asked_with_the_action() {
    // The two actions are decided apart: a namespace that is heard by all takes nothing from any.
    let script = Script::connected();
    let (policy, nobody) = (&script.session.policy, Identity::default());
    assert!(policy.access.check(&nobody, Action::Subscribe, &channel("news:1")).is_ok());
    assert!(policy.access.check(&nobody, Action::Publish, &channel("news:1")).is_err());
}

#[test]
fn a_channel_with_history_is_joined_from_a_position_and_answered_by_the_relay() {
    let mut script = Script::connected();
    let since = Since::At("1763700000000000001-7".parse().unwrap());
    let ask = Ask::Join { channel: channel("chat:1"), since, id: Some(id(2)) };
    let asked = script.step(Input::Subscribe { id: id(2), channel: channel("chat:1"), since });
    assert_eq!(asked, [Effect::Ask(Ticket(1), ask)]);
    let seat = script.seat("chat:1");
    assert_eq!(script.done(1, Answer::Attached(seat)), [], "the reply is in the outbox already");
    assert_eq!(script.session.close().collect::<Vec<_>>(), [seat]);
}

#[test]
fn without_history_a_position_is_answered_with_not_recovered() {
    let mut script = Script::connected();
    let since = Since::At("1763700000000000001-7".parse().unwrap());
    script.step(Input::Subscribe { id: id(2), channel: channel("chat:1"), since });
    let seat = script.seat("chat:1");
    let reply = Reply::Subscribed { id: id(2), channel: channel("chat:1"), recovered: Some(false) };
    assert_eq!(script.done(1, Answer::Joined(Ok(seat))), [Effect::Attach(seat, Some(reply))]);
}

#[test]
fn who_may_hear_a_channel_may_read_its_history_within_limits() {
    let mut script = Script::connected();
    let history =
        |name: &str, limit| Input::History { id: id(2), channel: channel(name), since: None, limit };
    assert_eq!(reason(&script.step(history("void:1", None))), Some(Reason::UnknownChannel));
    for limit in [0, HISTORY_MOST + 1] {
        assert_eq!(reason(&script.step(history("chat:1", Some(limit)))), Some(Reason::BadRequest));
    }
    let ask = Ask::History { channel: channel("chat:1"), since: None, limit: HISTORY_DEFAULT };
    assert_eq!(script.step(history("chat:1", None)), [Effect::Ask(Ticket(1), ask)]);
    let top = "1763700000000000001-7".parse().unwrap();
    let past = Past { top, recovered: None, events: Vec::new() };
    let reply = Reply::History { id: id(2), channel: channel("chat:1"), past: past.clone() };
    assert_eq!(script.done(1, Answer::History(Ok(past))), [Effect::Reply(reply)]);
}
