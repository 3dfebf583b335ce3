//! The command line and the configuration: each slip is a sentence that names it, and the documented exit code.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use tidegate_testkit::free_port;

use crate::support::{BINARY, say};

/// A run: arguments, variables, and a file where `FILE` stands.
#[derive(Default)]
struct Run<'a> {
    arguments: &'a [&'a str],
    variables: &'a [(&'a str, &'a [u8])],
    file: Option<&'a [u8]>,
}

/// Exit code and standard error; nothing may be on standard output, and nothing may panic.
fn ended(run: &Run) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidegate.toml");
    let mut command = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(key);
    }
    if let Some(text) = run.file {
        std::fs::write(&path, text).expect("a file");
    }
    for argument in run.arguments {
        let argument: OsString = if *argument == "FILE" { path.clone().into() } else { argument.into() };
        command.arg(argument);
    }
    for (name, value) in run.variables {
        command.env(name, OsStr::from_bytes(value));
    }
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty() && !error.contains("panicked"), "{:?}: {error}", run.arguments);
    (output.status.code().unwrap_or(-1), error)
}

#[test]
fn wrong_files_are_refused_by_key_limit_and_value() {
    let check = |file: &[u8]| {
        ended(&Run {
            arguments: &["config", "check", "--config", "FILE"],
            file: Some(file),
            ..Run::default()
        })
    };
    let rows: &[(&[u8], &[&str])] = &[
        (b"[server]\nlisten = \"x\n", &["tidegate.toml", "line 2"]),
        (b"[server]\nlisten = \"\xff\"\n", &["tidegate.toml", "UTF-8"]),
        (b"[server]\nlisten = \"127.0.0.1:99999\"", &["server.listen", "127.0.0.1:99999"]),
        (b"[server]\nadmin = \"8081\"", &["server.admin", "8081"]),
        (b"[server]\ndrain = \"0s\"", &["server.drain", "1s and 1h", "0s"]),
        (b"[server]\ndrain = \"-1s\"", &["server.drain", "-1s"]),
        (b"[server]\nping = 25", &["server.ping", "25"]),
        (b"[server]\nworkers = -1", &["server.workers", "-1"]),
        (b"[server]\nworkers = 5000", &["server.workers", "1024", "5000"]),
        (b"[server]\nadmin_key = \"short\"", &["server.admin_key", "16", "5"]),
        (b"[server]\norigins = [\"example.com\"]", &["server.origins", "example.com"]),
        (b"[limits]\nevent = \"99999999999GiB\"", &["limits.event", "99999999999GiB"]),
        (b"[limits]\nevent = \"1GiB\"", &["limits.event", "64MiB", "1GiB"]),
        (b"[limits]\nmessage = \"\"", &["limits.message", "\"\""]),
        (b"[limits]\nchannels = 0", &["limits.channels", "at least 1", "0"]),
        (b"[limits]\nchannels = 1.5", &["limits.channels", "1.5"]),
        (b"[limits]\nchanels = 1", &["limits.chanels", "limits.channels"]),
        (b"[auth]\nanonymous = 1", &["auth.anonymous", "1", "true or false"]),
        (b"[auth]\nhmac_secret = \"short\"", &["auth.hmac_secret", "32", "5"]),
        (b"[redis]\nurl = \"http://x\"", &["redis.url", "redis://"]),
        (b"[redis]\nurl = \"redis://x:99999\"", &["redis.url"]),
        (b"[redis]\nurl = \"redis://x\"\nprefix = \"a{b\"", &["redis.prefix", "a{b"]),
        (b"[redis]\nurl = \"redis://x\"\nread_pace = \"11ms\"", &["redis.read_pace", "10ms", "11ms"]),
        (b"[redis]\nurl = \"rediss://x\"\nread_pace = \"1ms\"", &["redis.read_pace", "rediss://"]),
        (b"[namespaces.\"a b\"]", &["namespaces.a b"]),
        (b"[namespaces.chat]\npublish = \"all\"", &["namespaces.chat.publish", "all", "granted"]),
        (b"server = 1", &["server", "1"]),
        (b"[server]\n[server]", &["tidegate.toml", "line 2"]),
        (b"\0", &["tidegate.toml", "line 1"]),
    ];
    for (file, words) in rows {
        let (code, error) = check(file);
        let text = String::from_utf8_lossy(file);
        assert_eq!(code, 2, "{text}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
    // Control: a file that is right is not refused, so refusing is no habit.
    let right =
        Command::new(BINARY).args(["config", "check"]).stdin(Stdio::null()).output().expect("it starts");
    assert_eq!(right.status.code(), Some(0));
    say(&format!(
        "bad configurations: {} files refused with 2 and named; control, a right one: refused: false",
        rows.len()
    ));
}

#[test]
fn files_that_are_none_and_variables_of_any_bytes() {
    for (path, words) in
        [("/nowhere/x.toml", "No such file"), ("/", "directory"), ("/dev/zero", "at most 1048576 bytes")]
    {
        let (code, error) =
            ended(&Run { arguments: &["config", "check", "--config", path], ..Run::default() });
        assert!(code == 2 && error.contains(path) && error.contains(words), "{code} {error}");
        let (code, error) = ended(&Run {
            arguments: &["config", "check"],
            variables: &[("TIDEGATE_CONFIG", path.as_bytes())],
            ..Run::default()
        });
        assert!(code == 2 && error.contains(path), "{code} {error}");
    }
    for (name, value, words) in [
        ("TIDEGATE_LIMITS__EVENT", &b"\xff"[..], "TIDEGATE_LIMITS__EVENT is not UTF-8"),
        ("TIDEGATE_LIMITS__EVENT", b"much", "limits.event"),
        ("TIDEGATE_LIMITS__CHANNELS", b"-1", "limits.channels"),
        ("TIDEGATE_LIMITS__EVNT", b"1", "did you mean `limits.event`?"),
        ("TIDEGATE_SERVER__LISTEN__X", b"1", "server.listen"),
    ] {
        let (code, error) =
            ended(&Run { arguments: &["config", "check"], variables: &[(name, value)], ..Run::default() });
        assert!(code == 2 && error.contains(words), "{name}: {code} {error}");
    }
    let logs: [(&[u8], &str); 2] = [(b"a=b=c", "TIDEGATE_LOG"), (b"\xff", "TIDEGATE_LOG is not UTF-8")];
    for (filter, words) in logs {
        let (code, error) =
            ended(&Run { arguments: &["serve"], variables: &[("TIDEGATE_LOG", filter)], ..Run::default() });
        assert!(code == 2 && error.contains(words), "{code} {error}");
    }
    // A variable of somebody else may hold what it likes.
    let other = Command::new(BINARY)
        .args(["config", "check"])
        .env("SOMETHING_ELSE", OsStr::from_bytes(b"\xff"))
        .env(OsStr::from_bytes(b"\xff\xfe"), "x")
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    assert_eq!(other.status.code(), Some(0), "{}", String::from_utf8_lossy(&other.stderr));
}

#[test]
fn usage_is_2_and_failure_is_1() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let no_port = format!("127.0.0.1:{}", free_port());
    let rows: &[(&[&str], i32, &str)] = &[
        (&["publish", "a", "1", "--admin", "nonsense"], 2, "nonsense"),
        (&["publish", "a", "1", "--admin", "https://127.0.0.1"], 2, "http://"),
        (&["publish", "a", "1", "--admin", "http://"], 2, "http://"),
        (&["publish", "a", "1", "--admin", "http://a b"], 2, "a b"),
        (&["publish", "a", "1", "--admin", "http://127.0.0.1:99999"], 2, "99999"),
        (&["publish", "a", "1", "--key", "a\nb"], 2, "key"),
        (&["publish", "a", "?", "--base64"], 2, "base64"),
        (&["publish", "a", "1", "--admin", &nobody], 1, "cannot reach"),
        (&["subscribe", "a", "--url", "nonsense"], 2, "nonsense"),
        (&["subscribe", "a", "--url", "ws://"], 2, "ws://"),
        (&["subscribe", "a", "--url", "ws://127.0.0.1:99999/ws"], 2, "99999"),
        (&["subscribe", "a b"], 2, "' '"),
        (&["subscribe", ""], 2, "empty"),
        (&["subscribe", &"x".repeat(256)], 2, "256"),
        (&["subscribe", "a", "--count", "-1"], 2, "'-1'"),
        (&["subscribe", "a", "--count", "99999999999999999999"], 2, "99999999999999999999"),
        (&["subscribe", "a", "--codec", "xml"], 2, "xml"),
        (&["serve", "--workers", "many"], 2, "many"),
        (&["serve", "--workers", "5000"], 2, "server.workers"),
        (&["serve", "--listen", "nonsense"], 2, "server.listen"),
        (&["serve", "--listen", "127.0.0.1:x"], 2, "127.0.0.1:x"),
        (&["serve", "--redis", "memcached://x"], 2, "redis://"),
        (&["serve", "--listen", &taken, "--admin", &no_port], 1, "cannot listen"),
        (&["serve", "extra"], 2, "extra"),
        (&["config"], 2, "Usage"),
        (&["config", "dance"], 2, "dance"),
        (&["--dance"], 2, "--dance"),
    ];
    for (arguments, expected, words) in rows {
        let (code, error) = ended(&Run { arguments, ..Run::default() });
        assert_eq!(code, *expected, "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}
