//! Many clients at once: they join, leave and come back at random; thousands lose their connection in one moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tidegate_testkit::history::{Lineage, Told, Verdict};
use tidegate_testkit::witness::{Door, Errand, Habit, Order, Witness};
use tidegate_testkit::{Node, RedisServer, eventually_async};
use tokio::time::sleep;

use crate::publisher::Publisher;
use crate::stage::{Stage, all_done, heard, resumes, troubles};
use crate::support::{PATIENCE, full, say};

/// Witnesses of one seed.
const GROUP: usize = 8;

/// One group: what each witness does is thrown with `seed`.
async fn at_random(
    seed: u64,
    nodes: Vec<SocketAddr>,
    channels: Vec<String>,
    length: Duration,
) -> Vec<Witness> {
    let mut dice = StdRng::seed_from_u64(seed);
    let send_out = |n: usize| {
        let door = if n % 4 == 3 { Door::Sse } else { Door::Native };
        let name = format!("seed {seed} witness {n}");
        let (nodes, channels) = (nodes.clone(), channels.clone());
        Witness::send_out(Errand { name, door, habit: Habit::Resumes, nodes, first: n, channels })
    };
    let witnesses: Vec<Witness> = (0..GROUP).map(send_out).collect();
    let end = Instant::now() + length;
    while Instant::now() < end {
        let channel = dice.random_range(0..channels.len());
        let orders = [Order::Leave(channel), Order::Return(channel), Order::Join(channel), Order::Drop];
        let order = *orders.choose(&mut dice).expect("some");
        witnesses[dice.random_range(0..GROUP)].order(order).await;
        sleep(Duration::from_millis(dice.random_range(0..40))).await;
    }
    witnesses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_join_leave_and_resume_at_random() {
    let redis = RedisServer::start().expect("redis");
    let stage = Stage::start(3, 4, &Stage::redis(&redis.url()));
    let nodes: Vec<SocketAddr> = stage.nodes.iter().map(Node::public_addr).collect();
    let port = redis.port();
    let (seeds, length) = if full() { (20, Duration::from_secs(60)) } else { (4, Duration::from_secs(6)) };
    let flow = Publisher::new(&stage.book, move || Some(port)).flow(&stage.channels, 150);
    let naive = stage.witnesses("naive", 8, 2, Habit::Forgets).await;
    let groups = (1..=seeds).map(|seed| at_random(seed, nodes.clone(), stage.channels.clone(), length));
    let dropping = async {
        for round in 0..length.as_secs() as usize {
            naive[round % naive.len()].order(Order::Drop).await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (groups, ()) = tokio::join!(join_all(groups), dropping);
    flow.stop().await;
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    // Each seed by itself: what it finds has a number to be repeated by.
    for (seed, witnesses) in (1..).zip(&groups) {
        let verdict = until_all_stand(&stage, witnesses, &lineages).await;
        let (moves, [half, ..]) = resumes(witnesses);
        say(&format!(
            "joins, leaves and resumes at random, seed {seed}: {} deliveries, {moves} resumes, p50 {half:.0?}: {verdict}",
            heard(witnesses)
        ));
        assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(witnesses));
    }
    let control = stage.judge(&naive, &lineages);
    say(&format!(
        "joins, leaves and resumes at random, control: clients that subscribe anew: lost {}",
        control.lost
    ));
    assert!(control.lost > 0, "{control}");
}

/// The verdict, once those who are subscribed stand where their channels end.
async fn until_all_stand(
    stage: &Stage,
    witnesses: &[Witness],
    lineages: &BTreeMap<String, Lineage>,
) -> Verdict {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let verdict = stage.judge(witnesses, lineages);
        let there = witnesses.iter().all(Witness::is_there);
        if (there && verdict.behind == 0) || Instant::now() > deadline {
            return verdict;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_connections_drop_at_once() {
    const EACH: usize = 5;
    const BACK: Duration = Duration::from_secs(30);
    /// So long nobody tries to come back; then all do.
    const AWAY: Duration = Duration::from_secs(3);
    let redis = RedisServer::start().expect("redis");
    let stage = Stage::start(3, 20, &Stage::redis(&redis.url()));
    let count = if full() { 5000 } else { 400 };
    let witnesses = stage.witnesses("witness", count, EACH, Habit::Resumes).await;
    let port = redis.port();
    let publisher = Publisher::new(&stage.book, move || Some(port));
    // What as many events cost while nobody is away.
    redis.cli(&["CONFIG", "RESETSTAT"]).expect("redis");
    for _ in 0..5 {
        publisher.publish(&stage.channels).await;
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let before = stage.verdict(&witnesses, &lineages, PATIENCE).await;
    assert!(before.none(), "{before}\n{:?}", troubles(&witnesses));
    let usual = commands(&redis);

    redis.cli(&["CONFIG", "RESETSTAT"]).expect("redis");
    let start = Instant::now();
    for witness in &witnesses {
        witness.order(Order::StayAway(AWAY)).await;
    }
    let gone = |witness: &Witness| witness.look(|log| log.count(|told| matches!(told, Told::Closed(_)))) > 0;
    eventually_async(AWAY / 2, "all are away", async || witnesses.iter().all(gone)).await;
    let (mut published, had) = (0, heard(&witnesses));
    for _ in 0..5 {
        published += publisher.publish(&stage.channels).await;
    }
    assert!(start.elapsed() < AWAY, "they were published before anybody was back");
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    while !all_done(&witnesses, &lineages) && start.elapsed() < BACK + PATIENCE {
        sleep(Duration::from_millis(50)).await;
    }
    let back = start.elapsed() - AWAY;
    let commands = commands(&redis);
    let each = commands.saturating_sub(usual) as f64 / (count * EACH) as f64;
    let missed = heard(&witnesses) - had;
    let verdict = stage.judge(&witnesses, &lineages);
    let (moves, [half, most, longest]) = resumes(&witnesses);
    let control = one_read_each(&redis, &lineages).await;
    say(&format!(
        "{count} connections dropped at once, {EACH} channels each, {published} events meanwhile: all caught up after {back:.1?} (away for \
         {AWAY:.0?}, in all channels again p50 {half:.1?}, p99 {most:.1?}, max {longest:.1?}), {missed} events missed and made good; {commands} Redis commands, {usual} for as many events \
         without a drop: {each:.3} for each connection and channel: {verdict}"
    ));
    say(&format!(
        "connections dropped at once, control: a read for each: {control:.1} for each connection and channel"
    ));
    assert_eq!(moves, count, "each was back once");
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&witnesses));
    assert!(back < BACK && each <= 0.1, "{back:?} {each}");
    assert!(control > 1.0, "{control}");
    assert_eq!(missed, count * EACH * 5, "everybody was away meanwhile");
}

/// What a read for one connection and channel costs, of what was missed here: five events.
async fn one_read_each(redis: &RedisServer, lineages: &BTreeMap<String, Lineage>) -> f64 {
    let client = redis::Client::open(redis.url()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("redis");
    redis.cli(&["CONFIG", "RESETSTAT"]).expect("redis");
    for (channel, lineage) in lineages {
        let mut read = redis::cmd("FCALL");
        read.arg("tg_read").arg(1).arg(format!("tg:{{{channel}}}")).arg(1000);
        read.arg("since").arg(lineage.top.epoch.to_string()).arg(lineage.top.offset - 5);
        let _: redis::Value = read.query_async(&mut connection).await.expect("redis");
    }
    commands(redis) as f64 / lineages.len() as f64
}

/// Commands that Redis has carried out since its statistics began, inside functions too, without what comes with the passing of time:
/// the pings of links, the look at the tops, the test's own questions.
fn commands(redis: &RedisServer) -> u64 {
    const BY_TIME: [&str; 6] = ["ping", "role", "hmget", "info", "config|resetstat", "save"];
    let told = redis.cli(&["INFO", "commandstats"]).expect("redis");
    let count = |line: &str| -> Option<u64> {
        let (name, rest) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        (!BY_TIME.contains(&name)).then_some(calls)
    };
    told.lines().filter_map(count).sum()
}
