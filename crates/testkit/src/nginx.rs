//! A real nginx as load balancer, with the files that a deployment uses.
//!
//! The folder is copied; two things change in the copy: `listen`, to a free port on 127.0.0.1, and the `server` lines of
//! `upstreams.conf`, to the given nodes with the parameters the first one had. Relative paths (pid, temporary files) in
//! `nginx.conf` then lie in the copy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Process, eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running nginx. It ends with this value.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx with `nginx.conf` and what lies beside it in `files`, in front of `nodes`.
    ///
    /// # Panics
    /// When it ends or does not listen in time.
    ///
    /// # Errors
    /// When the files or the program are missing.
    pub fn start(files: &Path, nodes: &[SocketAddr]) -> Result<Self> {
        let (port, folder) = (free_port(), tempfile::tempdir()?);
        for entry in fs::read_dir(files).with_context(|| files.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let text =
                    fs::read_to_string(entry.path()).with_context(|| entry.path().display().to_string())?;
                let text = if entry.file_name() == "upstreams.conf" {
                    upstreams(&text, nodes)
                } else {
                    listen(&text, port)
                };
                fs::write(folder.path().join(entry.file_name()), text)?;
            }
        }
        let mut command = Command::new("nginx");
        command
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"));
        if !fs::read_to_string(folder.path().join("nginx.conf"))?.contains("daemon off") {
            command.args(["-g", "daemon off;"]);
        }
        let mut process = Process::start("nginx", &mut command, &folder.path().join("nginx.log"), None)?;
        eventually(PATIENCE, "nginx listens", || {
            assert!(process.exited().is_none(), "nginx ended:\n{}", process.log_tail(20));
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Ok(Self { process, port, _folder: folder })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The process: freeze, thaw, log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Puts the port into every `listen` directive but keeps one per block of them: families do not matter here.
fn listen(text: &str, port: u16) -> String {
    let mut written = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let word = line.trim_start();
        if word.starts_with("listen ") {
            if !written {
                let indent = &line[..line.len() - word.len()];
                lines.push(format!("{indent}listen 127.0.0.1:{port};"));
            }
            written = true;
        } else {
            written &= !word.starts_with("server ");
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

fn upstreams(text: &str, nodes: &[SocketAddr]) -> String {
    let is_server = |line: &str| line.trim_start().starts_with("server ");
    let parameters = text.lines().find(|line| is_server(line)).map_or(String::new(), |line| {
        let statement = line.trim().split(';').next().unwrap_or_default();
        statement.split_whitespace().skip(2).map(|word| format!(" {word}")).collect()
    });
    let mut servers = Some(nodes.iter().map(|node| format!("    server {node}{parameters};")));
    let lines = text.lines().flat_map(|line| {
        if is_server(line) { servers.take().into_iter().flatten().collect() } else { vec![line.to_owned()] }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_change() {
        let node = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = "upstream nodes {\n    least_conn;\n    server a:8080 max_fails=0;\n    server b:8080 max_fails=0;\n}\n";
        assert_eq!(
            upstreams(text, &[node(1), node(2), node(3)]),
            "upstream nodes {\n    least_conn;\n    server 127.0.0.1:1 max_fails=0;\n    server 127.0.0.1:2 max_fails=0;\n    \
             server 127.0.0.1:3 max_fails=0;\n}\n"
        );
        assert_eq!(
            listen("server {\n  listen 80;\n  listen [::]:80;\n}\n", 7),
            "server {\n  listen 127.0.0.1:7;\n}\n"
        );
    }

    #[test]
    fn it_starts_with_the_files_of_a_folder() {
        let files = tempfile::tempdir().expect("a folder");
        let conf = "pid nginx.pid;\nevents {}\nhttp {\n  access_log off;\n  include upstreams.conf;\n  server {\n    listen 80;\n    \
                    return 204;\n  }\n}\n";
        fs::write(files.path().join("nginx.conf"), conf).expect("a file");
        fs::write(files.path().join("upstreams.conf"), "upstream nodes {\n  server a:1;\n}\n")
            .expect("a file");
        let nginx = Nginx::start(files.path(), &[SocketAddr::from((Ipv4Addr::LOCALHOST, 9))]).expect("nginx");
        assert!(TcpStream::connect(nginx.addr()).is_ok());
    }
}
