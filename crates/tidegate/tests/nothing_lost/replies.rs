//! Replies that are lost on their way: who published does not know, and tries again.

use std::sync::Arc;
use std::time::Duration;

use tidegate_testkit::history::Verdict;
use tidegate_testkit::proxy::{Fault, Proxy, all};
use tidegate_testkit::witness::Habit;
use tidegate_testkit::{RedisServer, eventually};
use tokio::time::sleep;

use crate::publisher::{Care, Publisher};
use crate::stage::{Stage, is_ready, troubles};
use crate::support::{PATIENCE, full, say};

/// 20 % of replies lost, Redis restarted in the middle. The verdict, the events and the replies that were lost.
async fn with_lost_replies(care: Care, restarts: bool, length: Duration) -> (Verdict, usize, u64) {
    let seed = 7;
    let mut redis = RedisServer::start().expect("redis");
    let proxy = Arc::new(Proxy::start(redis.port()));
    proxy.set(all, Fault::LoseReplies { percent: 20, seed });
    let stage = Stage::start(2, 4, &Stage::redis(&redis.url()));
    let witnesses = stage.witnesses("witness", 12, 2, Habit::Resumes).await;
    let port = proxy.port();
    let flow = Publisher::new(&stage.book, move || Some(port)).with(care).flow(&stage.channels, 100);
    sleep(length / 2).await;
    if restarts {
        let snapshot = redis.snapshot().expect("saved");
        sleep(Duration::from_millis(200)).await; // these die
        redis.start_from(&snapshot).expect("redis");
    }
    sleep(length / 2).await;
    flow.stop().await;
    for node in &stage.nodes {
        eventually(PATIENCE, "the node is ready", || is_ready(node));
    }
    let lineages = stage.lineages(|channel| redis.lineage(channel).expect("redis"));
    let verdict = stage.verdict(&witnesses, &lineages, PATIENCE).await;
    assert!(care == Care::NoKey || verdict.none(), "{verdict}\n{:?}", troubles(&witnesses));
    let (count, acknowledged) = stage.with_book(|book| (book.count(), book.acknowledged()));
    assert_eq!(count, acknowledged, "every publisher was answered in the end");
    (verdict, count, proxy.counts().lost_replies)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_of_the_replies_is_lost_and_nothing_is_heard_twice() {
    let length = Duration::from_secs(if full() { 30 } else { 4 });
    let (verdict, count, lost) = with_lost_replies(Care::Key, true, length).await;
    say(&format!(
        "20 % of replies lost, Redis restarted in between: {count} events, {lost} replies lost: {verdict}"
    ));
    assert!(lost > 20 && verdict.told == 0, "{lost} {verdict}");
    let (control, count, lost) = with_lost_replies(Care::NoKey, false, length / 2).await;
    say(&format!(
        "20 % of replies lost, control: tried again without keys: {count} events, {lost} replies lost: twice {}",
        control.twice
    ));
    assert!(control.twice > 0 && control.lost + control.wrong == 0, "{control}");
}
