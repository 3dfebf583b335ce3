//! A feed whose connection answers, and hears nothing. Durable events would be found by the look at the tops every 5 s; live ones
//! come again only if somebody finds out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidegate_gateway::settings::Naive;
use tidegate_testkit::proxy::{Fault, Proxy, feed};
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisServer, eventually_async};
use tokio::time::sleep;

use crate::publisher::Publisher;
use crate::stage::{Stage, disturbed, heard, is_ready, naive_node, troubles};
use crate::support::backend::{Backend, Book};
use crate::support::listener::{Door, Habit as OldHabit, Listener};
use crate::support::{PATIENCE, admin, say};

/// A deaf feed is known, replaced and repaired so soon.
const UNDEAF: Duration = Duration::from_secs(12);
const LIVE: &str = "live:0";

fn says_ready(admin: SocketAddr) -> bool {
    let request = "GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tokio::task::block_in_place(|| admin::ask(admin, request)).is_ok_and(|(status, _)| status == 200)
}

/// How many feeds and publishers the node has replaced.
fn reconnects(stage: &Stage) -> u64 {
    tokio::task::block_in_place(|| {
        admin::metric(&stage.nodes[0], "tidegate_redis_reconnects_total{shard=\"0\"}")
    })
}

async fn live(address: SocketAddr, book: &Book) -> Listener {
    Listener::open("live", Door::Json, OldHabit::ComesBack, address, &[LIVE.to_owned()], book).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_answers_and_hears_nothing_is_replaced() {
    let redis = RedisServer::start().expect("redis");
    let (proxy, other) = (Proxy::start(redis.port()), Proxy::start(redis.port()));
    let stage = Stage::start(1, 4, &Stage::redis(&proxy.redis_url()));
    let (control, control_admin, stop) =
        naive_node(&other.redis_url(), Naive { no_canary: true, ..Naive::default() }).await;
    eventually_async(PATIENCE, "the control is ready", async || says_ready(control_admin)).await;
    let good = stage.witnesses("witness", 12, 2, Habit::Resumes).await;
    let book = Book::default();
    let (ours, naive) = (live(stage.nodes[0].public_addr(), &book).await, live(control, &book).await);
    let count = |listener: &Listener| listener.count(|_| true);
    let port = redis.port();
    let flow = Publisher::new(&stage.book, move || Some(port)).flow(&stage.channels, 100);
    let mut backend = Backend::connect(&redis, &book).await;
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let live_flow = tokio::spawn(async move {
        while !end.load(Ordering::Relaxed) {
            backend.publish([&LIVE.to_owned()]).await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    eventually_async(PATIENCE, "events flow", async || heard(&good) > 200 && count(&naive) > 10).await;

    let (deaf, replaced_before) = (Instant::now(), reconnects(&stage));
    for proxy in [&proxy, &other] {
        let until = proxy.counts().accepted;
        proxy.set(move |link| feed(link) && link.number() < until, Fault::SwallowPushes);
    }
    sleep(Duration::from_millis(200)).await; // what was on its way has arrived
    let (before, naive_before) = (count(&ours), count(&naive));
    // It is not ready until a new feed stands and its channels are repaired: here that takes some 10 ms, which a poll may miss.
    let replaced = async || reconnects(&stage) > replaced_before || !is_ready(&stage.nodes[0]);
    eventually_async(UNDEAF, "the node finds that it is deaf", replaced).await;
    let known = deaf.elapsed();
    eventually_async(UNDEAF, "the node is ready again", async || is_ready(&stage.nodes[0])).await;
    eventually_async(UNDEAF, "live events are heard again", async || count(&ours) > before).await;
    let back = deaf.elapsed();
    sleep(UNDEAF.saturating_sub(deaf.elapsed())).await;
    let starved = (count(&naive) == naive_before, says_ready(control_admin));
    flow.stop().await;
    ended.store(true, Ordering::Relaxed);
    live_flow.await.expect("it publishes to its end");
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.verdict(&good, &lineages, PATIENCE).await;
    let delays = good.iter().flat_map(|one| stage.with_book(|book| one.look(|log| book.delays(log))));
    let longest = delays.max().unwrap_or_default();
    say(&format!(
        "feed that answers and hears nothing: {} pushes swallowed; found after {known:.1?}, live events heard again after {back:.1?}, \
         the longest durable one took {longest:.1?}: {verdict}",
        proxy.counts().swallowed_pushes
    ));
    say(&format!(
        "feed that answers and hears nothing, control: without a canary: heard nothing for {:.0?}: {}, and says it is ready: {}",
        deaf.elapsed(),
        starved.0,
        starved.1
    ));
    assert!(verdict.none() && verdict.told + verdict.died == 0, "{verdict}\n{:?}", troubles(&good));
    assert_eq!(disturbed(&good), (0, 0), "no client notices");
    assert!(
        proxy.counts().swallowed_pushes > 0 && back <= UNDEAF && longest <= UNDEAF,
        "{back:?} {longest:?}"
    );
    assert_eq!(starved, (true, true), "the control starves, and does not know it");
    stop.cancel();
}
