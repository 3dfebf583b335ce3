//! `cargo xtask cluster`: Redis, nodes, nginx and, if it is installed, Prometheus, on loopback, until Ctrl-C.
//!
//! Runs the files of deploy/ as they are; only the lists of addresses differ from docker-compose.yml.

mod folder;
mod parts;
mod ports;
mod probe;

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::tools::{self, Tool};
use crate::{program, workspace};
use parts::Part;
use ports::Ports;

/// The most nodes that the fixed ports leave room for.
const MOST: u16 = 50;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
    nodes: u16,
    /// Where nginx listens; the others follow it: node N's admin port is this + N. Default: free ports
    #[arg(long)]
    port: Option<u16>,
    /// Use the release binary that is there instead of building one
    #[arg(long)]
    no_build: bool,
}

/// Starts everything, prints where it is, and stays until it is interrupted.
///
/// # Errors
/// When something is not installed or does not start; what was started by then is ended.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tools::require(&[Tool::Redis, Tool::Nginx])?;
    if !arguments.no_build {
        program::run(&mut workspace::cargo(["build", "--release", "--package", "tidegate"]))?;
    }
    let ports = match arguments.port {
        Some(first) => Ports::from(first, arguments.nodes)?,
        None => Ports::free(arguments.nodes)?,
    };
    let folder = folder::make(&ports)?;
    let mut running: Vec<Part> = vec![parts::redis(&folder, &ports)?];
    // A node would also wait for its Redis, but with a warning in its log.
    running[0].wait_until_ready()?;
    for number in 0..ports.nodes.len() {
        running.push(parts::node(&folder, &ports, number)?);
    }
    for part in &mut running {
        part.wait_until_ready()?;
    }
    running.push(parts::nginx(&folder, &ports)?);
    if program::find("prometheus").is_some() {
        running.push(parts::prometheus(&folder, &ports)?);
    }
    for part in &mut running {
        part.wait_until_ready()?;
    }
    print!("{}", description(&ports, &running, &shown(&folder)));
    watch(&mut running)
}

/// A part that ends is said, not started again: that is what one wants to see after `kill -9`.
fn watch(running: &mut Vec<Part>) -> Result<ExitCode> {
    loop {
        thread::sleep(Duration::from_millis(200));
        running.retain_mut(|part| match part.ended() {
            Some(status) => {
                println!("{} ended: {status}. The others go on.", part.name);
                false
            }
            None => true,
        });
        if running.is_empty() {
            bail!("nothing runs any more");
        }
    }
}

fn description(ports: &Ports, running: &[Part], folder: &str) -> String {
    let pid = |name: &str| running.iter().find(|part| part.name == name).map_or(0, Part::id);
    let Ports { public, redis, .. } = ports;
    let admin = ports.nodes.first().map_or(0, |node| node.admin);
    let mut text = format!(
        "\nnginx       http://127.0.0.1:{public}/  (the page)\n            ws://127.0.0.1:{public}/ws\n\
         redis       redis://127.0.0.1:{redis}\n"
    );
    for (number, node) in (1..).zip(&ports.nodes) {
        let pid = pid(&format!("node-{number}"));
        let (public, admin) = (node.public, node.admin);
        text += &format!(
            "node-{number:<6} http://127.0.0.1:{public}/  admin http://127.0.0.1:{admin}  pid {pid}\n"
        );
    }
    if pid("prometheus") != 0 {
        text += &format!("prometheus  http://127.0.0.1:{}/\n", ports.prometheus);
    }
    let binary = shown(&workspace::binary("tidegate"));
    text += &format!(
        "\nTry, in other terminals:\n\
         \x20 {binary} subscribe chat:1 --url ws://127.0.0.1:{public}/ws\n\
         \x20 curl -N 'http://127.0.0.1:{public}/sse?channel=chat:1'\n\
         \x20 redis-cli -p {redis} PUBLISH 'tg:{{chat:1}}' '{{\"hello\":\"everyone\"}}'\n\
         \x20 {binary} publish chat:1 '\"hello\"' --admin http://127.0.0.1:{admin}\n\
         \x20 kill -9 {}        (a node dies, its clients come back to the others)\n\
         \nLogs: {folder}/*.log. Ctrl-C stops all of it.\n",
        pid("node-1")
    );
    text
}

/// A path as one would type it in the root.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string()
}
