//! Redis comes back and knows less than its clients: killed, and started from an older snapshot; a channel's keys evicted.

use std::time::Duration;

use tidegate_testkit::history::Verdict;
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisServer, eventually};

use crate::publisher::{Care, Publisher};
use crate::stage::{Stage, disturbed, heard, is_ready, troubles};
use crate::support::{PATIENCE, full, say};

/// Changes one word of the function library that nodes have brought.
pub(crate) fn change_library(redis: &RedisServer, from: &str, to: &str) {
    let listed = redis.cli(&["FUNCTION", "LIST", "LIBRARYNAME", "tg", "WITHCODE"]).expect("a library");
    let start = listed.find("#!lua").expect("its code");
    let code = listed[start..].trim_end().replacen(from, to, 1);
    assert!(code.contains(to) && !listed.contains(to), "{to}");
    redis.cli(&["FUNCTION", "LOAD", "REPLACE", &code]).expect("it loads");
}

/// Events that die with the snapshot's successors, and the verdict.
async fn back_from_an_older_snapshot(is_naive: bool, rounds: usize) -> (Verdict, usize, usize) {
    let mut redis = RedisServer::start().expect("redis");
    let stage = Stage::start(3, 6, &Stage::redis(&redis.url()));
    if is_naive {
        change_library(&redis, "FOLLOWS_LINEAGE = true", "FOLLOWS_LINEAGE = false");
    }
    let witnesses = stage.witnesses("witness", 30, 2, Habit::Resumes).await;
    let port = redis.port();
    let publisher = Publisher::new(&stage.book, move || Some(port)).with(Care::Key);
    let mut dying = 0;
    for _ in 0..rounds {
        for _ in 0..6 {
            publisher.publish(&stage.channels).await;
        }
        let snapshot = redis.snapshot().expect("saved");
        for _ in 0..3 {
            dying += publisher.publish(&stage.channels).await;
        }
        let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
        if !is_naive {
            let before = stage.verdict(&witnesses, &lineages, PATIENCE).await;
            assert_eq!((before.behind, before.lost), (0, 0), "{before}\n{:?}", troubles(&witnesses));
        } else {
            stage.verdict(&witnesses, &lineages, Duration::from_secs(2)).await;
        }
        redis.start_from(&snapshot).expect("redis");
        for _ in 0..6 {
            publisher.publish(&stage.channels).await;
        }
        for node in &stage.nodes {
            eventually(PATIENCE, "the node is ready again", || is_ready(node));
        }
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let patience = if is_naive { Duration::from_secs(8) } else { PATIENCE };
    let verdict = stage.verdict(&witnesses, &lineages, patience).await;
    assert_eq!(disturbed(&witnesses), (0, 0), "nobody was disconnected\n{:?}", troubles(&witnesses));
    assert!(heard(&witnesses) > 0);
    (verdict, dying, heard(&witnesses))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_and_comes_back_from_an_older_snapshot() {
    let rounds = if full() { 10 } else { 2 };
    let (verdict, dying, heard) = back_from_an_older_snapshot(false, rounds).await;
    say(&format!(
        "stale snapshot: {rounds} restarts, {dying} acknowledged events died with them, {heard} deliveries: {verdict}"
    ));
    assert!(verdict.none() && verdict.told == 0, "{verdict}");
    assert_eq!(verdict.died, dying);
    let (control, _, heard) = back_from_an_older_snapshot(true, 1).await;
    say(&format!(
        "stale snapshot, control: a library that goes on with its epoch: lost {}, wrong under a position {}, behind {}, of {heard} deliveries",
        control.lost, control.wrong, control.behind
    ));
    assert!(control.lost > 0 && control.wrong > 0, "{control}");
}
