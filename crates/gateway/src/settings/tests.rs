//! The laws of the settings.

use std::io::Write;

use super::*;

fn load(toml: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let own = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment: own(environment).into_iter().collect(),
        flags: own(flags),
    };
    sources.load().map_err(|error| error.to_string())
}

fn refused(toml: &str) -> String {
    load(toml, &[], &[]).unwrap().verify().unwrap_err().to_string()
}

#[test]
fn an_empty_file_is_a_valid_one() {
    let settings = load("", &[], &[]).unwrap();
    assert_eq!(settings, Settings::default());
    settings.verify().unwrap();
}

#[test]
fn later_sources_win() {
    let toml = "[server]\nlisten = \"127.0.0.1:1\"\ndrain = \"5s\"\n[limits]\nmessage = \"1KiB\"\n";
    let environment =
        [("TIDEGATE_SERVER__LISTEN", "127.0.0.1:2,127.0.0.1:3"), ("TIDEGATE_LIMITS__CHANNELS", "7")];
    let settings = load(toml, &environment, &[("server.drain", "6s")]).unwrap();
    assert_eq!(settings.server.listen.0, ["127.0.0.1:2", "127.0.0.1:3"]);
    assert_eq!((settings.server.drain, settings.limits.channels), (Span::seconds(6), 7));
    assert_eq!(settings.limits.message, Size::bytes(1024));
}

#[test]
fn only_two_underscores_make_a_setting() {
    let kubernetes = [
        ("TIDEGATE_SERVICE_HOST", "10.0.0.1"),
        ("TIDEGATE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("TIDEGATE_LOG", "debug"),
        ("TIDEGATE_CONFIG", "x.toml"),
        ("TIDEGATEX__Y", "z"),
        ("TIDEGATE_AUTH__HMAC_SECRET", ""),
    ];
    assert_eq!(load("", &kubernetes, &[]).unwrap(), Settings::default());
}

#[test]
fn an_unknown_key_names_the_nearest() {
    for (toml, words) in [
        ("[server]\nlisten_on = \"x\"", "unknown setting `server.listen_on`: did you mean `server.listen`?"),
        ("[sever]\nlisten = \"x\"", "did you mean `server`?"),
        ("[namespaces.chat]\npublsh = \"anyone\"", "did you mean `namespaces.chat.publish`?"),
        ("[limits]\nzzzzzzzzzz = 1", "known here: channels, "),
    ] {
        let error = load(toml, &[], &[]).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let error = load("", &[("TIDEGATE_SERVER__DRAN", "1s")], &[]).unwrap_err();
    assert!(error.contains("`server.drain`"), "{error}");
}

#[test]
fn a_wrong_value_names_its_key() {
    for (toml, words) in [
        ("[server]\ndrain = \"soon\"", ["server.drain", "soon"]),
        ("[limits]\nmessage = \"64XB\"", ["limits.message", "64XB"]),
        ("[limits]\nchannels = \"many\"", ["limits.channels", "many"]),
        ("[namespaces.chat]\npublish = \"all\"", ["namespaces.chat.publish", "anyone"]),
        ("[server\n", ["cannot read", "expected"]),
    ] {
        let error = load(toml, &[], &[]).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{toml}: {error}");
    }
}

#[test]
fn contradictions_are_refused_with_what_to_do() {
    for (toml, words) in [
        ("[server]\nlisten = \"0.0.0.0:8080\"", "auth.anonymous = true"),
        ("[server]\nlisten = []", "server.listen is empty"),
        ("[server]\nlisten = \"here\"", "server.listen: \"here\""),
        ("[server]\norigins = [\"example.com\"]", "server.origins"),
        ("[server]\nping = \"10ms\"", "server.ping must be between 1s and 1h"),
        ("[server]\nadmin_key = \"\"", "server.admin_key must have at least 16 bytes, this one has 0"),
        ("[auth]\nhmac_secret = \"short\"", "auth.hmac_secret must have at least 32 bytes, this one has 5"),
        ("[redis]\nurl = \"http://x\"", "redis"),
        ("[redis]\nurl = \"redis://x\"\ncluster = [\"redis://y\"]", "redis.url and redis.cluster are given"),
        ("[redis]\ncluster = [\"y:1\"]", "redis.cluster: redis://host:6379"),
        ("[redis.sentinel]\nnodes = [\"redis://y\"]", "redis.sentinel.master is empty"),
        ("[redis]\nurl = \"redis://x\"\nprefix = \"Bad-\"", "prefix"),
        ("[limits]\nevent = \"0B\"", "limits.event must be between"),
        ("[namespaces.\"a:b\"]\npublish = \"anyone\"", "namespaces.a:b"),
    ] {
        let error = refused(toml);
        assert!(error.contains(words), "{toml}: {error}");
    }
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    let page = reference();
    for words in [
        "## [server]",
        "| `drain` | duration | `\"20s\"` |",
        "| `event` | size | `\"256KiB\"` |",
        "## [namespaces.NAME]",
        "### [redis.sentinel]",
        "| `master` | text |",
        "| `publish` | `\"anyone\"`, `\"granted\"`, `\"nobody\"` |",
        "| `undeclared` | `\"default\"`, `\"refuse\"` | `\"default\"` |",
    ] {
        assert!(page.contains(words), "{words} in\n{page}");
    }
}
