//! Stock clients, unmodified, each through the same script: come in with a token, hear and publish text and binary, be
//! refused, be pinged, be closed with a reason, come back.
//!
//! `stock/script.rs` has the scripts and the judge, `stock/driver.rs` how clients are told what to do. Of each judge
//! there is a control: the same script where one rule is another one, whose step must be found.

#[path = "stock/driver.rs"]
mod driver;
#[path = "stock/origins.rs"]
mod origins;
#[path = "stock/place.rs"]
mod place;
#[path = "stock/script.rs"]
mod script;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use driver::Driver;
use origins::Visit;
use place::{Place, token};
use script::{Abilities, Script};
use serde_json::json;
use support::{PATIENCE, admin, say};
use tidegate_testkit::{free_port, run, tools};

const EVERYTHING: Abilities = Abilities { headers: true, protocol: true, pings: true, status: true };
/// It does not show the subprotocol.
const WEBSOCAT: Abilities = Abilities { protocol: false, ..EVERYTHING };
const BROWSER: Abilities = Abilities { headers: false, protocol: true, pings: false, status: false };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock")
}

fn java() -> Driver {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/java/Stock.java");
    Driver::start("Stock.java", Command::new("java").arg(file))
}

fn gorilla() -> Driver {
    Driver::start("gorilla", &mut Command::new(tools::go_program("stock")))
}

/// websocat and curl. `flags` are for websocat.
fn commands(flags: &str) -> Driver {
    let mut command = Command::new(tools::python());
    command.arg(folder().join("commands.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("WEBSOCAT", tools::python_program("websocat")).env("FLAGS", flags);
    Driver::start("commands.py", &mut command)
}

/// Chromium, which gets its pages from `port`.
fn chromium(port: u16) -> Driver {
    let mut command = Command::new("node");
    command.arg(folder().join("browser.mjs")).env("PORT", port.to_string());
    command.env("NPM", tools::npm_dir()).env("CHROMIUM", tools::chromium());
    Driver::start("browser.mjs", &mut command)
}

/// A page at an origin that the place of [`allowing`] lets in.
fn page(port: u16) -> Driver {
    let mut driver = chromium(port);
    let origin = allowed(port);
    assert_eq!(driver.ask(&["visit", &origin, "top"]), json!({ "origin": origin }));
    driver
}

fn allowed(port: u16) -> String {
    format!("http://allowed.localhost:{port}")
}

/// A place that lets pages of these origins in.
fn allowing(origins: &[String]) -> Place {
    Place::with("[server]\n", &format!("[server]\norigins = {origins:?}\n"))
}

fn websocket(name: &str, place: &mut Place, driver: &mut Driver, can: Abilities) {
    match Script::new(place, driver, can).websocket() {
        Ok(steps) => say(&format!("stock client, {name}: {steps} of {steps} steps")),
        Err(wrong) => panic!("{name}: {wrong}\n{}", place.node.log()),
    }
}

fn stream(name: &str, place: &mut Place, driver: &mut Driver, can: Abilities, again: bool) {
    match Script::new(place, driver, can).stream(again) {
        Ok(steps) => say(&format!("stock client, {name}: {steps} of {steps} steps")),
        Err(wrong) => panic!("{name}: {wrong}\n{}", place.node.log()),
    }
}

#[test]
fn java_net_http_websocket_goes_through_the_script() {
    websocket("java.net.http.WebSocket", &mut Place::open(), &mut java(), EVERYTHING);
}

#[test]
fn go_gorilla_websocket_goes_through_the_script() {
    websocket("gorilla/websocket", &mut Place::open(), &mut gorilla(), EVERYTHING);
}

#[test]
fn websocat_goes_through_the_script() {
    websocket("websocat", &mut Place::open(), &mut commands(""), WEBSOCAT);
}

#[test]
fn chromiums_websocket_goes_through_the_script_from_another_origin() {
    let port = free_port();
    websocket("Chromium's WebSocket", &mut allowing(&[allowed(port)]), &mut page(port), BROWSER);
}

#[test]
fn chromiums_event_source_goes_through_the_script_from_another_origin() {
    let port = free_port();
    stream("Chromium's EventSource", &mut allowing(&[allowed(port)]), &mut page(port), BROWSER, false);
}

#[test]
fn curl_goes_through_the_script() {
    stream("curl", &mut Place::open(), &mut commands(""), EVERYTHING, true);
}

#[test]
fn the_judge_of_websockets_finds_a_rule_that_is_another_one() {
    let lax = "[namespaces.closed]\npublish = \"anyone\"";
    let mut place = Place::with("[namespaces.closed]\npublish = \"nobody\"", lax);
    let wrong =
        Script::new(&mut place, &mut commands(""), WEBSOCAT).websocket().expect_err("a step is missing");
    assert_eq!(wrong.step, "native: is refused where nobody may publish");
    say(&format!("stock client, control: anyone may publish: found at {wrong}"));
}

#[test]
fn the_judge_of_websockets_finds_a_client_that_answers_no_ping() {
    let mut mute = commands("--inhibit-pongs 0");
    let wrong =
        Script::new(&mut Place::open(), &mut mute, WEBSOCAT).websocket().expect_err("it is closed with 4201");
    assert_eq!(wrong.step, "is pinged, answers and stays");
    assert!(wrong.to_string().contains("4201"), "{wrong}");
    say(&format!("stock client, control: websocat --inhibit-pongs 0: found at {wrong}"));
}

#[test]
fn the_judge_of_streams_finds_a_rule_that_is_another_one() {
    let mut place = Place::with(
        "[namespaces.room]\nsubscribe = \"granted\"",
        "[namespaces.room]\nsubscribe = \"nobody\"",
    );
    let wrong = Script::new(&mut place, &mut commands(""), EVERYTHING).stream(true).expect_err("a refusal");
    assert_eq!(wrong.step, "with a token it comes in");
    say(&format!("stock client, control: nobody may subscribe: found at {wrong}"));
}

#[test]
fn pages_of_a_listed_origin_come_in_and_those_of_no_other() {
    let port = free_port();
    let (mut driver, place) = (chromium(port), allowing(&[allowed(port)]));
    let at = allowed(port);
    origins::judge(&mut driver, &place, Visit { at: &at, sandboxed: false }, true).expect("it is listed");

    // A page that may come in can read why it may not go further.
    let url = place.node.sse_url("room:1");
    assert_eq!(driver.ask(&["dial", "forged", &url, "fetch", "a.b.c"]), json!({ "refused": 401 }));

    let others = [
        (format!("{}.evil.localhost:{port}", at.trim_end_matches(&format!(":{port}"))), false),
        (format!("http://not-allowed.localhost:{port}"), false),
        (format!("http://localhost:{port}"), false),
        (at, true),
    ];
    for (at, sandboxed) in &others {
        let visit = Visit { at, sandboxed: *sandboxed };
        origins::judge(&mut driver, &place, visit, false).expect("it is not listed");
    }
    let refused = 5 * others.len();
    let log = place.node.log();
    assert!(log.contains(&format!(r#""origin":"http://allowed.localhost.evil.localhost:{port}""#)), "{log}");
    assert_eq!(log.matches(r#""status":403"#).count(), refused, "{log}");
    let counted = admin::metric(&place.node, r#"tidegate_errors_total{code="forbidden"}"#);
    assert_eq!(usize::try_from(counted), Ok(refused));
    say(&format!(
        "stock client, Chromium from other origins: 5 doors opened, {refused} refused, all of them counted"
    ));
}

#[test]
fn the_judge_of_origins_finds_a_list_that_is_too_wide() {
    let port = free_port();
    let place = allowing(&[format!("http://*.localhost:{port}")]);
    let at = format!("http://allowed.localhost.evil.localhost:{port}");
    let visit = Visit { at: &at, sandboxed: false };
    let found = origins::judge(&mut chromium(port), &place, visit, false).expect_err("it is let in");
    assert!(found.contains("evil"), "{found}");
    say(&format!("stock client, control: a list of origins that is too wide: {found}"));
}

#[test]
fn curl_is_told_what_to_do_about_a_refusal() {
    let port = free_port();
    let origin = allowed(port);
    let place = Place::with(
        "[server]\n",
        &format!("[limits]\nundeclared = \"refuse\"\n[server]\norigins = [\"{origin}\"]\n"),
    );
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let alice = bearer(&place.token);
    let forged = bearer(&format!("{}x", place.token));
    let stranger = bearer(&token(&json!({ "subscribe": ["room:2"] })));
    let listed = format!("Origin: {origin}");
    let room = "/sse?channel=room:1";
    // The request, its status, and words of head and body.
    let refusals: [(&[&str], &str, u16, &[&str]); 13] = [
        (
            &[],
            room,
            401,
            &["www-authenticate: Bearer", r#""code":"unauthorized""#, "Authorization: Bearer …", "?token=…"],
        ),
        (&["-H", &forged], room, 401, &["www-authenticate: Bearer", "signature"]),
        (
            &[],
            "/sse?channel=room:1&token=nonsense",
            401,
            &["www-authenticate: Bearer", "three base64url parts"],
        ),
        (&["-H", &stranger], room, 403, &[r#""code":"forbidden""#, "room:1"]),
        (
            &["-H", "Origin: http://evil.localhost", "-H", &alice],
            room,
            403,
            &["server.origins", "evil.localhost"],
        ),
        (&["-H", &alice], "/sse?channel=nowhere:1", 404, &[r#""code":"unknown_channel""#, "nowhere"]),
        (&["-H", &alice], "/events", 404, &["/sse?channel=…"]),
        (&["-H", &alice], "/sse", 400, &["?channel=chat:1"]),
        (&["-H", &alice], "/sse?channel=a%20b", 400, &[r#""code":"bad_channel""#]),
        (&["-H", &alice, "-X", "POST"], room, 405, &["allow: GET, OPTIONS"]),
        (&["-H", &alice], "/plain?channel=room:1", 426, &["upgrade: websocket", "ws://"]),
        (&["-H", &alice, "-I"], room, 405, &["allow: GET, OPTIONS"]),
        (
            &["-H", &listed],
            room,
            401,
            &["access-control-allow-origin: http://allowed", "Authorization: Bearer"],
        ),
    ];
    for (arguments, path, status, words) in refusals {
        let answer = curl(&place, arguments, path);
        assert_eq!(
            answer.split(' ').nth(1),
            Some(status.to_string().as_str()),
            "{arguments:?} {path}: {answer}"
        );
        for word in words {
            assert!(answer.contains(word), "{arguments:?} {path}: no {word:?} in {answer}");
        }
    }
    // curl does not look whether there is a body, which RFC 9110 forbids here.
    let request = format!("HEAD {room} HTTP/1.1\r\nHost: a\r\n{alice}\r\n\r\n");
    assert_eq!(admin::ask(place.node.public_addr(), &request).expect("an answer"), (405, String::new()));

    // The preflight that a browser sends before a fetch() with a token in a header.
    let asks = [
        "-X",
        "OPTIONS",
        "-H",
        "Access-Control-Request-Method: GET",
        "-H",
        "Access-Control-Request-Headers: authorization",
        "-H",
    ];
    let preflight = |origin: &str| curl(&place, &[&asks[..], &[origin]].concat(), room);
    let yes = preflight(&listed);
    assert!(yes.starts_with("HTTP/1.1 204 "), "{yes}");
    for line in [
        format!("access-control-allow-origin: {origin}\r\n"),
        "access-control-allow-credentials: true\r\n".to_owned(),
        "access-control-allow-methods: GET\r\n".to_owned(),
        "access-control-allow-headers: Authorization, ".to_owned(),
        "vary: Origin\r\n".to_owned(),
    ] {
        assert!(yes.contains(&line), "no {line:?} in {yes}");
    }
    for stranger in ["Origin: http://evil.localhost", "Origin: null", &format!("{listed}.evil.localhost")] {
        let no = preflight(stranger);
        assert!(no.starts_with("HTTP/1.1 403 ") && !no.contains("access-control-allow"), "{no}");
    }
    say("stock client, curl: 13 refusals and 4 preflights, each with status, headers and what to do");
}

/// What curl prints, with the names of headers in lower case.
fn curl(place: &Place, arguments: &[&str], path: &str) -> String {
    let url = format!("{}{path}", place.node.http_url());
    let answer = run(Command::new("curl").args(["-sSi", "-m", "20"]).args(arguments).arg(url), PATIENCE);
    let answer = answer.expect("an answer");
    let lines = answer.split_inclusive('\n').map(|line| match line.split_once(": ") {
        Some((name, value)) if !name.contains(['{', ' ']) => format!("{}: {value}", name.to_lowercase()),
        _ => line.to_owned(),
    });
    lines.collect()
}
