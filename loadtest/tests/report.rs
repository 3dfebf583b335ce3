//! A run's report as JSON, as a page, and beside another one: real processes, real sockets.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");

/// A floor that is ended with the test, and its URL.
struct Floor(Child, String);

impl Floor {
    fn start(connections: &str) -> Self {
        let args = [
            "floor",
            "--listen",
            "127.0.0.1:0",
            "--rate",
            "50",
            "--seconds",
            "60",
            "--connections",
            connections,
        ];
        let mut child = Command::new(BINARY).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("the first line says where").to_owned();
        Self(child, url)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn loadtest(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Runs two seconds against a floor that is watched; returns the folder with `a.json` and `a.html`.
fn measured() -> TempDir {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let floor = Floor::start("30");
    let pid = floor.0.id().to_string();
    let (code, out, error) = said(&loadtest(&[
        "run",
        "--listen-only",
        "--url",
        &floor.1,
        "--connections",
        "30",
        "--seconds",
        "2",
        "--server-pid",
        &pid,
        "--json",
        &file("a.json"),
        "--html",
        &file("a.html"),
    ]));
    assert_eq!(code, Some(0), "{out}{error}");
    folder
}

/// What a figure of the page is called in the JSON.
fn in_json<'a>(report: &'a Value, key: &str) -> &'a Value {
    match key {
        "lost" | "twice" | "reordered" | "stray" => &report["faults"][key],
        "cpu_us_per_delivery" | "cores" | "memory" => &report["server"][key],
        "p50_us" | "p90_us" | "p99_us" | "p999_us" | "max_us" => &report["latency"][key],
        _ => {
            let mut more = report["more"].as_array().unwrap().iter();
            more.find(|figure| figure["key"] == key).map_or(&report["totals"][key], |figure| &figure["value"])
        }
    }
}

/// Every figure of the page: its name and its exact value.
fn figures(page: &str) -> Vec<(&str, f64)> {
    let figure =
        |rest: &'_ str| -> Option<(usize, usize)> { Some((rest.find('"')?, rest.find("value=\"")? + 7)) };
    let rests = page.split("data-figure=\"").skip(1);
    rests
        .map(|rest| {
            let (name, value) = figure(rest).unwrap();
            let text = &rest[value..];
            (&rest[..name], text[..text.find('"').unwrap()].parse().unwrap())
        })
        .collect()
}

/// What is wrong with a page: tags that do not match, or anything that a browser would fetch.
fn faults(page: &str) -> Option<String> {
    for word in ["http:", "https:", " src=", " href=", "url(", "@import", "<link", "<iframe", "<object"] {
        if page.contains(word) {
            return Some(format!("{word} may reach outside"));
        }
    }
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n")?;
    let mut open: Vec<&str> = Vec::new();
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        // Script and style hold what they like; elsewhere a reference begins with & and ends with ;
        for reference in text.split('&').skip(1) {
            let end = reference.find(';').unwrap_or(0);
            if !["amp", "lt", "gt", "quot"].contains(&&reference[..end]) {
                return Some(format!("a bare & before {reference}"));
            }
        }
        let Some(end) = rest[at..].find('>') else { return Some("a tag has no end".to_owned()) };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.matches('"').count() % 2 == 1 {
            return Some(format!("a quote is open in <{tag}>"));
        }
        if tag.starts_with('/') {
            let last = open.pop();
            if last != Some(name) {
                return Some(format!("</{name}> closes {last:?}"));
            }
        } else if !tag.ends_with('/') {
            open.push(name);
            if name == "script" || name == "style" {
                let end = rest.find(&format!("</{name}>")).unwrap_or(rest.len());
                rest = &rest[end..];
            }
        }
    }
    open.first().map(|name| format!("<{name}> is never closed"))
}

#[test]
fn the_page_stands_alone_and_says_what_the_json_says() {
    let folder = measured();
    let report = json(&folder.path().join("a.json"));
    let again = folder.path().join("again.html");
    let (code, _, error) = said(&loadtest(&[
        "report",
        folder.path().join("a.json").to_str().unwrap(),
        "--html",
        again.to_str().unwrap(),
    ]));
    assert_eq!(code, Some(0), "{error}");
    for page in [folder.path().join("a.html"), again] {
        let page = fs::read_to_string(page).unwrap();
        assert_eq!(faults(&page), None);
        let figures = figures(&page);
        assert!(figures.len() > 20, "{figures:?}");
        for (key, value) in figures {
            if key == "ended" {
                assert_eq!((value, report["totals"][key].as_object().unwrap().len()), (0.0, 0));
                continue;
            }
            let expected =
                in_json(&report, key).as_f64().unwrap_or_else(|| panic!("{key} is not in the JSON"));
            // Reading JSON may cost the last bit.
            assert!((value - expected).abs() <= expected.abs() * 1e-12, "{key}: {value} for {expected}");
        }
        assert!(page.contains("All well"));
    }
}

#[test]
fn the_checker_of_pages_finds_what_it_should() {
    for (page, found) in [
        ("<p>a &amp; b<br/></p>", None),
        ("<p><b></p>", Some("</p> closes Some(\"b\")")),
        ("<p>", Some("<p> is never closed")),
        ("<p class=\"a></p>", Some("a quote is open")),
        ("<p>a & b</p>", Some("a bare &")),
        ("<style>a{}</style><script>1 < 2 && 3</script>", None),
        ("<img src=\"x.png\"/>", Some(" src=")),
        ("<a>https://example.org</a>", Some("https:")),
    ] {
        let got = faults(&format!("<!DOCTYPE html>\n{page}"));
        assert!(got.as_deref().unwrap_or("").contains(found.unwrap_or("")), "{page}: {got:?}");
        assert_eq!(got.is_some(), found.is_some(), "{page}: {got:?}");
    }
}

#[test]
fn the_series_adds_up_to_the_totals() {
    let folder = measured();
    let report = json(&folder.path().join("a.json"));
    let rows = report["series"].as_array().unwrap();
    let delivered: u64 = rows.iter().map(|row| row["delivered"].as_u64().unwrap()).sum();
    assert_eq!(delivered, report["totals"]["delivered"].as_u64().unwrap());
    let counted: Vec<&Value> = rows.iter().filter(|row| row["at"].as_f64().unwrap() > 0.5).collect();
    assert!(counted.len() >= 2, "{rows:?}");
    for row in counted.iter().take(2) {
        assert_eq!(row["open"], 30, "{row}");
        assert!(row["memory"].as_u64().unwrap() > 0 && row["cores"].as_f64().unwrap() >= 0.0, "{row}");
        assert!(row["latency"]["p99_us"].as_f64().unwrap() > 0.0, "{row}");
    }
    let curve = report["curve"].as_array().unwrap();
    assert_eq!(curve.last().unwrap()["quantile"], 1.0);
    assert_eq!(curve.last().unwrap()["us"], report["latency"]["max_us"]);
}

#[test]
fn compare_says_what_got_worse_by_its_exit_code() {
    let folder = measured();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut worse = json(&folder.path().join("a.json"));
    let p99 = worse["latency"]["p99_us"].as_f64().unwrap();
    worse["latency"]["p99_us"] = (p99 * 1.5).into();
    fs::write(file("worse.json"), worse.to_string()).unwrap();
    worse["scenario"]["connections"] = 60.into();
    fs::write(file("other.json"), worse.to_string()).unwrap();
    worse["version"] = 7.into();
    fs::write(file("newer.json"), worse.to_string()).unwrap();

    let (code, out, error) = said(&loadtest(&["compare", &file("a.json"), &file("a.json")]));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.ends_with("nothing got worse\n"), "{out}");

    let (code, out, _) = said(&loadtest(&["compare", &file("a.json"), &file("worse.json")]));
    assert_eq!(code, Some(1), "{out}");
    let line = out.lines().find(|line| line.starts_with("latency p99 ")).unwrap();
    assert!(line.contains("1.50") && line.ends_with("WORSE"), "{line}");
    let (code, ..) = said(&loadtest(&["compare", &file("worse.json"), &file("a.json")]));
    assert_eq!(code, Some(0), "better is not worse");
    let (code, ..) = said(&loadtest(&["compare", "--tolerance", "60", &file("a.json"), &file("worse.json")]));
    assert_eq!(code, Some(0), "within the tolerance");

    let (_, _, error) = said(&loadtest(&["compare", &file("a.json"), &file("other.json")]));
    assert_eq!(error, "the scenarios differ: connections 30 in A, 60 in B\n");
    let (code, out, error) = said(&loadtest(&["compare", &file("a.json"), &file("newer.json")]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(error.contains("newer.json: a report of version 7; this program reads version 1"), "{error}");
}

#[test]
fn a_server_that_is_not_there_cannot_be_watched() {
    // Above the largest process id that Linux gives.
    let (code, _, error) = said(&loadtest(&["run", "--listen-only", "--server-pid", "5000000"]));
    assert_eq!(code, Some(1));
    assert!(error.contains("no process 5000000"), "{error}");
}
