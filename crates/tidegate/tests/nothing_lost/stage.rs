//! The stage of a run: nodes over one Redis, witnesses, the book of what was published, and the verdict.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_gateway::Gateway;
use tidegate_gateway::settings::{List, Naive, Settings};
use tidegate_testkit::history::{Ledger, Lineage, Log, Told, Verdict, judge};
use tidegate_testkit::witness::{Door, Errand, Habit, Witness};
use tidegate_testkit::{Node, eventually, eventually_async};
use tokio_util::sync::CancellationToken;

use crate::publisher::Book;
use crate::support::peer::percentile;
use crate::support::{BINARY, PATIENCE, admin};

/// The namespace of these tests.
pub(crate) const CONFIG: &str = r#"
[namespaces.room]
publish = "anyone"
history = { size = 10000, ttl = "1h" }
dedupe_ttl = "5m"
"#;

/// The same node in this process, that leaves something out: its doors, its admin port, and what ends it.
pub(crate) async fn naive_node(url: &str, naive: Naive) -> (SocketAddr, SocketAddr, CancellationToken) {
    let mut settings: Settings = toml::from_str(CONFIG).expect("settings");
    settings.server.listen = List(vec!["127.0.0.1:0".into()]);
    settings.server.admin = "127.0.0.1:0".into();
    settings.redis.url = Some(url.to_owned());
    settings.naive = naive;
    let gateway = Gateway::start(settings).await.expect("it starts");
    let (public, admin) = (gateway.addresses().public[0], gateway.addresses().admin);
    let shutdown = CancellationToken::new();
    tokio::spawn(gateway.run(shutdown.clone()));
    (public, admin, shutdown)
}

/// What stands behind the nodes is the test's.
pub(crate) struct Stage {
    pub(crate) nodes: Vec<Node>,
    pub(crate) book: Book,
    pub(crate) channels: Vec<String>,
}

impl Stage {
    /// So many ready nodes; `config` says which Redis.
    pub(crate) fn start(nodes: usize, channels: usize, config: &str) -> Self {
        let start = |n| {
            let config = format!("{config}\n{CONFIG}");
            Node::builder(BINARY).name(&format!("node {n}")).config(&config).start().expect("a node")
        };
        let nodes: Vec<Node> = (1..=nodes).map(start).collect();
        for node in &nodes {
            eventually(PATIENCE, "the node is ready", || is_ready(node));
        }
        let channels = (0..channels).map(|n| format!("room:{n}")).collect();
        Self { nodes, book: Book::default(), channels }
    }

    /// `[redis]` with this address.
    pub(crate) fn redis(url: &str) -> String {
        format!("[redis]\nurl = {url:?}\n")
    }

    /// Witnesses of both doors at all nodes, `each` channels for every one; returns once all are subscribed.
    pub(crate) async fn witnesses(
        &self,
        name: &str,
        count: usize,
        each: usize,
        habit: Habit,
    ) -> Vec<Witness> {
        let nodes: Vec<_> = self.nodes.iter().map(Node::public_addr).collect();
        self.witnesses_at(nodes, name, count, each, habit).await
    }

    /// The same at other nodes.
    pub(crate) async fn witnesses_at(
        &self,
        nodes: Vec<SocketAddr>,
        name: &str,
        count: usize,
        each: usize,
        habit: Habit,
    ) -> Vec<Witness> {
        let errand = |n: usize| Errand {
            name: format!("{name} {n}"),
            door: if n % 3 == 2 { Door::Sse } else { Door::Native },
            habit,
            nodes: nodes.clone(),
            first: n,
            channels: (0..each).map(|k| self.channels[(n + 3 * k) % self.channels.len()].clone()).collect(),
        };
        let witnesses: Vec<Witness> = (0..count).map(|n| Witness::send_out(errand(n))).collect();
        self.until_there(&witnesses).await;
        witnesses
    }

    /// Waits until all are subscribed to all that they want.
    pub(crate) async fn until_there(&self, witnesses: &[Witness]) {
        let all = async || witnesses.iter().all(Witness::is_there);
        let wait = tokio::time::timeout(PATIENCE, eventually_async(PATIENCE * 2, "all are subscribed", all));
        if wait.await.is_err() {
            let lost = witnesses.iter().find(|witness| !witness.is_there()).expect("one");
            panic!("not subscribed within {PATIENCE:?}: {} {:?}", lost.log().client, lost.troubles());
        }
    }

    /// The history of each channel, as a Redis tells it.
    pub(crate) fn lineages(&self, ask: impl Fn(&str) -> Option<Lineage>) -> BTreeMap<String, Lineage> {
        self.channels.iter().filter_map(|name| Some((name.clone(), ask(name)?))).collect()
    }

    /// Waits until every witness stands where its channels end, or for too long; the verdict comes either way.
    pub(crate) async fn verdict(
        &self,
        witnesses: &[Witness],
        lineages: &BTreeMap<String, Lineage>,
        patience: Duration,
    ) -> Verdict {
        let deadline = Instant::now() + patience;
        while !all_done(witnesses, lineages) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.judge(witnesses, lineages)
    }

    /// The verdict of what is known now.
    pub(crate) fn judge(&self, witnesses: &[Witness], lineages: &BTreeMap<String, Lineage>) -> Verdict {
        self.judge_logs(&witnesses.iter().map(Witness::log).collect::<Vec<_>>(), lineages)
    }

    /// Likewise, of these logs.
    pub(crate) fn judge_logs(&self, logs: &[Log], lineages: &BTreeMap<String, Lineage>) -> Verdict {
        judge(&self.book.lock().expect("whole"), lineages, logs)
    }

    /// Looks into the book.
    pub(crate) fn with_book<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.book.lock().expect("whole"))
    }
}

pub(crate) fn is_ready(node: &Node) -> bool {
    admin::get(node, "/health/ready").0 == 200
}

/// Whether every witness is subscribed and stands where its channels end.
pub(crate) fn all_done(witnesses: &[Witness], lineages: &BTreeMap<String, Lineage>) -> bool {
    witnesses.iter().all(|witness| {
        let channels = witness.look(|log| log.channels.clone());
        let done = |(at, name): (usize, &String)| match lineages.get(name) {
            Some(lineage) => witness.stands_at(at) == Some(lineage.top),
            None => true,
        };
        channels.iter().enumerate().all(done)
    })
}

/// How many connections were ended, and how many subscriptions.
pub(crate) fn disturbed(witnesses: &[Witness]) -> (usize, usize) {
    let count = |is_so: fn(&Told) -> bool| -> usize {
        witnesses.iter().map(|witness| witness.look(|log| log.count(is_so))).sum()
    };
    (count(|told| matches!(told, Told::Closed(_))), count(|told| matches!(told, Told::Ended { .. })))
}

/// How many events were heard.
pub(crate) fn heard(witnesses: &[Witness]) -> usize {
    let is_event = |told: &Told| matches!(told, Told::Event { .. });
    witnesses.iter().map(|witness| witness.look(|log| log.count(is_event))).sum()
}

/// The times it took to be back in all channels: half, 99 of 100, the longest.
pub(crate) fn resumes(witnesses: &[Witness]) -> (usize, [Duration; 3]) {
    let mut times: Vec<Duration> = witnesses.iter().flat_map(|witness| witness.look(Log::resumes)).collect();
    (times.len(), [50, 99, 100].map(|percent| percentile(&mut times, percent)))
}

/// The troubles of all, the first few.
pub(crate) fn troubles(witnesses: &[Witness]) -> Vec<String> {
    witnesses.iter().flat_map(Witness::troubles).take(8).collect()
}
