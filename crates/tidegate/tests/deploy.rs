//! The files of deploy/, k8s/ and docker-compose.yml, checked by the programs that read them. Docker, Kubernetes and
//! Grafana are not needed: their loaders and schemas are, and a real node for what the files say about it.
//!
//! Each check has a control: a file with a mistake that it must find.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidegate_testkit::{Nginx, Node, Process, RedisServer, eventually, free_port, run, tools};
use tokio_tungstenite::tungstenite::{self, Message};

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");
const PATIENCE: Duration = Duration::from_secs(60);
/// `server.drain` of all these deployments, in seconds: what kills a node must wait longer.
const DRAIN: &str = "20";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

fn script(name: &str) -> Command {
    let mut command = Command::new(tools::python());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy").join(name));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// What a program that must succeed prints.
fn fine(command: &mut Command) -> String {
    run(command, PATIENCE).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What a program that must fail says.
fn finds(command: &mut Command, words: &str) {
    let error = run(command, PATIENCE).expect_err("it finds nothing");
    let text = format!("{error:#}");
    assert!(text.contains(words), "it finds something else than {words}: {text}");
}

/// A copy of a file with one thing changed.
fn changed(path: &str, from: &str, to: &str) -> (TempDir, PathBuf) {
    let text = file(path);
    assert!(text.contains(from), "{path} has no {from}");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join(Path::new(path).file_name().expect("a name"));
    fs::write(&copy, text.replacen(from, to, 1)).expect("a file");
    (folder, copy)
}

fn tidegate() -> Command {
    let mut command = Command::new(BINARY);
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(key);
    }
    command
}

/// The body of a 200.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

#[test]
fn compose_follows_the_specification_and_names_only_what_is_there() {
    let check = |path: &Path| {
        let mut command = script("compose.py");
        command.arg(path).arg(DRAIN);
        command
    };
    fine(&mut check(&root().join("docker-compose.yml")));
    for (from, to, found) in [
        ("    restart: unless-stopped", "    restrat: unless-stopped", "restrat"),
        ("depends_on: [node-1, node-2, node-3]", "depends_on: [node-1, node-9]", "depends on node-9"),
        ("stop_grace_period: 30s", "stop_grace_period: 15s", "before it has drained"),
        ("127.0.0.1:6379:6379", "6379:6379", "on every interface"),
    ] {
        let (_folder, copy) = changed("docker-compose.yml", from, to);
        finds(&mut check(&copy), found);
    }
}

#[test]
fn go_dockers_own_loader_takes_the_compose_file() {
    let program = tools::go_program("compose");
    fine(Command::new(&program).arg(root().join("docker-compose.yml")));
    let (_folder, copy) =
        changed("docker-compose.yml", "depends_on: [node-1, node-2, node-3]", "depends_on: [node-9]");
    finds(Command::new(&program).arg(copy), "node-9");
}

#[test]
fn the_dockerfile_passes_its_linter() {
    let program = tools::python_program("hadolint");
    fine(Command::new(&program).arg(root().join("deploy/Dockerfile")));
    let (_folder, copy) = changed("deploy/Dockerfile", "FROM debian:bookworm-slim", "FROM debian:latest");
    finds(Command::new(&program).arg(copy), "DL3007");
}

#[test]
fn the_image_is_built_from_what_its_build_context_holds() {
    let kept: Vec<String> = file("deploy/Dockerfile.dockerignore")
        .lines()
        .filter_map(|line| line.strip_prefix('!').map(str::to_owned))
        .collect();
    for path in &kept {
        assert!(root().join(path).exists(), "{path} is not there");
    }
    let members = file("Cargo.toml");
    let members = members.lines().find(|line| line.starts_with("members")).expect("members");
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.trim_end_matches("/*");
        assert!(kept.iter().any(|path| path == folder), "cargo needs {folder} in the build context");
    }
}

#[test]
fn prometheus_takes_its_configuration_and_the_alerts_fire_when_they_should() {
    let folder = root().join("deploy/prometheus");
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        command.current_dir(&folder).args(arguments);
        command
    };
    fine(&mut promtool(&["check", "config", "prometheus.yml"]));
    fine(&mut promtool(&["check", "rules", "rules.yml"]));
    fine(&mut promtool(&["test", "rules", "rules_test.yml"]));

    let (changed, _) =
        changed("deploy/prometheus/rules.yml", "tidegate_redis_up == 0", "tidegate_redis_up == 2");
    fs::copy(folder.join("rules_test.yml"), changed.path().join("rules_test.yml")).expect("a copy");
    let mut command = Command::new("promtool");
    finds(command.current_dir(changed.path()).args(["test", "rules", "rules_test.yml"]), "TidegateRedisDown");
}

#[test]
fn every_alert_is_tested() {
    let tested = file("deploy/prometheus/rules_test.yml");
    let rules = file("deploy/prometheus/rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 8, "{alerts:?}");
    for alert in alerts {
        let fires = tested.split("alertname: ").filter(|part| {
            part.strip_prefix(alert).is_some_and(|rest| rest.trim_start().starts_with("exp_alerts"))
        });
        assert_eq!(fires.count(), 1, "no test shows that {alert} fires");
    }
}

#[test]
fn the_manifests_fit_the_schemas_and_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = folder.path().join("all.yaml");
    let text = match tools::find("kubectl") {
        Some(kubectl) => fine(Command::new(kubectl).arg("kustomize").arg(root().join("k8s"))),
        None => ["deployment", "services", "disruption"]
            .map(|name| file(&format!("k8s/{name}.yaml")))
            .join("\n---\n"),
    };
    fs::write(&all, &text).expect("a file");
    let check = |path: &Path| {
        let mut command = script("kubernetes.py");
        command.arg(path).arg(DRAIN);
        command
    };
    let validate = |path: &Path| {
        let mut command = Command::new(tools::python_program("kubernetes-validate"));
        command.arg("--strict").arg(path);
        command
    };
    fine(&mut validate(&all));
    fine(&mut check(&all));

    fs::write(&all, text.replacen("replicas:", "replicaz:", 1)).expect("a file");
    finds(&mut validate(&all), "replicaz");
    fs::write(&all, text.replacen("GracePeriodSeconds: 45", "GracePeriodSeconds: 5", 1)).expect("a file");
    finds(&mut check(&all), "before they have drained");
}

#[test]
fn a_node_takes_the_configuration_of_compose_and_of_kubernetes() {
    let path = root().join("deploy/tidegate.toml");
    fine(
        tidegate()
            .args(["config", "check", "--config"])
            .arg(&path)
            .env("TIDEGATE_REDIS__URL", "redis://redis:6379"),
    );

    let kustomization = file("k8s/kustomization.yaml");
    let settings: Vec<(&str, &str)> = kustomization
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- TIDEGATE_"))
        .filter_map(|line| line.split_once('='))
        .collect();
    assert!(settings.len() >= 4, "{settings:?}");
    let mut command = tidegate();
    command.args(["config", "show"]).env("TIDEGATE_AUTH__HMAC_SECRET", "0123456789abcdef0123456789abcdef");
    command.envs(settings.iter().map(|(name, value)| (format!("TIDEGATE_{name}"), *value)));
    // What Kubernetes adds for a Service named tidegate is no setting.
    command.env("TIDEGATE_PORT", "tcp://10.0.0.1:80").env("TIDEGATE_SERVICE_HOST", "10.0.0.1");
    let shown = fine(&mut command);
    for (_, value) in settings {
        assert!(shown.contains(value), "{value} is not in force:\n{shown}");
    }
}

#[test]
fn nginx_serves_nodes_with_the_real_files() {
    let node = Node::builder(BINARY).start().expect("a node");
    let nginx = Nginx::start(&root().join("deploy/nginx"), &[node.public_addr()]).expect("nginx");
    assert!(get(nginx.addr(), "/").contains("<html"), "the page comes through");

    // The longest token reaches the node, which has something to say about it; nginx alone would not know the code.
    let mut stream = TcpStream::connect(nginx.addr()).expect("it listens");
    let token = "x".repeat(8 << 10);
    write!(
        stream,
        "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains(r#""code":"unauthorized""#), "{answer}");

    // The loader itself, over the files as they lie there; only the nodes' names cannot be resolved here.
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["nginx.conf", "upstreams.conf", "listen.conf"] {
        let mut text = file(&format!("deploy/nginx/{name}"));
        for number in 1..=3 {
            text = text.replace(&format!("node-{number}:8080"), &format!("127.0.0.1:{number}"));
        }
        let text = text.replace("listen 8080;", &format!("listen 127.0.0.1:{};", free_port()));
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let test = || {
        let mut command = Command::new("nginx");
        command
            .args(["-t", "-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"));
        command
    };
    fine(&mut test());
    fs::write(folder.path().join("upstreams.conf"), "server 127.0.0.1:1 max_fail=1;\n").expect("a file");
    finds(&mut test(), "max_fail=1");
}

#[test]
fn redis_starts_with_its_file_and_evicts_nothing() {
    let (port, folder) = (free_port().to_string(), tempfile::tempdir().expect("a folder"));
    let mut command = Command::new("redis-server");
    command.arg(root().join("deploy/redis/redis.conf")).args([
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--dir",
    ]);
    let _server =
        Process::start("redis-server", command.arg(folder.path()), &folder.path().join("log"), None);
    let ask = |words: &[&str]| run(Command::new("redis-cli").args(["-p", &port]).args(words), PATIENCE);
    eventually(PATIENCE, "redis-server answers", || {
        ask(&["PING"]).is_ok_and(|answer| answer.contains("PONG"))
    });
    assert!(ask(&["CONFIG", "GET", "maxmemory-policy"]).expect("an answer").contains("noeviction"));
    assert!(ask(&["CONFIG", "GET", "appendonly"]).expect("an answer").contains("yes"));
}

#[test]
fn the_healthcheck_of_the_image_tells_ready_from_not() {
    let check = |address: SocketAddr| {
        let mut command = Command::new("bash");
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        command.arg(root().join("deploy/healthcheck.sh")).args([host, port]);
        command
    };
    let mut redis = RedisServer::start().expect("redis");
    let mut node = Node::builder(BINARY).redis(&redis.url()).start().expect("a node");
    let healthy = || run(&mut check(node.admin_addr()), PATIENCE).is_ok();
    eventually(PATIENCE, "it says ready", healthy);
    redis.stop();
    eventually(PATIENCE, "it says not ready", || !healthy());
    finds(&mut check(node.admin_addr()), "503");
    node.kill9();
    run(&mut check(node.admin_addr()), PATIENCE).expect_err("nobody listens");
}

/// The expressions of a dashboard, with Grafana's variables filled in.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let fill = |expr: &str| expr.replace("$node", ".*").replace("$__rate_interval", "1m");
    targets.map(|target| fill(target["expr"].as_str().expect("an expression"))).collect()
}

/// The metrics that an expression, a rule or a scrape names.
fn metrics(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = text.split(|c| !word(c)).filter(|name| name.starts_with("tidegate_"));
    names.map(str::to_owned).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&file("deploy/grafana/dashboards/tidegate.json")).expect("JSON")
}

#[test]
fn every_panel_of_the_dashboard_is_whole() {
    let dashboard = dashboard();
    let (mut ids, mut places) = (BTreeSet::new(), Vec::<[u64; 4]>::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        assert_eq!(panel["datasource"]["uid"], "prometheus", "{title}");
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("gridPos"));
        let [x, y, w, h] = place;
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} leaves the grid");
        for [ox, oy, ow, oh] in &places {
            assert!(x >= ox + ow || *ox >= x + w || y >= oy + oh || *oy >= y + h, "{title} lies on another");
        }
        places.push(place);
        let mut references = BTreeSet::new();
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "prometheus", "{title}");
            assert!(references.insert(target["refId"].as_str().expect("refId")), "{title}: a refId is taken");
        }
    }
    assert!(file("deploy/grafana/provisioning/datasources/prometheus.yml").contains("uid: prometheus"));
}

#[test]
fn the_dashboards_expressions_are_promql() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |expressions: &[String]| {
        let rule = |(number, expr): (usize, &String)| {
            let expr = serde_json::to_string(expr).expect("JSON");
            format!("      - {{record: 'panel:{number}', expr: {expr}}}\n")
        };
        let rules: String = expressions.iter().enumerate().map(rule).collect();
        let path = folder.path().join("rules.yml");
        fs::write(&path, format!("groups:\n  - name: panels\n    rules:\n{rules}")).expect("a file");
        let mut command = Command::new("promtool");
        command.args(["check", "rules"]).arg(path);
        command
    };
    let expressions = expressions(&dashboard());
    assert!(expressions.len() >= 10);
    fine(&mut check(&expressions));
    finds(&mut check(&["sum by door (tidegate_connections)".to_owned()]), "parse error");
}

#[test]
fn dashboard_and_alerts_name_only_metrics_that_a_node_has() {
    let redis = RedisServer::start().expect("redis");
    let node = Node::builder(BINARY).redis(&redis.url()).start().expect("a node");
    eventually(PATIENCE, "the node is ready", || {
        get(node.admin_addr(), "/metrics").contains("tidegate_ready 1")
    });

    // A counter that nothing has happened to is not shown: make an error and a closed connection.
    let stream = TcpStream::connect(node.public_addr()).expect("it listens");
    let (mut socket, _) = tungstenite::client(node.ws_url(), stream).expect("an upgrade");
    socket.send(Message::text(r#"{"type":"connect","id":1}"#)).expect("it reads");
    socket.send(Message::text(r#"{"type":"nonsense","id":2}"#)).expect("it reads");
    while !socket.read().expect("a frame").to_string().contains("unknown_type") {}
    socket.close(None).expect("a close");
    while socket.read().is_ok() {}
    let scrape = || metrics(&get(node.admin_addr(), "/metrics"));
    eventually(PATIENCE, "the close is counted", || scrape().contains("tidegate_connections_closed_total"));

    let there = scrape();
    let unknown = |text: &str| -> Vec<String> {
        metrics(text).into_iter().filter(|name| !there.contains(name)).collect()
    };
    for expr in expressions(&dashboard()) {
        assert_eq!(unknown(&expr), [""; 0], "in {expr}");
    }
    assert_eq!(unknown(&file("deploy/prometheus/rules.yml")), [""; 0]);
    assert_eq!(unknown("rate(tidegate_connection[1m])"), ["tidegate_connection"]);

    // The scrape itself, by Prometheus's own reader and its linter.
    let mut lint = Command::new("bash");
    let metrics = format!("{}/metrics", node.admin_url());
    let address = node.admin_addr();
    lint.args(["-c", "set -o pipefail; exec 3<>/dev/tcp/$0/$1; printf 'GET /metrics HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n' >&3; \
                      sed '1,/^\\r$/d' <&3 | promtool check metrics"]);
    lint.args([address.ip().to_string(), address.port().to_string()]);
    run(&mut lint, PATIENCE).unwrap_or_else(|error| panic!("{metrics}: {error:#}"));
}
