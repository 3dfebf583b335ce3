//! The connections on which nodes hear are killed or overflow: nodes repair it, and no client notices.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidegate_gateway::settings::Naive as LeftOut;
use tidegate_testkit::proxy::{Fault, Proxy, feed};
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisServer, eventually_async};
use tokio::time::sleep;

use crate::naive::Naive;
use crate::publisher::Publisher;
use crate::stage::{Stage, all_done, disturbed, heard, naive_node, troubles};
use crate::support::peer::mib;
use crate::support::{PATIENCE, full, say};

/// Issue of the feed: an event is heard so soon after it was published, whatever became of the feed.
const HEARD: Duration = Duration::from_secs(6);

/// `CLIENT KILL TYPE pubsub`, and how many it killed.
async fn kill_feeds(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    let mut command = redis::cmd("CLIENT");
    command.arg("KILL").arg("TYPE").arg("pubsub");
    command.query_async(connection).await.expect("redis")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_are_killed_around_a_channels_last_event() {
    let redis = RedisServer::start().expect("redis");
    let stage = Stage::start(3, 6, &Stage::redis(&redis.url()));
    let good = stage.witnesses("witness", 30, 2, Habit::Resumes).await;
    let naive = Naive::subscribe(&redis.url(), &redis, &stage.channels).await;
    let no_repair = LeftOut { no_repair: true, ..LeftOut::default() };
    let (address, _, stop) = naive_node(&redis.url(), no_repair).await;
    let unrepaired = stage.witnesses_at(vec![address], "unrepaired", 6, 2, Habit::Resumes).await;
    let port = redis.port();
    let publisher = Publisher::new(&stage.book, move || Some(port));
    publisher.publish(&stage.channels).await;
    let client = redis::Client::open(redis.url()).expect("an address");
    let mut killer = client.get_multiplexed_async_connection().await.expect("redis");

    let (phases, rounds) = if full() { (50, 20) } else { (4, 10) };
    let seed = 5;
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut kills, mut killed, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..phases {
        for _ in 0..rounds {
            let channel = &stage.channels[dice.random_range(0..stage.channels.len())];
            let pauses = [0, 1].map(|_| Duration::from_micros(dice.random_range(0..3000)));
            let publish = async {
                sleep(pauses[0]).await;
                publisher.publish([channel]).await
            };
            let kill = async {
                sleep(pauses[1]).await;
                kill_feeds(&mut killer).await
            };
            killed += tokio::join!(publish, kill).1;
            kills += 1;
            sleep(Duration::from_millis(dice.random_range(0..60))).await;
        }
        // Nothing comes after it that could show the hole.
        let quiet = Instant::now();
        let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
        let _ = tokio::time::timeout(HEARD * 2, async {
            while !all_done(&good, &lineages) {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        slowest = slowest.max(quiet.elapsed());
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.judge(&good, &lineages);
    let delays = good.iter().flat_map(|one| stage.with_book(|book| one.look(|log| book.delays(log))));
    let longest = delays.max().unwrap_or_default();
    let control = stage.judge_logs(&[naive.log()], &lineages);
    say(&format!(
        "CLIENT KILL: {kills} (seed {seed}), {killed} connections killed, {} deliveries, the longest after {longest:.1?}, \
         last events after {slowest:.1?} at most; connections and subscriptions ended: {:?}: {verdict}",
        heard(&good),
        disturbed(&good)
    ));
    say(&format!("CLIENT KILL, control: a subscriber that redis-rs subscribes again: lost {}", control.lost));
    let without = stage.judge(&unrepaired, &lineages);
    let missed = without.lost + without.skips;
    say(&format!("CLIENT KILL, control: the same node without repairs: lost or skipped {missed}"));
    stop.cancel();
    assert!(missed > 0, "{without}");
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&good));
    assert_eq!(disturbed(&good), (0, 0), "no client notices\n{:?}", troubles(&good));
    assert!(longest < HEARD, "{longest:?}");
    assert!(killed > kills, "nodes came back between kills: {killed} of {kills}");
    assert!(control.lost > 0, "{control}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_overflows_at_redis_is_repaired_within_bounds() {
    const LIMIT: u64 = 64 << 20;
    let redis =
        RedisServer::start_with(&["--client-output-buffer-limit", "pubsub 1mb 1mb 0"]).expect("redis");
    let proxy = Proxy::start(redis.port());
    let stage = Stage::start(1, 4, &Stage::redis(&proxy.redis_url()));
    let good = stage.witnesses("witness", 6, 2, Habit::Resumes).await;
    let naive = Naive::subscribe(&proxy.redis_url(), &redis, &stage.channels).await;
    let port = redis.port();
    let publisher = Publisher::new(&stage.book, move || Some(port)).padded(8 << 10);
    publisher.publish(&stage.channels).await;
    let before = stage.nodes[0].usage().memory;
    let (rounds, mut peak) = (if full() { 10 } else { 1 }, 0);
    let both_hear = async || {
        stage.channels.iter().all(|channel| {
            let told = redis.cli(&["PUBSUB", "NUMSUB", &format!("tg:{{{channel}}}")]);
            told.is_ok_and(|told| told.split_whitespace().last() == Some("2"))
        })
    };
    for _ in 0..rounds {
        eventually_async(PATIENCE, "the node and the control hear", both_hear).await;
        // The node reads nothing for a while: what the kernels do not hold is Redis', and above 1 MB it cuts the feed.
        proxy.set(feed, Fault::Hold);
        let mut flooding = std::pin::pin!(async {
            for _ in 0..500 {
                publisher.publish(&stage.channels).await;
            }
        });
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            tokio::select! {
                () = &mut flooding => break,
                _ = ticks.tick() => peak = peak.max(stage.nodes[0].usage().memory),
            }
        }
        proxy.heal();
        let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
        let deadline = Instant::now() + PATIENCE;
        while !all_done(&good, &lineages) && Instant::now() < deadline {
            peak = peak.max(stage.nodes[0].usage().memory);
            sleep(Duration::from_millis(10)).await;
        }
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.judge(&good, &lineages);
    let grown = peak.saturating_sub(before);
    let control = stage.judge_logs(&[naive.log()], &lineages);
    let mut redis = redis;
    let cuts = redis.process().log().matches("overcoming of output buffer limits").count();
    say(&format!(
        "output buffer of 1 MB overflows: {} events of 8 KiB, Redis cut {cuts} connections, memory of the node grew by {} at most; \
         connections and subscriptions ended: {:?}: {verdict}",
        stage.with_book(|book| book.count()),
        mib(grown),
        disturbed(&good)
    ));
    say(&format!(
        "output buffer, control: a subscriber that redis-rs subscribes again: lost {}",
        control.lost
    ));
    // What was held back comes at once: who cannot take it is closed as slow, and comes back with its position.
    assert!(cuts >= 2 * rounds, "Redis has cut both feeds each time: {cuts}");
    assert!(control.lost > 0, "{control}");
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&good));
    assert!(grown < LIMIT, "{}", mib(grown));
}
