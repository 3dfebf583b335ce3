//! What Redis holds for the nodes: channels that are subscribed to, and keys, by namespace.

use std::collections::BTreeMap;

use tidegate_testkit::RedisServer;

/// Counts by namespace: the part of a name before its colon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) channels: BTreeMap<String, usize>,
    pub(crate) keys: BTreeMap<String, usize>,
}

impl Holdings {
    pub(crate) fn of(redis: &RedisServer) -> Self {
        let count = |names: String| {
            let mut counts = BTreeMap::new();
            for namespace in names.lines().filter_map(namespace) {
                *counts.entry(namespace.to_owned()).or_default() += 1;
            }
            counts
        };
        Self {
            channels: count(redis.cli(&["PUBSUB", "CHANNELS", "tg:*"]).expect("redis")),
            // Not DBSIZE: that counts keys whose time is over, too.
            keys: count(redis.cli(&["--scan", "--pattern", "tg:*"]).expect("redis")),
        }
    }

    pub(crate) fn channels(&self, namespace: &str) -> usize {
        self.channels.get(namespace).copied().unwrap_or(0)
    }

    pub(crate) fn keys(&self, namespace: &str) -> usize {
        self.keys.get(namespace).copied().unwrap_or(0)
    }
}

/// Of `tg:{room:1}:log`: `room`.
fn namespace(name: &str) -> Option<&str> {
    Some(name.split_once(":{")?.1.split_once(':')?.0)
}

#[test]
fn a_name_is_counted_in_its_namespace() {
    assert_eq!(namespace("tg:{room:1}:log"), Some("room"));
    assert_eq!(namespace("tg:canary"), None);
}
