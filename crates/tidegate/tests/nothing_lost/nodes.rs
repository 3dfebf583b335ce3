//! Nodes are killed one after the other under load, and come back.

use std::time::{Duration, Instant};

use tidegate_testkit::witness::Habit;
use tidegate_testkit::{Node, RedisServer, eventually};
use tokio::time::sleep;

use crate::publisher::{Care, Publisher};
use crate::stage::{Stage, heard, is_ready, resumes, troubles};
use crate::support::{PATIENCE, admin, full, say};

/// RELIABILITY section 1: 99 of 100 clients are back so soon.
const RESUMED: Duration = Duration::from_secs(3);
const DOORS: [&str; 2] = ["native", "sse"];

fn clients(node: &Node) -> u64 {
    DOORS.iter().map(|door| admin::connections(node, door)).sum()
}

fn deliveries(node: &Node) -> u64 {
    DOORS
        .iter()
        .map(|door| admin::metric(node, &format!("tidegate_deliveries_total{{door=\"{door}\"}}")))
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed_one_after_the_other_under_load() {
    let redis = RedisServer::start().expect("redis");
    let mut stage = Stage::start(3, 10, &Stage::redis(&redis.url()));
    let good = stage.witnesses("witness", 30, 2, Habit::Resumes).await;
    let naive = stage.witnesses("naive", 12, 2, Habit::Forgets).await;
    let port = redis.port();
    // Each event goes to eight or nine subscribers.
    let flow = Publisher::new(&stage.book, move || Some(port)).with(Care::Key).flow(&stage.channels, 250);
    let (rounds, every) =
        if full() { (12, Duration::from_secs(10)) } else { (3, Duration::from_millis(3500)) };

    let (start, before) = (Instant::now(), heard(&good) + heard(&naive));
    let (mut counted, mut down) = (0, Duration::ZERO);
    for round in 0..rounds {
        let killing = Instant::now();
        let victim = &mut stage.nodes[round % 3];
        eventually(PATIENCE, "the node is ready and has clients", || is_ready(victim) && clients(victim) > 0);
        let (some, then) = (clients(victim), deliveries(victim));
        sleep(Duration::from_millis(100)).await;
        // Events were in flight if they were a moment ago: at this rate there is one every 4 ms.
        let in_flight = deliveries(victim) > then;
        victim.kill9();
        counted += usize::from(some > 0 && in_flight);
        let gone = Instant::now();
        sleep(Duration::from_millis(500)).await;
        victim.start_again().expect("it gets its ports at once");
        down = down.max(gone.elapsed());
        sleep(every.saturating_sub(killing.elapsed())).await;
    }
    flow.stop().await;
    let rate = (heard(&good) + heard(&naive) - before) as f64 / start.elapsed().as_secs_f64();
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.verdict(&good, &lineages, PATIENCE).await;
    let control = stage.verdict(&naive, &lineages, Duration::from_secs(1)).await;
    let (moves, [half, most, longest]) = resumes(&good);
    say(&format!(
        "kill -9 of nodes: {rounds} kills, {counted} with clients and events in flight, each down {down:.1?} at most; {rate:.0} deliveries/s; \
         {moves} resumes, p50 {half:.0?}, p99 {most:.0?}, max {longest:.0?}: {verdict}"
    ));
    say(&format!(
        "kill -9 of nodes, control: clients that subscribe anew: lost {}, skips {}",
        control.lost, control.skips
    ));
    assert!(verdict.none(), "{verdict}\n{:?}", troubles(&good));
    assert_eq!((verdict.told, verdict.died), (0, 0), "nothing was missing anywhere");
    assert!(counted == rounds && moves > rounds * 5, "{counted} kills, {moves} resumes");
    assert!(most < RESUMED, "{most:?}");
    assert!(control.lost > 0 && control.twice + control.reordered + control.wrong == 0, "{control}");
}
