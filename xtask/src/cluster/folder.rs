//! The files that the parts read: those of deploy/, and the lists of addresses that belong to this machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ports::Ports;
use crate::workspace;

/// What is taken over as it is.
const FILES: [&str; 5] = [
    "nginx/nginx.conf",
    "prometheus/prometheus.yml",
    "prometheus/rules.yml",
    "redis/redis.conf",
    "tidegate.toml",
];

/// Makes the folder of a cluster, anew: its files, and room for data and logs.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn make(ports: &Ports) -> Result<PathBuf> {
    let folder = workspace::target().join("cluster").join(ports.public.to_string());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    for sub in ["nginx/run", "prometheus/data", "redis/data"] {
        fs::create_dir_all(folder.join(sub)).with_context(|| folder.display().to_string())?;
    }
    let deploy = workspace::root().join("deploy");
    for file in FILES {
        fs::copy(deploy.join(file), folder.join(file)).with_context(|| format!("deploy/{file}"))?;
    }
    let list = |file: &str, change: &dyn Fn(&str) -> String| -> Result<()> {
        let text = fs::read_to_string(deploy.join(file)).with_context(|| format!("deploy/{file}"))?;
        fs::write(folder.join(file), change(&text)).with_context(|| file.to_owned())
    };
    list("nginx/upstreams.conf", &|text| upstreams(text, ports))?;
    list("nginx/listen.conf", &|_| format!("listen 127.0.0.1:{};\n", ports.public))?;
    let targets: Vec<String> = ports.nodes.iter().map(|node| format!("'127.0.0.1:{}'", node.admin)).collect();
    list("prometheus/targets.yml", &|_| format!("- targets: [{}]\n", targets.join(", ")))?;
    own(&folder.join("nginx/run"))?;
    Ok(folder)
}

/// One line for each node, with the parameters of the lines that stand there.
fn upstreams(text: &str, ports: &Ports) -> String {
    let line = text.lines().find(|line| line.starts_with("server ")).unwrap_or("server node:8080;");
    let (server, parameters) =
        line.strip_suffix(';').unwrap_or(line).split_at(line.find(':').unwrap_or(line.len()));
    let parameters =
        parameters.split_once(' ').map(|(_, parameters)| format!(" {parameters}")).unwrap_or_default();
    debug_assert!(server.starts_with("server "));
    ports.nodes.iter().map(|node| format!("server 127.0.0.1:{}{parameters};\n", node.public)).collect()
}

/// Started by root, nginx's workers run as another account, and must be able to write here.
fn own(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))
        .with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::ports::NodePorts;
    use super::*;

    #[test]
    fn only_the_addresses_of_the_nodes_differ() {
        let nodes = vec![NodePorts { public: 1001, admin: 0 }, NodePorts { public: 1002, admin: 0 }];
        let ports = Ports { public: 0, redis: 0, prometheus: 0, nodes };
        let text = "# The nodes.\nserver node-1:8080 max_fails=1 fail_timeout=2s;\nserver node-2:8080 max_fails=1;\n";
        let made = upstreams(text, &ports);
        assert_eq!(
            made,
            "server 127.0.0.1:1001 max_fails=1 fail_timeout=2s;\nserver 127.0.0.1:1002 max_fails=1 fail_timeout=2s;\n"
        );
    }
}
