//! The page of a report in headless Chromium: it asks for nothing, is readable in both colour schemes and on a phone, and
//! shows values under the pointer. The script is in `report_page/`; its pictures go to the target folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate_testkit::{run, tools};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate-loadtest");
const PATIENCE: Duration = Duration::from_secs(120);

/// Ended with the test.
struct Floor(Child);

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_reader_sees_six_pictures_and_their_values() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).unwrap();
    let page = folder.join("report.html");
    let mut floor = Command::new(BINARY)
        .args(["floor", "--listen", "127.0.0.1:0", "--rate", "50", "--seconds", "60", "--connections", "50"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(floor.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let floor = Floor(floor);
    let url = line.trim().strip_prefix("listening on ").expect("the first line says where");
    let mut load = Command::new(BINARY);
    load.args(["run", "--listen-only", "--url", url, "--connections", "50", "--seconds", "4"])
        .args(["--server-pid", &floor.0.id().to_string(), "--html"])
        .arg(&page);
    run(&mut load, PATIENCE).expect("all well");
    let mut script = Command::new("node");
    script
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report_page/look.mjs"))
        .env("PAGE", format!("file://{}", page.display()))
        .env("IMAGES", &folder)
        .env("NPM", tools::npm_dir())
        .env("CHROMIUM", tools::chromium());
    run(&mut script, PATIENCE).expect("every check holds");
}
