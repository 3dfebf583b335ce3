//! Stock clients, unmodified, each through the same script: come in with a token, hear and publish text and binary, be
//! refused, be pinged, be closed with a reason, come back.
//!
//! `stock/script.rs` has the scripts and the judge, `stock/driver.rs` how clients are told what to do. Of each judge
//! there is a control: the same script where one rule is another one, whose step must be found.

#[path = "stock/driver.rs"]
mod driver;
#[path = "stock/place.rs"]
mod place;
#[path = "stock/script.rs"]
mod script;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use driver::Driver;
use place::Place;
use script::{Abilities, Script};
use serde_json::json;
use support::say;
use tidegate_testkit::{free_port, tools};

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
