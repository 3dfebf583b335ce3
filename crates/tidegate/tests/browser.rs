//! The page to try, in headless Chromium against a real node: chat, markup as text, bare sockets, SSE, refusals, a restart.
//!
//! The scripts are in `browser/`; each prints its checks and exits with 1 if one failed. `TIDEGATE_UPDATE_IMAGES=1`
//! writes the pictures to `docs/img`, otherwise they go to the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_testkit::{Node, NodeBuilder, Process, eventually, run, tools};

const PATIENCE: Duration = Duration::from_secs(120);

fn node() -> NodeBuilder {
    Node::builder(env!("CARGO_BIN_EXE_tidegate"))
}

fn script(name: &str, node: &Node) -> Command {
    let mut command = Command::new("node");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(name))
        .env("PAGE", format!("{}/", node.http_url()))
        .env("ADMIN", node.admin_url())
        .env("NPM", tools::npm_dir())
        .env("CHROMIUM", tools::chromium());
    command
}

#[test]
fn a_visitor_chats_and_markup_stays_text() {
    let images = if std::env::var_os("TIDEGATE_UPDATE_IMAGES").is_some_and(|value| value == "1") {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/img")
    } else {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("img")
    };
    fs::create_dir_all(&images).expect("a folder for the pictures");
    let node = node().start().expect("a node");
    run(script("page.mjs", &node).env("IMAGES", &images), PATIENCE).expect("every check holds");
    for name in ["light", "dark", "narrow"] {
        let size = fs::metadata(images.join(format!("page-{name}.png"))).expect("a picture").len();
        assert!(size > 10_000, "{name}: {size} bytes");
    }
}

#[test]
fn bare_sockets_and_event_source_hear_what_is_published() {
    let node = node().start().expect("a node");
    run(&mut script("sockets.mjs", &node), PATIENCE).expect("every check holds");
}

#[test]
fn a_visitor_who_may_not_publish_is_told_so() {
    let node = node()
        .config(
            "[server]\npage = true\n[auth]\nanonymous = true\n[namespaces.default]\npublish = \"nobody\"\n",
        )
        .start()
        .expect("a node");
    run(&mut script("refused.mjs", &node), PATIENCE).expect("every check holds");
}

#[test]
fn the_page_comes_back_with_its_node() {
    let mut node = node().start().expect("a node");
    let folder = tempfile::tempdir().expect("a folder");
    let printed = folder.path().join("printed");
    let said = |word: &str| fs::read_to_string(&printed).is_ok_and(|text| text.contains(word));
    let mut command = script("restart.mjs", &node);
    let mut page = Process::start("restart.mjs", &mut command, &folder.path().join("log"), Some(&printed))
        .expect("node");
    eventually(PATIENCE, "the page is connected", || said("CONNECTED"));
    node.kill9();
    eventually(PATIENCE, "the page says that the node is away", || said("AWAY"));
    node.start_again().expect("the node on its ports");
    let status = page.wait(PATIENCE).expect("the script ends");
    assert!(status.success(), "{}", fs::read_to_string(&printed).unwrap_or_default());
}
