//! The laws of the settings.

use std::io::Write;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_broker::{HistoryRules, LogRules};

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
fn a_namespace_remembers_what_it_says_and_nothing_of_defaults() {
    let toml = "[server]\nsettings_revision = 3\n[limits]\nevent = \"1KiB\"\n\
                [redis]\nurl = \"redis://127.0.0.1\"\n\
                [namespaces.default]\nhistory = {}\n\
                [namespaces.chat]\nhistory = { size = 5, ttl = \"1d\" }\nposition_ttl = \"2d\"\n\
                durability = \"replicated\"\n\
                [namespaces.live]\ndedupe_ttl = \"1s\"\n\
                [namespaces.news.history]\nsize = 7\n";
    let size = ("TIDEGATE_NAMESPACES__NEWS__HISTORY__SIZE", "8");
    let history = load(toml, &[size], &[]).unwrap().check().ok().unwrap().history;
    assert_eq!((history.revision, history.max_event_bytes), (3, 1024));
    let day = Duration::from_secs(24 * 60 * 60);
    let (rules, log) = (HistoryRules::default(), LogRules::default());
    assert_eq!(history.default, HistoryRules { history: Some(log), ..rules });
    let chat = HistoryRules {
        history: Some(LogRules { size: 5, ttl: day }),
        position_ttl: 2 * day,
        replicated: true,
        ..rules
    };
    let live = HistoryRules { dedupe_ttl: Duration::from_secs(1), ..rules };
    let news = HistoryRules { history: Some(LogRules { size: 8, ..log }), ..rules };
    for (channel, expected) in [
        ("chat:1", chat),
        ("live:1", live),
        ("news", history.default),
        ("news:1", news),
        ("other:1", history.default),
    ] {
        assert_eq!(*history.of(&channel.parse().unwrap()), expected, "{channel}");
    }
    let none = load("", &[], &[]).unwrap().check().ok().unwrap().history;
    assert_eq!((none.default, none.namespaces.len()), (rules, 0));
}

#[test]
fn memories_that_cannot_be_are_refused_with_limit_and_value() {
    for (lines, words) in [
        ("history = { size = 0 }", "namespaces.chat.history.size must be between 1 and 1000000, not 0"),
        ("history = { size = 1000001 }", "not 1000001"),
        (
            "history = { ttl = \"999ms\" }",
            "namespaces.chat.history.ttl must be between 1s and 3650d, not 999ms",
        ),
        ("position_ttl = \"0s\"", "namespaces.chat.position_ttl must be between"),
        ("dedupe_ttl = \"4000d\"", "namespaces.chat.dedupe_ttl must be between"),
        (
            "history = { ttl = \"2d\" }\nposition_ttl = \"1d\"",
            "namespaces.chat.position_ttl (1day) is shorter than namespaces.chat.history.ttl (2days)",
        ),
        (
            "history = { ttl = \"2s\" }\nposition_ttl = \"14s\"",
            "namespaces.chat.position_ttl must be at least 15s where there is history, not 14s",
        ),
        ("durability = \"replicated\"", "needs namespaces.chat.history"),
        ("history = {}\ndurability = \"replicated\"", "needs Redis: set redis.url"),
    ] {
        let error = refused(&format!("[namespaces.chat]\n{lines}"));
        assert!(error.contains(words), "{lines}: {error}");
    }
    for (lines, words) in [
        ("history = true", "namespaces.chat.history"),
        ("history = 1000", "namespaces.chat.history"),
        ("history = { sise = 1 }", "did you mean `namespaces.chat.history.size`?"),
        ("history = { size = 1.5 }", "namespaces.chat.history.size"),
        ("history = { size = -1 }", "namespaces.chat.history.size"),
        ("history = { ttl = 60 }", "namespaces.chat.history.ttl"),
        ("position_ttl = \"soon\"", "namespaces.chat.position_ttl"),
        ("durability = \"disk\"", "one of `\"master\"`, `\"replicated\"`"),
    ] {
        let error = load(&format!("[namespaces.chat]\n{lines}"), &[], &[]).err().unwrap_or_default();
        assert!(error.contains(words), "{lines}: {error:?}");
    }
}

#[test]
fn sizes_and_durations_are_counted_or_refused() {
    for (text, bytes) in
        [("4096", 4096), ("1KiB", 1024), ("1kB", 1000), ("1.5KiB", 1536), ("64 MiB", 64 << 20), ("0", 0)]
    {
        assert_eq!(text.parse(), Ok(Size::bytes(bytes)), "{text}");
    }
    for text in [
        "",
        "-1",
        "-1KiB",
        "1XB",
        "KiB",
        "1KiB2",
        "NaN",
        "inf",
        "1e9",
        "0x10",
        "99999999999GiB",
        "1e99GiB",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999EiB",
        "1.1.1KiB",
        "٣KiB",
    ] {
        let error = text.parse::<Size>().unwrap_err();
        assert!(error.contains(&format!("{text:?}")), "{text}: {error}");
    }
    for text in [
        "",
        "-1s",
        "1",
        "s",
        "1x",
        "99999999999999999999s",
        "18446744073709551615h",
        "1e3s",
        "1s1",
        "NaNs",
        "-0s",
    ] {
        let error = text.parse::<Span>().unwrap_err();
        assert!(error.contains(&format!("{text:?}")), "{text}: {error}");
    }
}

#[test]
fn odd_values_are_refused_with_key_and_value() {
    for (toml, words) in [
        ("[limits]\nevent = 1.5", ["limits.event", "1.5"]),
        ("[auth]\nanonymous = 7", ["auth.anonymous", "7"]),
        ("[limits]\nevent = \"99999999999GiB\"", ["limits.event", "99999999999GiB"]),
        ("[limits]\nevent = \"-1\"", ["limits.event", "-1"]),
        ("[limits]\nevent = [1]", ["limits.event", "sequence"]),
        ("[limits]\nchannels = -1", ["limits.channels", "-1"]),
        ("[limits]\nchannels = 1.5", ["limits.channels", "1.5"]),
        ("[limits]\nchannels = 1e30", ["limits.channels", "floating point `1000000"]),
        ("[limits]\nchannels = nan", ["limits.channels", "floating point"]),
        ("[limits]\nchannels = true", ["limits.channels", "true"]),
        ("[limits]\nchannels = 9223372036854775808", ["cannot read", "line 2"]),
        ("[limits]\nchannels = 0xFF_", ["cannot read", "line 2"]),
        ("[server]\nworkers = \"-1\"", ["server.workers", "-1"]),
        ("[server]\npage = \"maybe\"", ["server.page", "maybe"]),
        ("[server]\nlisten = 8080", ["server.listen", "8080"]),
        ("[server]\nlisten = { a = 1 }", ["server.listen", "list"]),
        ("[server]\ndrain = \"99999999999999999999s\"", ["server.drain", "99999999999999999999s"]),
        ("[server]\nlog = \"xml\"", ["server.log", "xml"]),
        ("server = 5", ["server", "5"]),
        ("namespaces = []", ["namespaces", "sequence"]),
        ("[namespaces]\nchat = 7", ["namespaces.chat", "7"]),
        ("[namespaces.chat]\nwelcome = 7.5.1", ["cannot read", "line 2"]),
        ("[server]\n[server]\n", ["cannot read", "line 2"]),
        ("a = \"\"\"", ["cannot read", "line 1"]),
        ("\u{feff}[server]\nx = 1", ["server.x", "known here"]),
        ("[redis]\nurl = 5", ["redis.url", "redis://host"]),
    ] {
        let answer = load(toml, &[], &[]).and_then(|s| s.verify().map_err(|e| e.to_string()));
        let error = answer.err().unwrap_or_default();
        assert!(words.iter().all(|word| error.contains(word)), "{toml}: {error:?}");
    }
    for (name, value) in
        [("LIMITS__CHANNELS", "yes"), ("LIMITS__CHANNELS", "1.5"), ("AUTH__ANONYMOUS", "perhaps")]
    {
        let error = load("", &[(&format!("TIDEGATE_{name}"), value)], &[]).unwrap_err();
        assert!(error.contains(&name.to_lowercase().replace("__", ".")) && error.contains(value), "{error}");
    }
    let on =
        load("", &[("TIDEGATE_AUTH__ANONYMOUS", "yes"), ("TIDEGATE_SERVER__WORKERS", "3")], &[]).unwrap();
    assert_eq!((on.auth.anonymous, on.server.workers), (Some(true), 3));
    for (toml, words) in [
        ("[limits]\nevent = \"65MiB\"", "limits.event must be between 1B and 64MiB, not 65MiB"),
        ("[limits]\nchannels = 0", "limits.channels must be at least 1, not 0"),
        ("[limits]\noutbox_entries = 1", "limits.outbox_entries must be at least 2, not 1"),
        ("[limits]\nhandshakes = 0", "limits.handshakes must be between 1 and 65536, not 0"),
        ("[server]\nworkers = 1025", "server.workers must be at most 1024, not 1025"),
        ("[server]\nlisten = \"127.0.0.1:99999\"", "server.listen: \"127.0.0.1:99999\""),
        ("[server]\nlisten = \"127.0.0.1\"", "server.listen: \"127.0.0.1\""),
        ("[server]\nadmin = \"\"", "server.admin: \"\""),
        ("[server]\norigins = [\"https://a.example/x\"]", "https://a.example/x"),
        ("[namespaces.\"a b\"]\n", "namespaces.a b"),
        ("[namespaces.\"~x\"]\n", "namespaces.~x"),
    ] {
        let error = refused(toml);
        assert!(error.contains(words), "{toml}: {error}");
    }
}

#[test]
fn files_that_are_none_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"[server]\nlisten = \"\xff\"\n").unwrap();
    for (path, words) in [
        (folder.path().to_owned(), "directory"),
        (folder.path().join("nowhere.toml"), "No such file"),
        (binary, "UTF-8"),
        ("/dev/zero".into(), "at most 1048576 bytes"),
    ] {
        let sources = Sources { file: Some(path.clone()), ..Sources::default() };
        let error = sources.load().unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains(words), "{error}");
    }
}

proptest! {
    #[test]
    fn any_setting_is_read_or_refused_by_name(
        settings in prop::collection::vec((0usize..KEYS.len(), VALUE), 1..4),
        variables in prop::collection::vec((0usize..KEYS.len(), "\\PC{0,20}|-?[0-9.]{1,20}[a-zA-Z]{0,3}"), 0..3),
    ) {
        let mut toml = String::new();
        for (key, value) in settings {
            let (section, key) = KEYS[key].split_once('.').unwrap();
            toml.push_str(&format!("[{section}]\n{key} = {value}\n"));
        }
        let name = |key: &str| format!("TIDEGATE_{}", key.replace('.', "__").to_uppercase());
        let variables: Vec<_> = variables.into_iter().map(|(key, value)| (name(KEYS[key]), value)).collect();
        let variables: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        match load(&toml, &variables, &[]) {
            // Addresses would be looked up: not here.
            Ok(settings) => {
                let Settings { server, .. } = Settings::default();
                let _ = Settings { server: ServerSettings { ping: settings.server.ping, drain: settings.server.drain,
                    workers: settings.server.workers, origins: settings.server.origins.clone(), ..server }, ..settings }.verify();
            }
            Err(error) => {
                let named = KEYS.iter().any(|key| error.contains(key)) || error.contains("cannot read");
                prop_assert!(named, "{}\n{:?}\n{}", toml, variables, error);
            }
        }
    }
}

/// Settings of each type, and values that some of them take.
const KEYS: [&str; 13] = [
    "server.listen",
    "server.drain",
    "server.workers",
    "server.page",
    "server.log",
    "server.origins",
    "server.ping",
    "limits.event",
    "limits.channels",
    "limits.undeclared",
    "auth.hmac_secret",
    "redis.prefix",
    "redis.read_pace",
];
const VALUE: &str = "\"[0-9]{1,20}(KiB|GiB|s|ms|h|)\"|-?[0-9]{1,25}|-?[0-9]{1,3}\\.[0-9]e[0-9]{1,3}|true|\\[\\]|\\[1, \"a\"\\]|\\{ a = 1 \\}|\"[ -!#-\\[\\]-~]{0,20}\"|1979-05-27|nan|inf";

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
        "### [namespaces.NAME.history]",
        "| `size` | number | `1000` |",
        "| `durability` | `\"master\"`, `\"replicated\"` | `\"master\"` |",
        "| `undeclared` | `\"default\"`, `\"refuse\"` | `\"default\"` |",
    ] {
        assert!(page.contains(words), "{words} in\n{page}");
    }
}
