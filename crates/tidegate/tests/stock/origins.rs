//! What pages of an origin may do: all doors of a browser, and the judge, who wants all of them open or none.

use serde_json::{Value, json};

use super::driver::Driver;
use super::place::Place;

/// Pages of one origin, as Chromium has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit<'a> {
    /// Where the page comes from.
    pub(crate) at: &'a str,
    /// In a frame with a sandbox: its origin is `null`.
    pub(crate) sandboxed: bool,
}

/// The doors as a page knocks: what it calls them, the URL's path, the subprotocol or how to stream, what opens.
const DOORS: [(&str, &str, &str, &str); 5] = [
    ("WebSocket at /ws", "/ws", "tidegate.v1.json", "tidegate.v1.json"),
    ("WebSocket at /plain", "/plain?channel=room:1", "", ""),
    ("EventSource", "/sse?channel=room:1", "", "text/event-stream"),
    ("EventSource with credentials", "/sse?channel=room:1", "credentials", "text/event-stream"),
    ("fetch with a token in a header", "/sse?channel=room:1", "fetch", "text/event-stream"),
];

/// Knocks at every door from a page. `open`: whether all of them must open, and bring an event; or none may.
///
/// # Errors
/// The door that did otherwise.
pub(crate) fn judge(driver: &mut Driver, place: &Place, visit: Visit<'_>, open: bool) -> Result<(), String> {
    let manner = if visit.sandboxed { "sandboxed" } else { "top" };
    let origin = if visit.sandboxed { "null" } else { visit.at };
    let came = driver.ask(&["visit", visit.at, manner]);
    assert_eq!(came, json!({ "origin": origin }), "that page is not there");
    for (door, path, word, opens) in DOORS {
        let socket = path.starts_with("/ws") || path.starts_with("/plain");
        let scheme = if socket { "ws" } else { "http" };
        // The native door takes it as a subprotocol, `fetch` as a header.
        let in_url = path != "/ws" && word != "fetch";
        let query = if in_url { format!("&token={}", place.token) } else { String::new() };
        let url = format!("{scheme}://{}{path}{query}", place.node.public_addr());
        let answer = driver.ask(&["dial", "door", &url, word, if in_url { "" } else { &place.token }]);
        let refused = if socket { json!(1006) } else { json!("for good") };
        let wanted = if open { json!({ "open": opens }) } else { json!({ "refused": refused }) };
        if answer != wanted {
            return Err(format!("{door} for a page of {origin}: {answer} where {wanted} was due"));
        }
        if open {
            if path == "/ws" {
                driver.ask(&["say", "door", r#"{"type":"connect","id":1}"#]);
                driver.ask(&["hear", "door", "20000"]);
                driver.ask(&["say", "door", r#"{"type":"subscribe","id":2,"channel":"room:1"}"#]);
                driver.ask(&["hear", "door", "20000"]);
            }
            place.publish("room:1", r#""data":"to a page""#);
            let heard = driver.ask(&["hear", "door", "20000"]);
            if !heard.as_object().is_some_and(|event| event.values().any(has_words)) {
                return Err(format!("{door} for a page of {origin}: {heard} where an event was due"));
            }
        }
        driver.ask(&["close", "door"]);
    }
    Ok(())
}

fn has_words(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("to a page"))
}
