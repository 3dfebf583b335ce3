//! Links as transcripts: what goes in, what comes out.

use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::followers::Note;
use tidegate_core::follower::Memory;
use tidegate_core::{Position, Reason};

mod following;
mod posting;

/// A client with its script: each step returns what came out, a line each.
struct Script {
    link: Link<&'static str>,
    followers: Arc<Mutex<Followers>>,
    /// What waits for the application.
    notes: VecDeque<Note>,
    now: Instant,
}

/// Two publishes with keys, of 300 bytes in all.
const ROOM: Room = Room { count: 2, bytes: 300, window: Duration::from_secs(60) };

impl Script {
    fn new() -> Self {
        let now = Instant::now();
        let identity = Identity { codec: Codec::Json, token: Some("jwt".into()), client: None };
        let memory = Memory { keys: 10, window_ms: 60_000 };
        let followers = Arc::new(Mutex::new(Followers::new(memory, now)));
        let link = Link::new(identity, ROOM, Arc::clone(&followers), now);
        Self { link, followers, notes: VecDeque::new(), now }
    }

    /// A client that is connected, as session `s1`.
    fn connected() -> Self {
        let mut script = Self::new();
        assert_eq!(script.tick(), ["connecting", "dial"]);
        assert_eq!(script.step(Input::Opened), [r#"send {"type":"connect","id":1,"token":"jwt"}"#]);
        assert_eq!(script.hears(CONNECTED), ["connected s1"]);
        script
    }

    fn step(&mut self, input: Input<&'static str>) -> Vec<String> {
        let mut effects = Vec::new();
        self.link.step(input, Now { at: self.now, chance: 1.0 }, &mut effects);
        let mut lines = Vec::new();
        for effect in effects {
            match effect {
                Effect::Note(note) => self.notes.push_back(note),
                effect => lines.push(line(effect)),
            }
        }
        lines
    }

    /// The application takes what waits: what it is given.
    fn takes(&mut self) -> Vec<String> {
        let mut given = Vec::new();
        while let Some(note) = self.notes.pop_front() {
            let mut followers = self.followers.lock();
            followers.handled();
            given.extend(followers.take(note, self.now).map(|news| line(Effect::News(news))));
        }
        given
    }

    /// The position of the last event that the application is done with.
    fn position(&self) -> String {
        self.followers.lock().position(&channel("a")).map_or("none".into(), |p| p.to_string())
    }

    /// Comes back after a cut; the id of `connect` is given, and what is sent behind it comes out.
    fn comes_back(&mut self, id: u64) -> Vec<String> {
        self.cut(None);
        self.now = self.link.due().expect("it dials again");
        self.tick();
        self.step(Input::Opened);
        let mut lines = self.hears(&CONNECTED.replace(r#""id":1,"#, &format!(r#""id":{id},"#)));
        assert_eq!(lines.remove(0), "connected s1");
        lines
    }

    fn tick(&mut self) -> Vec<String> {
        self.step(Input::Tick)
    }

    /// Ticks when the link wants it; it must be so many milliseconds from now.
    fn after(&mut self, ms: u64) -> Vec<String> {
        let due = self.link.due().expect("something is due");
        assert_eq!(due.saturating_duration_since(self.now).as_millis(), u128::from(ms));
        self.now = due;
        self.tick()
    }

    fn hears(&mut self, message: &str) -> Vec<String> {
        self.step(Input::Message(Bytes::copy_from_slice(message.as_bytes())))
    }

    fn subscribe(&mut self, name: &str, reply: &'static str) -> Vec<String> {
        self.step(Input::Command(Command::Subscribe(channel(name), Start::Now, reply)))
    }

    fn unsubscribe(&mut self, name: &str, reply: &'static str) -> Vec<String> {
        self.step(Input::Command(Command::Unsubscribe(channel(name), reply)))
    }

    fn publish(&mut self, data: &'static str, reply: &'static str) -> Vec<String> {
        self.step(Input::Command(Command::Publish(channel("a"), data.into(), reply)))
    }

    fn cut(&mut self, code: Option<u16>) -> Vec<String> {
        self.step(Input::Cut(Cut::new(code, "why")))
    }
}

const CONNECTED: &str = r#"{"type":"connected","id":1,"session":"s1","client":"c1","ping_ms":25000,"limits":{"message_bytes":100,"channels":128}}"#;

fn channel(name: &str) -> ChannelName {
    name.parse().unwrap()
}

fn line(effect: Effect<&'static str>) -> String {
    match effect {
        Effect::Dial => "dial".into(),
        Effect::Send(bytes) => format!("send {}", String::from_utf8(bytes.to_vec()).unwrap()),
        Effect::Hang(code, reason) => format!("hang {code} {reason}"),
        Effect::Answer(who, Ok(Answer::Done)) => format!("{who} ok"),
        Effect::Answer(who, Ok(Answer::At(position))) => format!("{who} ok {position}"),
        Effect::Answer(who, Ok(Answer::History(history))) => {
            let offsets: Vec<u64> = history.events.iter().map(|event| event.offset).collect();
            format!("{who} history {offsets:?} up to {}", history.position)
        }
        Effect::Note(note) => format!("note {note:?}"),
        Effect::News(News::Gap { channel, reason }) => format!("gap {channel} {reason}"),
        Effect::Answer(who, Err(error)) => format!("{who} {error}"),
        Effect::News(News::Event(event)) => {
            format!("event {} {}", event.channel, event.payload.text().unwrap())
        }
        Effect::News(News::Resubscribed(channel)) => format!("resubscribed {channel}"),
        Effect::News(News::Ended { channel, error }) => format!("ended {channel} {error}"),
        Effect::News(News::State(state)) => match state {
            State::Connecting => "connecting".into(),
            State::Connected { session, .. } => format!("connected {session}"),
            State::Waiting { code, reason, .. } => format!("waiting {code:?} {reason}"),
            State::Closed { code, reason } => format!("closed {code} {reason}"),
        },
    }
}

#[test]
fn subscribe_waits_for_a_connection_and_publish_does_not() {
    let mut script = Script::new();
    assert!(script.subscribe("a", "sub").is_empty());
    assert_eq!(script.publish("1", "pub"), ["pub there is no connection"]);
    script.tick();
    assert!(script.subscribe("b", "sub b").is_empty());
    script.step(Input::Opened);
    assert_eq!(
        script.hears(CONNECTED),
        [
            "connected s1",
            "send {\"type\":\"subscribe\",\"id\":2,\"channel\":\"a\"}\n\
             {\"type\":\"subscribe\",\"id\":3,\"channel\":\"b\"}",
        ]
    );
    assert_eq!(script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#), ["sub ok"]);
    assert_eq!(script.hears(r#"{"type":"event","channel":"a","data":1}"#), ["event a 1"]);
}

#[test]
fn requests_are_answered_and_refusals_carry_their_code() {
    let mut script = Script::connected();
    assert_eq!(script.publish("1", "pub"), [r#"send {"type":"publish","id":2,"channel":"a","data":1}"#]);
    assert_eq!(
        script.hears(r#"{"type":"ok","id":2,"epoch":"1700000000000000001","offset":7}"#),
        ["pub ok 1700000000000000001-7"]
    );
    script.publish("2", "pub");
    let refusal = r#"{"type":"error","id":3,"code":"forbidden","message":"you may not","retry":false}"#;
    assert_eq!(script.hears(refusal), ["pub you may not (forbidden)"]);
    script.subscribe("a", "sub");
    let refusal =
        r#"{"type":"error","id":4,"code":"unavailable","message":"later","retry":true,"retry_after_ms":9}"#;
    assert_eq!(script.hears(refusal), ["sub later (unavailable)"]);
    assert!(script.hears(r#"{"type":"event","channel":"a","data":1}"#).is_empty(), "not subscribed");
    assert_eq!(
        script.subscribe("a", "sub"),
        [r#"send {"type":"subscribe","id":5,"channel":"a"}"#],
        "a refused one may be asked again"
    );
    assert_eq!(script.subscribe("a", "twice"), ["twice already subscribed to a (already_subscribed)"]);
    assert_eq!(script.unsubscribe("b", "unsub"), ["unsub not subscribed to b (not_subscribed)"]);
}

#[test]
fn what_the_server_would_close_for_is_not_sent() {
    let mut script = Script::connected();
    let long = "x".repeat(100).leak();
    assert_eq!(script.publish(long, "pub"), ["pub the message has 149 bytes, the server takes at most 100"]);
    assert_eq!(script.link.requests.len(), 0);
}

#[test]
fn a_cut_fails_what_is_open_and_keeps_what_is_subscribed() {
    let mut script = Script::connected();
    script.subscribe("a", "sub a");
    script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#);
    script.subscribe("b", "sub b");
    script.publish("1", "pub");
    assert_eq!(
        script.cut(None),
        [
            "pub the connection ended before the answer",
            "sub b the connection ended before the answer",
            "waiting None why"
        ]
    );
    assert_eq!(script.after(500), ["connecting", "dial"]);
    // The client id that the server made is kept.
    assert_eq!(script.step(Input::Opened), [r#"send {"type":"connect","id":5,"token":"jwt","client":"c1"}"#]);
    assert_eq!(
        script.hears(&CONNECTED.replace(r#""id":1"#, r#""id":5"#)),
        ["connected s1", r#"send {"type":"subscribe","id":6,"channel":"a"}"#]
    );
    assert_eq!(script.hears(r#"{"type":"subscribed","id":6,"channel":"a"}"#), ["resubscribed a"]);
}

#[test]
fn failures_back_off_for_ever_and_codes_decide() {
    let mut script = Script::new();
    script.tick();
    for wait in [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000] {
        assert_eq!(script.cut(None), ["waiting None why"]);
        assert_eq!(script.after(wait), ["connecting", "dial"]);
    }
    assert_eq!(script.cut(Some(4200)), ["waiting Some(4200) why"]);
    assert_eq!(script.after(500), ["connecting", "dial"]);
    script.subscribe("a", "sub");
    assert_eq!(script.cut(Some(4001)), ["sub the client is closed: why (4001)", "closed 4001 why"]);
    assert_eq!(script.link.due(), None);
    assert_eq!(script.publish("1", "pub"), ["pub the client is closed: why (4001)"]);
}

#[test]
fn a_refused_upgrade_can_be_final() {
    let mut script = Script::new();
    script.tick();
    assert_eq!(script.cut(Some(503)), ["waiting Some(503) why"]);
    script.after(500);
    let cut = Cut { never: true, ..Cut::new(Some(403), "the server answered 403 Forbidden") };
    assert_eq!(script.step(Input::Cut(cut)), ["closed 403 the server answered 403 Forbidden"]);
}

#[test]
fn a_server_that_does_not_answer_is_left() {
    let mut script = Script::new();
    script.tick();
    let left = ["hang 1000 the server does not answer", "waiting None the server does not answer"];
    assert_eq!(script.after(10_000), left);
    script.after(500);
    script.step(Input::Opened);
    assert_eq!(script.after(10_000), left);
}

#[test]
fn silence_is_asked_about_and_then_believed() {
    let mut script = Script::connected();
    assert_eq!(script.after(50_000), [r#"send {"type":"ping"}"#]);
    assert!(script.hears(r#"{"type":"pong"}"#).is_empty());
    assert_eq!(script.after(50_000), [r#"send {"type":"ping"}"#]);
    assert_eq!(
        script.after(10_000),
        ["hang 1000 the server fell silent", "waiting None the server fell silent"]
    );
    let mut script = Script::connected();
    script.now += Duration::from_secs(49);
    script.step(Input::Heard);
    assert_eq!(script.after(50_000), [r#"send {"type":"ping"}"#]);
}

#[test]
fn an_unanswered_request_is_given_up_and_undone() {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    script.publish("1", "pub");
    assert_eq!(script.after(10_000), ["sub no answer within 10 s", "pub no answer within 10 s"]);
    assert_eq!(
        script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#),
        [r#"send {"type":"unsubscribe","id":4,"channel":"a"}"#]
    );
    assert!(script.hears(r#"{"type":"ok","id":3}"#).is_empty(), "nobody waits any more");
}

#[test]
fn a_hint_moves_the_client_once_nothing_is_open() {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#);
    assert!(script.hears(r#"{"type":"reconnect","after_ms":3000}"#).is_empty());
    script.now += Duration::from_secs(2);
    script.publish("1", "pub");
    assert!(script.after(1000).is_empty(), "the publish is still open");
    assert!(!script.link.takes_commands());
    assert_eq!(
        script.hears(r#"{"type":"ok","id":3}"#),
        ["pub ok", "hang 1000 asked to reconnect", "connecting", "dial"]
    );
    assert!(!script.link.takes_commands(), "what is asked meanwhile waits for the next node");
    script.step(Input::Opened);
    assert_eq!(
        script.hears(&CONNECTED.replace(r#""id":1"#, r#""id":4"#)),
        ["connected s1", r#"send {"type":"subscribe","id":5,"channel":"a"}"#]
    );
    assert!(script.link.takes_commands());
}

#[test]
fn a_hinted_client_does_not_wait_for_ever() {
    let mut script = Script::connected();
    script.publish("1", "pub");
    script.hears(r#"{"type":"reconnect","after_ms":0}"#);
    assert_eq!(
        script.after(2000),
        ["hang 1000 asked to reconnect", "pub the connection ended before the answer", "connecting", "dial"]
    );
    assert_eq!(script.cut(None), ["waiting None why"]);
    assert!(script.link.takes_commands(), "the move failed; commands are told so");
}

#[test]
fn a_refused_resubscription_is_tried_again_while_that_can_help() {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#);
    script.cut(None);
    script.after(500);
    script.step(Input::Opened);
    script.hears(&CONNECTED.replace(r#""id":1"#, r#""id":3"#));
    let refusal = |id: u64, code: &str, retry: bool| {
        format!(r#"{{"type":"error","id":{id},"code":"{code}","message":"no","retry":{retry}}}"#)
    };
    assert!(script.hears(&refusal(4, "unavailable", true)).is_empty());
    assert_eq!(script.after(2000), [r#"send {"type":"subscribe","id":5,"channel":"a"}"#]);
    assert_eq!(script.hears(&refusal(5, "forbidden", false)), ["ended a no (forbidden)"]);
    assert_eq!(script.unsubscribe("a", "unsub"), ["unsub not subscribed to a (not_subscribed)"]);
}

#[test]
fn unsubscribe_is_sent_after_the_answer_to_subscribe() {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    assert!(script.unsubscribe("a", "unsub").is_empty());
    assert_eq!(
        script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#),
        ["sub ok", r#"send {"type":"unsubscribe","id":3,"channel":"a"}"#]
    );
    assert_eq!(script.hears(r#"{"type":"ok","id":3}"#), ["unsub ok"]);
    // With the connection the subscription is gone: that is what was asked for.
    script.subscribe("a", "sub");
    script.hears(r#"{"type":"subscribed","id":4,"channel":"a"}"#);
    script.unsubscribe("a", "unsub");
    assert_eq!(script.cut(None), ["unsub ok", "waiting None why"]);
    assert!(script.link.wanted.is_empty());
}

#[test]
fn the_server_can_end_a_subscription() {
    let mut script = Script::connected();
    script.subscribe("a", "sub");
    script.hears(r#"{"type":"subscribed","id":2,"channel":"a"}"#);
    assert_eq!(
        script.hears(r#"{"type":"unsubscribed","channel":"a","code":"forbidden"}"#),
        ["ended a the server ended the subscription to a (forbidden)"]
    );
}

#[test]
fn open_requests_are_bounded_and_commands_wait() {
    let mut script = Script::connected();
    for _ in 0..MOST_OPEN {
        assert!(script.link.takes_commands());
        script.publish("1", "pub");
    }
    assert!(!script.link.takes_commands());
    assert_eq!(script.hears(r#"{"type":"ok","id":2}"#), ["pub ok"]);
    assert!(script.link.takes_commands());
}

#[test]
fn many_channels_come_back_as_fast_as_they_are_answered() {
    let mut script = Script::new();
    for n in 0..MOST_OPEN + 1 {
        script.subscribe(&format!("c:{n}"), "sub");
    }
    script.tick();
    script.step(Input::Opened);
    // 100 bytes a message: the requests go two by two.
    let out = script.hears(CONNECTED);
    assert_eq!(out.iter().map(|line| line.matches("subscribe").count()).sum::<usize>(), MOST_OPEN);
    assert_eq!(out.len(), 1 + MOST_OPEN / 2);
    assert!(out.iter().all(|line| line.len() <= "send ".len() + 100));
    let answer = script.hears(r#"{"type":"subscribed","id":2,"channel":"c:0"}"#);
    assert_eq!((answer.len(), answer[0].as_str()), (2, "sub ok"));
}

#[test]
fn who_does_not_listen_judges_no_silence_and_does_not_dial() {
    let mut script = Script::connected();
    script.step(Input::Stalled(true));
    assert_eq!(script.link.due(), None);
    script.publish("1", "pub");
    assert_eq!(script.after(10_000), ["pub no answer within 10 s"]);
    script.now += Duration::from_secs(600);
    assert!(script.tick().is_empty());
    script.step(Input::Stalled(false));
    assert_eq!(script.after(50_000), [r#"send {"type":"ping"}"#]);
}

#[test]
fn a_message_that_cannot_be_read_ends_the_connection() {
    let mut script = Script::connected();
    let out = script.hears("{");
    assert!(out[0].starts_with("hang 1000 a message of the server cannot be read"), "{out:?}");
    let unknown = Script::connected().hears(r#"{"type":"weather","sun":true}"#);
    assert!(unknown.is_empty(), "newer frames are ignored");
}

#[test]
fn close_answers_everybody() {
    let mut script = Script::connected();
    script.publish("1", "pub");
    script.subscribe("a", "sub");
    assert_eq!(
        script.step(Input::Close),
        [
            "hang 1000 closed here",
            "pub the client is closed: closed here (1000)",
            "sub the client is closed: closed here (1000)",
            "closed 1000 closed here"
        ]
    );
}

#[test]
fn local_refusals_are_spelled_as_the_server_spells_them() {
    let error = Error::refused(Reason::AlreadySubscribed, "x");
    assert!(matches!(&error, Error::Refused { code, .. } if code == "already_subscribed"));
    assert!(!error.retry());
}

/// What a server of another version, or one gone mad, may say.
fn frame() -> impl Strategy<Value = String> {
    let kind = "connected|subscribed|ok|event|position|gap|history|pong|error|unsubscribed|reconnect|later";
    let number =
        prop_oneof![Just("1".to_owned()), any::<u64>().prop_map(|n| n.to_string()), "-1|1e9|null|\"x\""];
    let word = "\"(a|~x|a b||unavailable|behind|already_subscribed|1763700000000000001|\\\\ud800)\"|7|null|\\[\\]|true";
    (
        kind,
        prop::collection::vec(("id|ping_ms|after_ms|retry_after_ms|offset", number), 0..4),
        prop::collection::vec(
            ("session|client|channel|code|message|epoch|data|data_base64|retry|recovered|reason|limits", word),
            0..6,
        ),
        // What has a place is rarely hit by chance alone.
        prop_oneof![
            Just(""),
            Just(",\"channel\":\"a\",\"epoch\":\"1763700000000000001\",\"offset\":5,\"data\":1"),
            Just(",\"channel\":\"a\",\"epoch\":\"1763700000000000002\",\"offset\":6,\"events\":[{\"offset\":6,\"data\":1}]"),
        ],
        1u64..9,
    )
        .prop_map(|(kind, numbers, words, place, id)| {
            if !place.is_empty() {
                return format!("{{\"type\":\"{kind}\",\"id\":{id}{place}}}");
            }
            let fields = numbers.into_iter().chain(words).map(|(name, value)| format!(",\"{name}\":{value}"));
            format!("{{\"type\":\"{kind}\"{}}}", fields.collect::<String>())
        })
}

proptest! {
    #[test]
    fn whatever_a_server_says_is_survived(
        frames in prop::collection::vec(frame(), 1..8), bytes in prop::collection::vec(any::<u8>(), 0..60),
        connected in any::<bool>(),
    ) {
        let mut script = if connected { Script::connected() } else { Script::new() };
        script.tick();
        script.step(Input::Opened);
        script.subscribe("a", "sub");
        script.publish("1", "pub");
        script.step(Input::Command(Command::Post(channel("a"), "1".into(), "k".into(), "post")));
        for frame in &frames {
            script.hears(frame);
            script.takes();
            script.step(Input::Look);
        }
        script.hears(&String::from_utf8_lossy(&bytes));
        // What it asked for does not keep the link from ever looking again.
        if let Some(due) = script.link.due() {
            prop_assert!(due.saturating_duration_since(script.now).as_secs() <= 1200);
            script.now = due;
            script.tick();
        }
    }
}
