//! `cargo xtask cluster`: every URL that it prints answers, an event goes through, and Ctrl-C ends all of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

/// The command, ended as a person ends it, even if the test panics.
struct Cluster(Child);

impl Cluster {
    fn interrupt(&mut self) -> Option<i32> {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        self.0.wait().ok()?.code()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.interrupt();
        }
    }
}

/// `127.0.0.1:port` behind each `http://` and `redis://` of a text.
fn addresses(text: &str, scheme: &str) -> Vec<SocketAddr> {
    let parts = text.split(scheme).skip(1);
    parts.filter_map(|rest| rest.split(['/', ' ', '\n', '?']).next()?.parse().ok()).collect()
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[test]
fn it_prints_what_answers_and_leaves_nothing_behind() {
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let binary = Path::new(xtask).with_file_name("tidegate");
    assert!(binary.exists(), "{} is missing: `cargo build --release`", binary.display());
    let mut command = Command::new(xtask);
    command.args(["cluster", "--nodes", "2", "--no-build"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut cluster = Cluster(command.spawn().expect("it starts"));

    let mut printed = String::new();
    let mut lines = BufReader::new(cluster.0.stdout.take().expect("piped")).lines();
    while !printed.contains("Ctrl-C") {
        let line = lines.next().expect("it stays").expect("text");
        printed += &line;
        printed.push('\n');
    }

    let redis = addresses(&printed, "redis://")[0];
    let http = addresses(&printed, "http://");
    // nginx, two ports of each node, and Prometheus where it is installed; the lines to try name some again.
    assert!(http.len() >= 5, "{printed}");
    for address in &http {
        let answer =
            ask(*address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 "), "{address} does not speak HTTP: {answer}");
    }

    let nginx = http[0];
    let mut events = TcpStream::connect(nginx).expect("nginx listens");
    events.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(events, "GET /sse?channel=chat:1 HTTP/1.1\r\nHost: {nginx}\r\n\r\n").expect("it reads");
    let mut events = BufReader::new(events);
    let mut heard = String::new();
    // The headers are sent when the subscription stands.
    while !heard.ends_with("\r\n\r\n") {
        assert_ne!(events.read_line(&mut heard).expect("headers"), 0, "{heard}");
    }
    assert_eq!(ask(redis, "PUBLISH tg:{chat:1} hello\r\n"), ":1\r\n");
    while !heard.contains("hello") {
        assert_ne!(events.read_line(&mut heard).expect("an event"), 0, "{heard}");
    }

    assert_eq!(cluster.interrupt(), Some(130), "128 + SIGINT");
    let deadline = Instant::now() + PATIENCE;
    for address in http.iter().chain([&redis]) {
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "{address} still listens");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
