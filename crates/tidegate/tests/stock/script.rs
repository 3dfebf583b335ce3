//! The scripts: what every client goes through, step by step, and the judge, who wants each answer to be the right one.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::driver::Driver;
use super::place::Place;
use super::support::PATIENCE;

/// How long something is listened for, in milliseconds.
const LONG: &str = "20000";
/// Longer than it takes to ping, to wait in vain for an answer and to close ([`super::place::CONFIG`]).
const SILENCE: &str = "6500";
const BYTES: &str = "AP/BAYA=";

/// What a client lets its user do and see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// Tokens in a header. Otherwise: as a subprotocol, and in the URL.
    pub(crate) headers: bool,
    /// The subprotocol that was chosen.
    pub(crate) protocol: bool,
    /// Pings.
    pub(crate) pings: bool,
    /// The status of a refused handshake.
    pub(crate) status: bool,
}

/// The first step that went another way.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) step: &'static str,
    what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}”: {}", self.step, self.what)
    }
}

type Judged<T = ()> = Result<T, Wrong>;

/// One run of a script.
pub(crate) struct Script<'a> {
    place: &'a mut Place,
    driver: &'a mut Driver,
    can: Abilities,
    step: &'static str,
    steps: usize,
}

impl<'a> Script<'a> {
    pub(crate) fn new(place: &'a mut Place, driver: &'a mut Driver, can: Abilities) -> Self {
        Self { place, driver, can, step: "", steps: 0 }
    }

    /// The script of WebSocket clients. Returns the number of steps.
    ///
    /// # Errors
    /// The first step that went another way.
    pub(crate) fn websocket(mut self) -> Judged<usize> {
        self.step("without a token it is refused");
        let url = self.place.node.plain_url("room:1");
        let refused = self.driver.ask(&["dial", "nobody", &url, "", ""]);
        self.want(&refused, &json!({ "refused": if self.can.status { 401 } else { 1006 } }))?;

        self.step("with a token it comes in, and subscribes");
        let session = self.native("dial")?;

        self.step("native: hears JSON as it was published");
        self.place.publish("room:1", r#""data":{"n":1.50, "m":[]}"#);
        self.hears(
            "native",
            json!({ "text": r#"{"type":"event","channel":"room:1","data":{"n":1.50, "m":[]}}"# }),
        )?;

        self.step("native: hears text and binary");
        self.place.publish("room:1", r#""data":"grüße, 世界 \"🙂\"""#);
        let text = r#"{"type":"event","channel":"room:1","data":"grüße, 世界 \"🙂\""}"#;
        self.hears("native", json!({ "text": text }))?;
        self.place.publish("room:1", &format!(r#""data_base64":"{BYTES}""#));
        let text = format!(r#"{{"type":"event","channel":"room:1","data_base64":"{BYTES}"}}"#);
        self.hears("native", json!({ "text": text }))?;

        self.step("native: publishes text and binary where it may");
        for (id, payload) in [(3, r#""data":"mine""#.to_owned()), (4, format!(r#""data_base64":"{BYTES}""#))]
        {
            self.say("native", &format!(r#"{{"type":"publish","id":{id},"channel":"room:1",{payload}}}"#))?;
            let mut heard = [self.frame("native")?, self.frame("native")?]; // in either order
            heard.sort_by_key(|frame| frame["type"].to_string());
            let mut event: Value = serde_json::from_str(&format!("{{{payload}}}")).expect("JSON");
            event["type"] = "event".into();
            event["channel"] = "room:1".into();
            event["from"] = session.clone().into();
            self.want(&json!(heard), &json!([event, { "type": "ok", "id": id }]))?;
        }

        self.step("native: is refused where nobody may publish");
        self.say("native", r#"{"type":"publish","id":5,"channel":"closed:1","data":1}"#)?;
        let error = self.frame("native")?;
        let error = json!([error["type"], error["id"], error["code"], error["retry"]]);
        self.want(&error, &json!(["error", 5, "forbidden", false]))?;

        self.step("plain: hears text and binary, the very bytes");
        self.plain("dial", "plain", "room:2")?;
        self.place.publish("room:2", r#""data":{"n":1.50, "m":[]}"#);
        self.hears("plain", json!({ "text": r#"{"n":1.50, "m":[]}"# }))?;
        self.place.publish("room:2", &format!(r#""data_base64":"{BYTES}""#));
        self.hears("plain", json!({ "binary": BYTES }))?;

        self.step("plain: publishes text and binary where it may");
        self.say("plain", "grüße, 世界 🙂")?;
        self.hears("plain", json!({ "text": "grüße, 世界 🙂" }))?;
        let said = self.driver.ask(&["send", "plain", BYTES]);
        self.want(&said, &json!({ "said": true }))?;
        self.hears("plain", json!({ "binary": BYTES }))?;

        self.step("plain: is closed with 4003 where nobody may publish");
        self.plain("dial", "refused", "closed:1")?;
        self.say("refused", "may I?")?;
        self.is_closed("refused", 4003, "forbidden")?;

        self.step("is pinged, answers and stays");
        self.stays(&["native", "plain"])?;
        self.place.publish("room:2", r#""data":"still there""#);
        self.hears("plain", json!({ "text": r#""still there""# }))?;

        self.step("a node that stops says so, and closes with 4200");
        self.place.node.term();
        self.hears("native", json!({ "text": r#"{"type":"reconnect","after_ms":0}"# }))?;
        self.is_closed("native", 4200, "draining")?;
        self.is_closed("plain", 4200, "draining")?;
        self.node_exits()?;

        self.step("comes back, and hears again");
        self.native("again")?;
        self.plain("again", "plain", "room:2")?;
        self.place.publish("room:1", r#""data":"back""#);
        self.place.publish("room:2", r#""data":"back""#);
        self.hears("native", json!({ "text": r#"{"type":"event","channel":"room:1","data":"back"}"# }))?;
        self.hears("plain", json!({ "text": r#""back""# }))?;

        self.step("says goodbye, and is answered");
        let said = self.driver.ask(&["close", "plain"]);
        self.want(&said, &json!({ "said": true }))?;
        self.is_closed("plain", 1000, "")?;
        Ok(self.steps)
    }

    /// The script of clients of event streams. `again`: it comes back only if it is told to.
    ///
    /// # Errors
    /// The first step that went another way.
    pub(crate) fn stream(mut self, again: bool) -> Judged<usize> {
        self.step("without a token it is refused");
        let refused = self.driver.ask(&["dial", "nobody", &self.place.node.sse_url("room:1"), "", ""]);
        // EventSource is not told a status; it is told not to come back.
        self.want(
            &refused,
            &json!({ "refused": if self.can.status { json!(401) } else { json!("for good") } }),
        )?;

        self.step("with a token it comes in");
        self.sse("dial", "one", "room:1")?;

        self.step("hears JSON, text and binary");
        self.place.publish("room:1", r#""data":{"n":1.50, "m":[]}"#);
        self.hears("one", json!({ "event": "message", "data": r#"{"n":1.50, "m":[]}"# }))?;
        self.place.publish("room:1", r#""data":"grüße, 世界 🙂""#);
        self.hears("one", json!({ "event": "message", "data": r#""grüße, 世界 🙂""# }))?;
        self.place.publish("room:1", &format!(r#""data_base64":"{BYTES}""#));
        self.hears("one", json!({ "event": "binary", "data": BYTES }))?;

        self.step("hears several channels, and which one it was");
        self.sse("dial", "many", "room:2&channel=room:3")?;
        for channel in ["room:3", "room:2"] {
            self.place.publish(channel, r#""data":{"n":1.50}"#);
            let data = format!(r#"{{"type":"event","channel":"{channel}","data":{{"n":1.50}}}}"#);
            self.hears("many", json!({ "event": "message", "data": data }))?;
        }

        self.step("a silent stream is kept alive");
        self.stays(&["one", "many"])?;
        self.place.publish("room:1", r#""data":"still there""#);
        self.hears("one", json!({ "event": "message", "data": r#""still there""# }))?;

        self.step("a node that stops ends the stream");
        self.place.node.term();
        let end = if again { json!({ "ended": 0 }) } else { json!({ "away": true }) };
        self.hears("one", end.clone())?;
        self.hears("many", end)?;
        self.node_exits()?;

        self.step("comes back, and hears again");
        if again {
            self.sse("again", "one", "room:1")?;
        } else {
            self.place.node.start_again().expect("the node on its ports");
            let mut heard = self.hear("one", LONG);
            while heard == json!({ "away": true }) {
                heard = self.hear("one", LONG); // an attempt while nobody listened
            }
            self.want(&heard, &json!({ "back": true }))?;
        }
        self.place.publish("room:1", r#""data":"back""#);
        self.hears("one", json!({ "event": "message", "data": r#""back""# }))?;
        Ok(self.steps)
    }

    fn step(&mut self, name: &'static str) {
        self.step = name;
        self.steps += 1;
    }

    fn want(&self, got: &Value, wanted: &Value) -> Judged {
        if got == wanted {
            return Ok(());
        }
        Err(Wrong { step: self.step, what: format!("{got} where {wanted} was due") })
    }

    fn hear(&mut self, name: &str, millis: &str) -> Value {
        self.driver.ask(&["hear", name, millis])
    }

    fn hears(&mut self, name: &str, wanted: Value) -> Judged {
        let heard = self.hear(name, LONG);
        self.want(&heard, &wanted)
    }

    fn say(&mut self, name: &str, text: &str) -> Judged {
        let said = self.driver.ask(&["say", name, text]);
        self.want(&said, &json!({ "said": true }))
    }

    /// The next text, read as JSON.
    fn frame(&mut self, name: &str) -> Judged<Value> {
        let heard = self.hear(name, LONG);
        let text = heard["text"].as_str();
        text.and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Wrong { step: self.step, what: format!("{heard} where a frame was due") })
    }

    /// Connects at the native door as Alice, subscribes to `room:1`, and returns the session.
    fn native(&mut self, verb: &str) -> Judged<String> {
        let url = self.place.node.ws_url();
        let token = self.place.token.clone();
        let opened = self.comes_in(&[verb, "native", &url, "tidegate.v1.json", &token]);
        self.want(&opened, &json!({ "open": self.can.protocol.then_some("tidegate.v1.json") }))?;
        self.say("native", r#"{"type":"connect","id":1}"#)?;
        let connected = self.frame("native")?;
        let what = json!([connected["type"], connected["user"], connected["ping_ms"]]);
        self.want(&what, &json!(["connected", "alice", 1000]))?;
        self.say("native", r#"{"type":"subscribe","id":2,"channel":"room:1"}"#)?;
        self.hears("native", json!({ "text": r#"{"type":"subscribed","id":2,"channel":"room:1"}"# }))?;
        Ok(connected["session"].as_str().unwrap_or_default().to_owned())
    }

    fn plain(&mut self, verb: &str, name: &str, channel: &str) -> Judged {
        let (url, token) = self.with_token(self.place.node.plain_url(channel));
        let opened = self.comes_in(&[verb, name, &url, "", &token]);
        self.want(&opened, &json!({ "open": self.can.protocol.then_some("") }))
    }

    fn sse(&mut self, verb: &str, name: &str, channel: &str) -> Judged {
        let (url, token) = self.with_token(self.place.node.sse_url(channel));
        let opened = self.comes_in(&[verb, name, &url, "", &token]);
        self.want(&opened, &json!({ "open": "text/event-stream" }))
    }

    /// The URL, and the token for the header; in the URL where there can be no header.
    fn with_token(&self, url: String) -> (String, String) {
        let token = self.place.token.clone();
        if self.can.headers { (url, token) } else { (format!("{url}&token={token}"), String::new()) }
    }

    /// Dials. `again`: while the node is away, which comes back meanwhile.
    fn comes_in(&mut self, words: &[&str]) -> Value {
        self.driver.begin(words);
        if words[0] == "again" && self.place.node.process().exited().is_some() {
            self.place.node.start_again().expect("the node on its ports");
        }
        self.driver.answer()
    }

    /// Nothing is heard, not even an end, for longer than a client lives that answers no ping.
    fn stays(&mut self, names: &[&str]) -> Judged {
        let nothing = json!({ "nothing": true });
        let (first, others) = names.split_first().expect("at least one");
        let heard = self.hear(first, SILENCE);
        self.want(&heard, &nothing)?;
        for name in others {
            let heard = self.hear(name, "0");
            self.want(&heard, &nothing)?;
        }
        for name in names.iter().filter(|_| self.can.pings) {
            let pings = self.driver.ask(&["pings", name]);
            if pings["pings"].as_u64() < Some(2) {
                let what = format!("{pings} of {name}, at least 2 were due");
                return Err(Wrong { step: self.step, what });
            }
        }
        Ok(())
    }

    fn is_closed(&mut self, name: &str, code: u64, reason: &str) -> Judged {
        let heard = self.hear(name, LONG);
        let fits = heard["reason"].as_str().is_some_and(|text| text.starts_with(reason));
        if heard["closed"] == code && fits {
            return Ok(());
        }
        Err(Wrong { step: self.step, what: format!("{heard} where a close with {code} {reason} was due") })
    }

    fn node_exits(&mut self) -> Judged {
        let status = self.place.node.wait(PATIENCE + Duration::from_secs(10)).expect("it stops");
        self.want(&json!(status.code()), &json!(0))
    }
}
