//! Everybody who can publish does so at once, into one channel: every subscriber sees the same numbers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tidegate_core::Position;
use tidegate_testkit::history::{Told, payload_of};
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisServer, run, tools};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{Stage, disturbed, heard, troubles};
use crate::support::{PATIENCE, admin, full, say};

const CHANNEL: &str = "room:0";

/// What a publisher was told, for each number.
type Acknowledged = Vec<(u64, Position)>;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A program that prints `number position` for each number it is given.
fn program(mut command: Command, url: &str, numbers: &[u64]) -> Acknowledged {
    command.args([url, CHANNEL]).args(numbers.iter().map(u64::to_string));
    let said = run(&mut command, Duration::from_secs(60)).expect("it publishes");
    let told = |line: &str| {
        let (number, at) = line.split_once(' ')?;
        Some((number.parse().ok()?, at.parse().ok()?))
    };
    said.lines().map(|line| told(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

fn redis_py(url: &str, numbers: &[u64]) -> Acknowledged {
    let mut command = Command::new(tools::python());
    command.arg(clients().join("python/durable.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    program(command, url, numbers)
}

fn node_redis(url: &str, numbers: &[u64]) -> Acknowledged {
    let mut command = Command::new("node");
    command.arg(clients().join("node/durable.mjs")).env("NPM", tools::npm_dir());
    program(command, url, numbers)
}

fn redis_cli(url: &str, numbers: &[u64]) -> Acknowledged {
    let publish = |number: &u64| {
        let (name, payload) = (format!("tg:{{{CHANNEL}}}"), payload_of(*number));
        let mut command = Command::new("redis-cli");
        command.args(["-u", url, "FCALL", "tg_publish", "1", &name, &payload]);
        let said = run(&mut command, PATIENCE).expect("it publishes");
        let mut lines = said.lines();
        let epoch = lines.next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        let offset = lines.next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        (*number, Position { epoch, offset })
    };
    numbers.iter().map(publish).collect()
}

fn position_in(answer: &Value) -> Position {
    let epoch = answer["epoch"].as_str().and_then(|epoch| epoch.parse().ok());
    let offset = answer["offset"].as_u64();
    let at = epoch.zip(offset).map(|(epoch, offset)| Position { epoch, offset });
    at.unwrap_or_else(|| panic!("{answer} has no position"))
}

fn http(address: SocketAddr, numbers: &[u64]) -> Acknowledged {
    let publish = |number: &u64| {
        let (status, body) = admin::publish(address, CHANNEL, &payload_of(*number));
        assert_eq!(status, 200, "{body}");
        (*number, position_in(&serde_json::from_str(&body).expect("JSON")))
    };
    numbers.iter().map(publish).collect()
}

async fn native(address: SocketAddr, numbers: &[u64]) -> Acknowledged {
    let stream = TcpStream::connect(address).await.expect("the node");
    let (mut socket, _) = client_async(format!("ws://{address}/ws"), stream).await.expect("the door");
    socket.send(Message::text(r#"{"type":"connect","id":1}"#)).await.expect("open");
    let mut told = Vec::new();
    for (id, number) in (2..).zip(numbers) {
        let data = payload_of(*number);
        let frame = format!(r#"{{"type":"publish","id":{id},"channel":"{CHANNEL}","data":{data}}}"#);
        socket.send(Message::text(frame)).await.expect("open");
        let answer = loop {
            let message = socket.next().await.expect("open").expect("open");
            let Message::Text(text) = message else { continue };
            let frames = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            if let Some(answer) = frames.into_iter().find(|frame| frame["id"] == id) {
                break answer;
            }
        };
        told.push((*number, position_in(&answer)));
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_publisher_and_every_subscriber_sees_the_same_gapless_offsets() {
    let redis = RedisServer::start().expect("redis");
    let stage = Stage::start(3, 1, &Stage::redis(&redis.url()));
    let witnesses = stage.witnesses("witness", 12, 1, Habit::Resumes).await;
    let count = if full() { 500 } else { 60 };
    let numbers = || -> Vec<u64> {
        let mut book = stage.book.lock().expect("whole");
        (0..count).map(|_| book.publish(CHANNEL, false)).collect()
    };
    let blocking = |publish: fn(&str, &[u64]) -> Acknowledged| {
        let (url, numbers) = (redis.url(), numbers());
        spawn_blocking(move || publish(&url, &numbers))
    };
    let (node, own) = (stage.nodes[0].admin_addr(), numbers());
    let over_http = spawn_blocking(move || http(node, &own));
    let (node, own) = (stage.nodes[1].public_addr(), numbers());
    let over_native = tokio::spawn(async move { native(node, &own).await });
    let mut publishers = 0;
    for publish in [redis_cli, redis_py, node_redis].map(blocking).into_iter().chain([over_http, over_native])
    {
        for (number, at) in publish.await.expect("it publishes") {
            stage.book.lock().expect("whole").acknowledge(number, at);
        }
        publishers += 1;
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.verdict(&witnesses, &lineages, PATIENCE).await;
    say(&format!(
        "five kinds of publishers into one channel on 3 nodes: {} events, {} deliveries to {} subscribers: {verdict}",
        count * publishers,
        heard(&witnesses),
        witnesses.len()
    ));
    assert_eq!(lineages[CHANNEL].top.offset, (count * publishers) as u64, "gapless from 1");
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&witnesses));
    assert_eq!(disturbed(&witnesses), (0, 0));

    // Control: one delivery less, one number more, in one of the logs.
    let mut logs: Vec<_> = witnesses.iter().map(|witness| witness.log()).collect();
    logs[7].lines.remove(count / 2);
    let control = stage.judge_logs(&logs, &lineages);
    logs[7] = witnesses[7].log();
    if let Told::Event { offset: Some(offset), .. } = &mut logs[7].lines[count / 2].told {
        *offset += 1;
    }
    let numbered = stage.judge_logs(&logs, &lineages);
    say(&format!(
        "five kinds of publishers, control: a delivery taken out: lost {}; a number changed: wrong under a position {}",
        control.lost, numbered.wrong
    ));
    assert!(control.lost == 1 && numbered.wrong == 1, "{control}\n{numbered}");
}
