//! The binary as a person meets it: URLs, `subscribe` and `publish`, exit codes, signals.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{BINARY, PATIENCE, admin};
use tempfile::TempDir;
use tidegate_testkit::{Node, Process, eventually, free_port, run};

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(key);
    }
    command.args(arguments);
    command
}

/// Runs to the end: exit code, standard output, standard error.
fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A running `tidegate subscribe`.
struct Subscriber {
    process: Process,
    folder: TempDir,
}

impl Subscriber {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, out) = (folder.path().join("log"), folder.path().join("out"));
        let mut command = tidegate(&["subscribe"]);
        command.args(arguments);
        let process = Process::start("subscribe", &mut command, &log, Some(&out)).expect("it starts");
        Self { process, folder }
    }

    fn says(&self, words: &str) {
        eventually(PATIENCE, words, || self.process.log().contains(words));
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    fn exit(&mut self) -> Option<i32> {
        self.process.wait(PATIENCE).expect("it ends").code()
    }
}

#[test]
fn subscribe_and_publish_meet() {
    let node = Node::builder(BINARY).start().expect("it prints its URLs and needs no configuration");
    for codec in ["json", "msgpack"] {
        let url = node.ws_url();
        let mut subscriber =
            Subscriber::start(&["chat:1", "chat:2", "--url", &url, "--codec", codec, "--count", "5"]);
        subscriber.says(&format!("connected to {url}"));
        subscriber.says("subscribed to chat:2");
        let publish = |channel: &str, data: &str, more: &[&str]| {
            let mut command = tidegate(&["publish", channel, data, "--admin", &node.admin_url()]);
            run(command.args(more), PATIENCE).expect("published")
        };
        assert_eq!(publish("chat:1", r#"{"text": "hello", "n": 1.50}"#, &[]), "published (live)\n");
        publish("chat:2", "hello", &[]);
        publish("chat:1", "-5", &[]);
        publish("chat:1", "//4=", &["--base64"]);
        let mut piped = tidegate(&["publish", "chat:2", "-", "--admin", &node.admin_url()]);
        let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all("grüße\n".as_bytes()).expect("it reads");
        assert!(child.wait().expect("it ends").success());
        assert_eq!(subscriber.exit(), Some(0));
        let expected = "chat:1  {\"text\": \"hello\", \"n\": 1.50}\nchat:2  \"hello\"\nchat:1  -5\n\
                        chat:1  base64://4=\nchat:2  \"grüße\"\n";
        assert_eq!(subscriber.printed(), expected, "{codec}");
    }
}

#[test]
fn subscribe_goes_on_behind_a_position_and_says_what_is_missing() {
    let config = "[namespaces.chat]\nhistory = { size = 10 }\n";
    let node = Node::builder(BINARY).config(config).start().expect("a node");
    let publish = |data: &str, more: &[&str]| {
        let mut command = tidegate(&["publish", "chat:1", data, "--admin", &node.admin_url()]);
        run(command.args(more), PATIENCE).expect("published").trim().to_owned()
    };
    let (first, _, third) =
        (publish("1", &[]), publish("2", &[]), publish("3", &["--idempotency-key", "k3"]));
    assert!(first.ends_with("-1") && third.ends_with("-3"), "{first} {third}");
    let url = node.ws_url();
    let printed = |arguments: &[&str]| {
        let (code, printed, notes) = ended(tidegate(&["subscribe", "--url", &url]).args(arguments));
        assert_eq!(code, 0, "{notes}");
        (printed, notes)
    };
    let (two, notes) = printed(&["chat:1", "--last", "2", "--count", "2"]);
    assert_eq!(two, "chat:1  2\nchat:1  3\n");
    assert!(notes.contains(&format!("chat:1 is at {third}")), "{notes}");
    let since = format!("-,{first}");
    let (two, notes) = printed(&["chat:0", "chat:1", "--since", &since, "--count", "2"]);
    assert_eq!(two, "chat:1  2\nchat:1  3\n");
    assert!(!notes.contains("missing"), "{notes}");
    // A position of a history that is no more: plainly said, and then what there is.
    let mut lost =
        Subscriber::start(&["chat:1", "--url", &url, "--since", "1000000000000000000-9", "--count", "1"]);
    lost.says("chat:1: events are missing: ");
    publish("4", &[]);
    assert_eq!(lost.exit(), Some(0));
    assert_eq!(lost.printed(), "chat:1  4\n");
    for (arguments, words) in [
        (&["chat:1", "--since", "7"][..], "<19 digits>-<offset>"),
        (&["chat:1", "chat:2", "--since", &first], "1 positions for 2 channels"),
        (&["chat:1", "--since", &first, "--last", "1"], "--last"),
    ] {
        let (code, _, error) = ended(tidegate(&["subscribe", "--url", &url]).args(arguments));
        assert!(code == 2 && error.contains(words), "{code} {error}");
    }
}

#[test]
fn subscribe_waits_for_a_node_and_comes_back() {
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("ws://{address}/ws");
    let mut subscriber = Subscriber::start(&["chat:1", "--url", &url]);
    subscriber.says("trying again in");
    let mut node = Node::builder(BINARY).listen(&address).start().expect("a node");
    subscriber.says("subscribed to chat:1");
    node.start_again().expect("on its port, with connections that were cut");
    // The node is another one; until the client is back, nobody is there to hear.
    eventually(PATIENCE, "it is heard again", || {
        assert_eq!(admin::publish(node.admin_addr(), "chat:1", r#""again""#).0, 200);
        subscriber.printed().contains("chat:1  \"again\"")
    });
    subscriber.process.signal(rustix::process::Signal::INT);
    assert_eq!(subscriber.exit(), Some(0), "Ctrl-C is how it is meant to end");
}

#[test]
fn a_refusal_ends_subscribe_with_a_sentence() {
    let config = "[auth]\nanonymous = false\nhmac_secret = \"0123456789abcdef0123456789abcdef\"\n";
    let node = Node::builder(BINARY).config(config).start().expect("a node");
    let url = node.ws_url();
    let (code, out, err) =
        ended(&mut tidegate(&["subscribe", "chat:1", "--url", &url, "--token", "no.jwt.here"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("sent us away"), "{err}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["publish"][..],
        &["publish", "chat:1"],
        &["publish", "chat:1", "AP8", "--base64"],
        &["subscribe"],
        &["subscribe", "chat:1", "--url", "http://127.0.0.1/ws"],
        &["subscribe", "a b"],
        &["serve", "--nonsense"],
        &["--redis", "redis://127.0.0.1", "serve"],
        &["serve", "--config", "/nowhere/tidegate.toml"],
        &["nonsense"],
    ] {
        let (code, out, err) = ended(&mut tidegate(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty() && !err.contains("panicked"), "{arguments:?}: {err}");
    }
}

#[test]
fn what_fails_exits_with_1_and_says_what_to_do() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let (code, _, err) = ended(&mut tidegate(&["publish", "chat:1", "x", "--admin", &nobody]));
    assert_eq!(code, 1);
    assert!(err.contains("tidegate serve") && err.contains("--admin") && err.lines().count() == 1, "{err}");

    let node = Node::builder(BINARY).start().expect("a node");
    let (code, _, err) = ended(&mut tidegate(&["publish", "a b", "x", "--admin", &node.admin_url()]));
    assert_eq!(code, 1);
    assert!(err.contains("(bad_channel, HTTP 400)") && err.lines().count() == 1, "{err}");
    // The wrong port of the two.
    let (code, _, err) = ended(&mut tidegate(&["publish", "chat:1", "x", "--admin", &node.http_url()]));
    assert_eq!(code, 1);
    assert!(err.lines().count() == 1, "{err}");
}

fn file(toml: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidegate.toml");
    fs::write(&path, toml).expect("a file");
    (folder, path)
}

#[test]
fn an_unknown_setting_names_the_nearest() {
    let (_folder, path) = file("[server]\nlistne = \"127.0.0.1:0\"\n");
    let path = path.to_str().expect("a path");
    for arguments in
        [&["serve", "--config", path][..], &["--config", path], &["config", "check", "--config", path]]
    {
        let (code, _, err) = ended(&mut tidegate(arguments));
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("server.listne") && err.contains("server.listen"), "{err}");
    }
    let (code, _, err) = ended(tidegate(&["config", "check"]).env("TIDEGATE_SERVER__DRIAN", "1s"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("server.drain"), "{err}");
    let (code, _, err) = ended(tidegate(&["config", "check"]).env("TIDEGATE_PORT", "tcp://10.0.0.1:80"));
    assert_eq!(code, 0, "Kubernetes makes such variables: {err}");
}

#[test]
fn the_configuration_can_be_shown_and_explained() {
    let (_folder, path) = file("[auth]\nhmac_secret = \"0123456789abcdef0123456789abcdef\"\n");
    let (code, out, err) =
        ended(&mut tidegate(&["--config", path.to_str().expect("a path"), "config", "show"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("8080") && !out.contains("0123456789abcdef"), "{out}");
    let (code, out, _) = ended(&mut tidegate(&["config", "reference"]));
    assert_eq!(code, 0);
    assert!(out.contains("drain") && out.contains("hmac_secret"));
    let (code, out, _) = ended(&mut tidegate(&["--version"]));
    assert_eq!((code, out), (0, format!("tidegate {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_node_without_connections_ends_at_once_and_starts_again_at_once() {
    let mut node = Node::builder(BINARY).start().expect("a node");
    for _ in 0..3 {
        let start = Instant::now();
        node.term();
        let status = node.wait(Duration::from_secs(5)).expect("it ends");
        assert_eq!(status.code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
        node.start_again().expect("it gets its ports");
    }
}

#[test]
fn the_product_has_no_echo_door() {
    let node = Node::builder(BINARY).start().expect("a node");
    let mut socket = TcpStream::connect(node.public_addr()).expect("it listens");
    let head = "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 404 "), "a suite's door is open to anybody: {answer}");
}
