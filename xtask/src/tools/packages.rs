//! Packages of npm, PyPI and Go, under target/tools. A copy of the list beside them says for which list they were made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{program, workspace};

/// Written last, so an installation that was broken off is made anew.
pub(super) const STAMP: &str = ".made-for";

/// The files whose text decides what is installed.
fn list(of: &str) -> Vec<PathBuf> {
    let files: &[&str] = match of {
        "npm" => &["tests/npm/package.json", "tests/npm/package-lock.json"],
        "peers" => &[
            "loadtest/peers/package.json",
            "loadtest/peers/package-lock.json",
            "loadtest/peers/bun.js",
            "loadtest/peers/socketio.cjs",
        ],
        "python" => &["tests/python/requirements.txt"],
        "autobahn" => &["tests/autobahn/requirements.txt", "tests/autobahn/virtualenv.txt"],
        _ => &[
            "tests/go/go.sum",
            "tests/go/compose/main.go",
            "tests/go/publish/main.go",
            "tests/go/stock/main.go",
        ],
    };
    files.iter().map(|file| workspace::root().join(file)).collect()
}

fn text(of: &str) -> Result<String> {
    list(of).iter().map(|file| fs::read_to_string(file).with_context(|| file.display().to_string())).collect()
}

pub(super) fn folder(of: &str) -> PathBuf {
    workspace::tools().join(if of == "python" { "venv" } else { of })
}

pub(super) fn in_step(of: &str) -> bool {
    let Ok(made_for) = fs::read_to_string(folder(of).join(STAMP)) else { return false };
    text(of).is_ok_and(|text| text == made_for)
}

pub(super) fn npm_in_step() -> bool {
    in_step("npm")
}

pub(super) fn python_in_step() -> bool {
    in_step("python")
}

pub(super) fn go_in_step() -> bool {
    program::find("go").is_some() && in_step("go")
}

/// Whether `python3 -m venv` works: Debian has its parts in a package of its own.
pub(super) fn python_makes_environments() -> bool {
    let mut command = Command::new("python3");
    program::output(command.args(["-c", "import ensurepip, venv"])).is_ok()
}

/// The packages of tests/npm.
pub(super) fn npm() -> Result<()> {
    node_modules("npm", "npm packages of tests/npm")
}

/// The servers that the benchmark measures beside ours; where they are.
pub(super) fn peers() -> Result<PathBuf> {
    node_modules("peers", "npm packages of loadtest/peers")?;
    Ok(folder("peers"))
}

fn node_modules(of: &str, what: &str) -> Result<()> {
    make(of, what, |folder| {
        for file in list(of) {
            fs::copy(&file, folder.join(file.file_name().context("a file")?))?;
        }
        let mut command = Command::new("npm");
        program::run(command.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))
    })
}

/// The packages of tests/python in a virtual environment.
pub(super) fn python() -> Result<()> {
    make("python", "PyPI packages of tests/python", |folder| {
        program::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        let mut command = Command::new(folder.join("bin/pip"));
        command
            .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .args(list("python"));
        program::run(&mut command)
    })
}

/// The programs of tests/go, where there is Go.
pub(super) fn go() -> Result<()> {
    let Some(go) = program::find("go") else { return Ok(()) };
    make("go", "Go programs of tests/go", |folder| {
        let mut command = Command::new(go);
        // Any newer toolchain would be fetched from elsewhere; without it the programs are simply not there.
        command
            .current_dir(workspace::root().join("tests/go"))
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=readonly");
        program::run(command.args(["build", "-o"]).arg(folder.join("")).arg("./..."))
    })
}

pub(super) fn make(of: &str, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if in_step(of) {
        return Ok(());
    }
    println!("installing {what}");
    let folder = folder(of);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    make(&folder)?;
    fs::write(folder.join(STAMP), text(of)?)?;
    Ok(())
}
