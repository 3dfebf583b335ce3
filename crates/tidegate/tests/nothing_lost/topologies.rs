//! Redis fails over to a replica that lacks acknowledged events; a Cluster moves slots and fails over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tidegate_testkit::history::{Lineage, Verdict};
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisCluster, SentinelSet, eventually, eventually_async};

use crate::naive::Naive;
use crate::publisher::{Care, Publisher};
use crate::snapshots::change_library;
use crate::stage::{Stage, all_done, disturbed, heard, is_ready, troubles};
use crate::support::{PATIENCE, full, say};

/// RELIABILITY section 1: served again so soon after the promotion.
const SERVED: Duration = Duration::from_secs(15);

fn remember(kept: &mut BTreeMap<String, Lineage>, now: BTreeMap<String, Lineage>) {
    for (name, mut lineage) in now {
        if let Some(earlier) = kept.get(&name) {
            lineage.remember(earlier);
        }
        kept.insert(name, lineage);
    }
}

/// What a run of failovers showed.
struct Failovers {
    verdict: Verdict,
    /// Of these the promoted replica lacked an acknowledged event.
    counted: usize,
    slowest: Duration,
    deliveries: usize,
    /// Connections and subscriptions that were ended.
    disturbed: (usize, usize),
    troubles: Vec<String>,
}

async fn failovers_to_a_lagging_replica(rounds: usize, is_naive: bool) -> Failovers {
    let mut set = SentinelSet::start_behind_proxies().expect("Sentinels");
    let stage = Stage::start(2, 4, &set.config());
    if is_naive {
        change_library(&set.servers[0], "FOLLOWS_LINEAGE = true", "FOLLOWS_LINEAGE = false");
    }
    let witnesses = stage.witnesses("witness", 12, 2, Habit::Resumes).await;
    let port = Arc::new(AtomicU16::new(set.port(0)));
    let asked = Arc::clone(&port);
    let publisher = Publisher::new(&stage.book, move || Some(asked.load(Ordering::Relaxed))).with(Care::Key);
    let (mut kept, mut counted, mut slowest) = (BTreeMap::new(), 0, Duration::ZERO);
    for round in 1..=rounds {
        let former = set.master().expect("a master");
        for _ in 0..5 {
            publisher.publish(&stage.channels).await;
        }
        let waited = set.servers[former].cli(&["WAIT", "1", "5000"]).expect("redis");
        assert_eq!(waited.trim(), "1", "the replica has all of it");
        set.lag();
        for _ in 0..3 {
            publisher.publish(&stage.channels).await;
        }
        let before = lineages(&set, &stage, former);
        eventually_async(PATIENCE, "what will die is heard", async || all_done(&witnesses, &before)).await;
        // Backends go on: they are refused, and try again with the keys of their events.
        let flow = publisher.flow(&stage.channels, 50);
        tokio::task::block_in_place(|| set.kill_master().expect("a failover"));
        let promoted = Instant::now();
        let master = set.master().expect("a master");
        let lacks = lineages(&set, &stage, master);
        let is_short =
            |(name, top): (&String, &Lineage)| lacks.get(name).is_none_or(|l| l.top.offset < top.top.offset);
        counted += usize::from(before.iter().any(is_short));
        port.store(set.port(master), Ordering::Relaxed);
        set.catch_up();
        let had = heard(&witnesses);
        eventually_async(SERVED, "all nodes are ready", async || stage.nodes.iter().all(is_ready)).await;
        eventually_async(SERVED, "events are heard again", async || heard(&witnesses) > had).await;
        slowest = slowest.max(promoted.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
        flow.stop().await;
        remember(&mut kept, lineages(&set, &stage, master));
        if round < rounds {
            // It comes back with nothing, is made a replica, and is the next that is promoted.
            tokio::task::block_in_place(|| {
                set.servers[former].start_again().expect("redis");
                set.wait_for_replica(former);
            });
        }
    }
    let patience = if is_naive { Duration::from_secs(8) } else { PATIENCE };
    let verdict = stage.verdict(&witnesses, &kept, patience).await;
    Failovers {
        verdict,
        counted,
        slowest,
        deliveries: heard(&witnesses),
        disturbed: disturbed(&witnesses),
        troubles: troubles(&witnesses),
    }
}

fn lineages(set: &SentinelSet, stage: &Stage, at: usize) -> BTreeMap<String, Lineage> {
    stage.lineages(|channel| set.servers[at].lineage(channel).expect("redis"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_promote_a_replica_that_lacks_events() {
    let rounds = if full() { 10 } else { 1 };
    let run = failovers_to_a_lagging_replica(rounds, false).await;
    let Failovers { verdict, counted, slowest, deliveries, disturbed, troubles } = &run;
    say(&format!(
        "Sentinel failover to a lagging replica: {rounds} failovers, {counted} to a replica that lacked acknowledged events, served again \
         {slowest:.1?} after the promotion at most, {deliveries} deliveries, connections and subscriptions ended {disturbed:?}: {verdict}"
    ));
    assert!(verdict.none() && verdict.told == 0, "{verdict}\n{troubles:?}");
    assert_eq!(*disturbed, (0, 0), "no client notices");
    assert!(*counted == rounds && verdict.died > 0 && *slowest < SERVED);
    let control = failovers_to_a_lagging_replica(1, true).await.verdict;
    say(&format!(
        "Sentinel failover to a lagging replica, control: a library that goes on with its epoch: lost {}, wrong under a position {}",
        control.lost, control.wrong
    ));
    assert!(control.wrong > 0, "{control}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_moves_slots_under_load_and_fails_over() {
    let mut cluster = RedisCluster::start().expect("a Redis Cluster");
    let moved = if full() { 50 } else { 8 };
    let stage = Stage::start(2, moved, &cluster.config());
    let witnesses = stage.witnesses("witness", 2 * moved, 2, Habit::Resumes).await;
    let port = cluster.nodes[1].port();
    let publisher = Publisher::new(&stage.book, move || Some(port)).with(Care::Key);
    publisher.publish(&stage.channels).await;
    let mut naive = Vec::new();
    for master in &cluster.nodes[..3] {
        naive.push(Naive::of_shard(master, &stage.channels).await);
    }
    let flow = publisher.flow(&stage.channels, 500);
    eventually_async(PATIENCE, "events flow", async || heard(&witnesses) > 200).await;
    let start = Instant::now();
    tokio::task::block_in_place(|| {
        for channel in &stage.channels {
            let slot = cluster.slot(&format!("tg:{{{channel}}}")).expect("a slot");
            let owner = cluster.master_of(slot).expect("an owner");
            // Keys are written while they move: a slot is done when it is empty.
            cluster.move_slot(slot, (owner + 1) % 3).expect("it moves");
        }
    });
    let took = start.elapsed();
    flow.stop().await;
    let verdict = stage.verdict(&witnesses, &in_cluster(&cluster, &stage), PATIENCE).await;
    say(&format!(
        "Cluster: {moved} slots moved in {took:.1?} at 500 events/s, {} events, {} deliveries, connections and subscriptions ended {:?}: {verdict}",
        stage.with_book(|book| book.count()),
        heard(&witnesses),
        disturbed(&witnesses)
    ));
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&witnesses));
    assert_eq!(disturbed(&witnesses), (0, 0), "no client notices");
    let naive: Vec<_> = naive.iter().map(Naive::log).collect();
    let control = stage.judge_logs(&naive, &in_cluster(&cluster, &stage));
    say(&format!("Cluster, control: subscribers that stay where they subscribed: lost {}", control.lost));
    assert!(control.lost > 0, "{control}");

    // A master dies with what its replica may lack.
    let before = in_cluster(&cluster, &stage);
    let flow = publisher.flow(&stage.channels, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.nodes[0].stop();
    tokio::task::block_in_place(|| {
        eventually(PATIENCE, "the replica is promoted", || {
            cluster.nodes[3].cli(&["ROLE"]).is_ok_and(|role| role.starts_with("master"))
        });
    });
    let promoted = Instant::now();
    eventually_async(SERVED, "all nodes are ready", async || stage.nodes.iter().all(is_ready)).await;
    let ready = promoted.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    flow.stop().await;
    let mut kept = before;
    remember(&mut kept, in_cluster(&cluster, &stage));
    let verdict = stage.verdict(&witnesses, &kept, PATIENCE).await;
    say(&format!("Cluster failover: nodes ready {ready:.1?} after the promotion: {verdict}"));
    assert!(verdict.none() && verdict.told == 0, "{verdict}\n{:?}", troubles(&witnesses));
}

fn in_cluster(cluster: &RedisCluster, stage: &Stage) -> BTreeMap<String, Lineage> {
    stage.lineages(|channel| {
        let slot = cluster.slot(&format!("tg:{{{channel}}}")).expect("a slot");
        let owner = cluster.master_of(slot).expect("an owner");
        cluster.nodes[owner].lineage(channel).expect("redis")
    })
}
