//! A stock client that does what it is told: a small program around it, which reads commands and prints answers.
//!
//! A command is a line of words with tabs between them, an answer a line of JSON. The programs add nothing to their
//! client: no pongs, no reconnecting, no decoding.
//!
//! | command | answer |
//! |---|---|
//! | `dial NAME URL PROTOCOL TOKEN` (the last two may be empty) | `{open}`: the subprotocol or content type; `{refused}`: the status |
//! | `again …` | as `dial`, once it works |
//! | `say NAME TEXT`, `send NAME BASE64`, `close NAME` | `{said}` |
//! | `hear NAME MILLISECONDS` | `{text}`, `{binary}`, `{event, data}`, `{closed, reason}`, `{ended}`, `{away}`, `{back}` or `{nothing}` |
//! | `pings NAME` | `{pings}`: how many it has shown so far |

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_testkit::Process;

/// For one command, on a machine that builds something else meanwhile: Java compiles itself first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers that wait; there is one for each command, and above this the reader waits.
const ANSWERS: usize = 16;

/// A running program. It ends with this value.
pub(crate) struct Driver {
    stdin: ChildStdin,
    answers: Receiver<String>,
    process: Process,
    _folder: TempDir,
}

impl Driver {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (process, stdin, stdout) =
            Process::start_piped(name, command, &folder.path().join("log")).expect("it starts");
        let (sender, answers) = sync_channel(ANSWERS);
        // Ends with the program, or with the receiver.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { stdin, answers, process, _folder: folder }
    }

    /// Gives a command whose answer is not waited for yet.
    pub(crate) fn begin(&mut self, words: &[&str]) {
        let line = words.join("\t");
        assert!(!line.contains('\n'), "one line is one command: {line:?}");
        // If the program is gone, the answer that is missing says so.
        let _ = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
    }

    /// The answer to the oldest command without one.
    pub(crate) fn answer(&mut self) -> Value {
        let Ok(line) = self.answers.recv_timeout(PATIENCE) else {
            return json!({ "no answer": self.process.log_tail(20) });
        };
        serde_json::from_str(&line).unwrap_or(json!({ "no JSON": line }))
    }

    pub(crate) fn ask(&mut self, words: &[&str]) -> Value {
        self.begin(words);
        self.answer()
    }
}
