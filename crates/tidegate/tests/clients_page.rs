//! The programs of docs/clients.md, chapter by chapter: saved, run against a real node, and compared with what the page shows.
//!
//! The page is marked as the README is (`readme/extract.rs`). The first chapter has the node that the others use.

#[allow(dead_code, reason = "the README's test uses the rest")]
#[path = "readme/extract.rs"]
mod extract;
#[allow(dead_code, reason = "the README's test uses the rest")]
#[path = "readme/tour.rs"]
mod tour;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use tidegate_testkit::{free_port, tools};
use tour::{Tour, text};

/// For each command and each output: Go may have to build a standard library first.
const PATIENCE: Duration = Duration::from_secs(120);
/// The page's ports are 8080, 8081 and 8090.
const PORTS: usize = 11;
const NODE: &str = "A node to try";

fn page() -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md"))
}

/// A chapter by its heading, which stays in place of the ones before it: lines keep their numbers.
fn chapter<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let mut inside = false;
    let lines = page.lines().map(|line| {
        if let Some(title) = line.strip_prefix("## ") {
            inside = title == heading;
        }
        if inside { line } else { "" }
    });
    lines.collect()
}

/// The chapter about the node, and then this one.
fn chapters(page: &str, heading: &str) -> String {
    let (node, own) = (chapter(page, NODE), chapter(page, heading));
    assert!(own.iter().any(|line| !line.is_empty()), "there is no chapter {heading:?}");
    let both = node.iter().zip(&own).map(|(node, own)| if own.is_empty() { *node } else { *own });
    both.collect::<Vec<_>>().join("\n")
}

/// The first of some ports in a row, all of them ours.
fn ports_in_a_row() -> u16 {
    let (mut first, mut count) = (free_port(), 1);
    while count < PORTS {
        let port = free_port();
        if usize::from(port.wrapping_sub(first)) == count {
            count += 1;
        } else {
            (first, count) = (port, 1);
        }
    }
    first
}

/// Does what the chapter says, in a folder of its own. What the reader has installed goes into a folder of programs, and
/// what the reader has downloaded into the folder itself.
fn follow(page: &str, heading: &str, prepare: impl FnOnce(&Path, &Path)) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = tempfile::tempdir().expect("a folder for programs");
    prepare(bin.path(), folder.path());
    let tour = Tour::new(folder.path(), env!("CARGO_BIN_EXE_tidegate"), ports_in_a_row(), PATIENCE);
    let outcome = tour.with_programs(bin.path()).follow(&chapters(page, heading));
    outcome.map_err(|problem| format!("docs/clients.md, {heading}, {problem}"))
}

fn works(heading: &str, prepare: impl FnOnce(&Path, &Path)) {
    if let Err(problem) = follow(&page(), heading, prepare) {
        panic!("{problem}");
    }
}

fn script(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\nexec {line}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it may run");
}

#[test]
fn the_page_for_browsers_works() {
    works("Browsers", |bin, _| {
        let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/console.mjs");
        let (npm, chromium) = (tools::npm_dir(), tools::chromium());
        let line = format!(
            "env NPM='{}' CHROMIUM='{}' PAGE= ADMIN= node '{}' \"$1\"",
            npm.display(),
            chromium.display(),
            console.display()
        );
        script(&bin.join(extract::BROWSER), &line);
    });
}

#[test]
fn java_program_of_the_page_works() {
    works("Java", |_, _| ());
}

#[test]
fn go_program_of_the_page_works() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/go");
    let version = |text: &str| {
        let words = text.split(['@', ' ', '\n']).collect::<Vec<_>>();
        let at = words.iter().position(|word| word.ends_with("github.com/gorilla/websocket"));
        at.and_then(|at| words.get(at + 1)).map(|word| (*word).to_owned())
    };
    let get = page().lines().find(|line| line.starts_with("go get ")).map(str::to_owned);
    let get = get.expect("a line that downloads");
    assert_eq!(version(&get), version(&text(&tests.join("go.mod"))), "what the page says is what is tested");
    works("Go", |_, folder| {
        for file in ["go.mod", "go.sum"] {
            fs::copy(tests.join(file), folder.join(file)).expect("the list of modules");
        }
    });
}

#[test]
fn the_commands_for_websocat_work() {
    works("websocat", |bin, _| {
        symlink(tools::python_program("websocat"), bin.join("websocat")).expect("a link");
    });
}

#[test]
fn the_commands_for_curl_work() {
    works("curl", |_, _| ());
}

#[test]
fn every_chapter_has_its_test() {
    let page = page();
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings, [NODE, "Browsers", "Java", "Go", "websocat", "curl"]);
}

#[test]
fn a_program_that_does_not_work_would_be_found() {
    let page = page().replace("/sse?channel=chat:1'", "/see?channel=chat:1'");
    let problem = follow(&page, "curl", |_, _| ()).expect_err("nothing is at /see");
    assert!(problem.contains("retry: 2000"), "{problem}");
}
