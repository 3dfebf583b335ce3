//! The README's tour, run line by line against real nodes, and what else its pages promise.
//!
//! `readme/extract.rs` says how a page is marked, `readme/tour.rs` what the test runs instead of `cargo run --release`
//! and the well-known ports. The line for the browser's console is run by `browser.rs`.

#[path = "readme/extract.rs"]
mod extract;
#[path = "readme/tour.rs"]
mod tour;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use extract::Deed;
use tidegate_testkit::{free_port, run};
use tour::{Tour, text};

/// For each command and each output, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);
/// For building `xtask`, where nobody has yet.
const BUILD: Duration = Duration::from_secs(20 * 60);
/// All that the README shows and this test does not run.
const NOT_RUN: [&str; 1] = ["docker compose up --build"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A port with room behind it for all that a cluster opens.
fn first_port() -> u16 {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut candidates = std::iter::repeat_with(free_port).take(200);
    let roomy = candidates.find(|first| Tour::ports().all(|step| is_free(first + step)));
    roomy.expect("some free ports in a row")
}

#[test]
fn the_tour_works_line_by_line() {
    // What a reader's `cargo xtask` builds at its first call is no part of what the tour waits for.
    run(Command::new("cargo").args(["build", "--quiet", "--package", "xtask"]).current_dir(root()), BUILD)
        .expect("xtask is built");
    let mut tour = Tour::new(&root(), env!("CARGO_BIN_EXE_tidegate"), first_port(), PATIENCE);
    if let Err(problem) = tour.follow(&text(&root().join("README.md"))) {
        drop(tour); // ends what runs
        panic!("README.md, {problem}");
    }
}

#[test]
fn only_what_cannot_run_here_is_left_out() {
    let steps = extract::steps(&text(&root().join("README.md"))).expect("a sound page");
    let left_out = steps.into_iter().filter_map(|step| match step.deed {
        Deed::NotRun { commands } => Some(commands),
        _ => None,
    });
    assert_eq!(left_out.flatten().collect::<Vec<_>>(), NOT_RUN);
}

#[test]
fn the_line_for_the_console_is_the_one_of_the_page() {
    let lines = extract::code(&text(&root().join("README.md")), "js");
    let page = text(&root().join("crates/gateway/assets/index.html")).replace("&gt;", ">");
    assert_eq!(lines.len(), 1);
    assert!(page.contains(&format!("<code data-line=\"socket\">{}</code>", lines[0])), "{}", lines[0]);
}

#[test]
fn links_lead_somewhere() {
    let mut pages: Vec<PathBuf> = Vec::new();
    for folder in ["", "docs", "loadtest"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let paths = entries.flatten().map(|entry| entry.path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    let mut broken = Vec::new();
    for page in &pages {
        for link in links(&text(page)) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { page.clone() } else { page.parent().unwrap_or(page).join(path) };
            let there = target.exists()
                && (anchor.is_empty() || anchors(&text(&target)).contains(&anchor.to_owned()));
            if !there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(pages.len() >= 9, "{pages:?}");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn files_named_in_the_map_are_there() {
    let mut paths = Vec::new();
    walk(&root(), "", &mut paths);
    let missing = |file: &String| !paths.iter().any(|path| is_named(path, file));
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let missing: Vec<String> = files(&text(&root().join(page))).into_iter().filter(missing).collect();
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
}

#[test]
fn a_missing_file_would_be_found() {
    assert_eq!(files("`a/b.rs`, `c.md` and `d/` but not `x.y(z)` or `e`"), ["a/b.rs", "d/"]);
    for (path, file, named) in [
        ("crates/a/src/b.rs", "a/src/b.rs", true),
        ("crates/a/src/b.rs", "b.rs", true),
        ("crates/a/src/bb.rs", "b.rs", false),
        ("crates/a/src/b/mod.rs", "src/b/", true),
        ("crates/a/src/bb/mod.rs", "b/", false),
    ] {
        assert_eq!(is_named(path, file), named, "{path} {file}");
    }
}

/// What stands between backticks and is a Rust file or a folder.
fn files(page: &str) -> Vec<String> {
    let in_lines = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_file = |word: &&str| {
        (word.ends_with(".rs") || word.ends_with('/'))
            && !word.starts_with('/')
            && word.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c))
    };
    in_lines.filter(is_file).map(str::to_owned).collect()
}

/// Whether a file, or a folder that ends with a slash, may be called so: the end of its path.
fn is_named(path: &str, file: &str) -> bool {
    let path = format!("/{path}");
    if file.ends_with('/') { path.contains(&format!("/{file}")) } else { path.ends_with(&format!("/{file}")) }
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !matches!(path.as_str(), "target" | ".git") => {
                walk(&entry.path(), &format!("{path}/"), paths);
            }
            _ => paths.push(path),
        }
    }
}

#[test]
fn a_broken_link_would_be_found() {
    assert_eq!(links("[a](b.md), ![c](d.png) and [e](https://f) or `[x](y)`"), ["b.md", "d.png"]);
    assert_eq!(anchors("# A `b`\n```\n# no\n```\n## Who, what?\n"), ["a-b", "who-what"]);
}

/// The targets of links that stay in the repository.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    // What stands in code is no link: every second piece between backticks.
    for piece in page.split('`').step_by(2) {
        let targets = piece.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.extend(targets.filter(|target| !target.contains("://")).map(str::to_owned));
    }
    links
}

/// The anchors that GitHub makes of headings.
fn anchors(page: &str) -> Vec<String> {
    let mut code = false;
    let headings = page.lines().filter(|line| {
        code ^= line.starts_with("```");
        !code && line.starts_with('#')
    });
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |line: &str| {
        line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>()
    };
    headings.map(|line| anchor(line).replace(' ', "-")).collect()
}
