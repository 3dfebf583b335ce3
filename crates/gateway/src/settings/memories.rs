//! From the namespaces' settings to what their channels remember.
//!
//! A declared namespace has rules of its own: it takes nothing from `default`.

use std::time::Duration;

use tidegate_broker::{HistoryRules, HistorySettings, LogRules};

use super::check::{SettingsError, error};
use super::{Durability, NamespaceSettings, Settings, Span};

/// Events that a channel may be told to remember.
const SIZES: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// What is remembered is remembered so long at least, and at most: Redis counts milliseconds.
const TIMES: (Span, Span) = (Span::seconds(1), Span::seconds(10 * 365 * 24 * 60 * 60));

/// Three looks of a node at its channels (`relay/keeper.rs`), and some delay: a position that ends before it is
/// renewed would be told to all subscribers as lost.
const SHORTEST_POSITION: Span = Span::seconds(15);

impl Settings {
    /// The rules of all namespaces.
    pub(super) fn memories(&self, max_event_bytes: usize) -> Result<HistorySettings, SettingsError> {
        let revision = self.server.settings_revision as u64; // a usize is never wider
        let mut all = HistorySettings { max_event_bytes, revision, ..HistorySettings::default() };
        let has_redis =
            self.redis.url.is_some() || !self.redis.cluster.is_empty() || self.redis.sentinel.is_some();
        for (name, settings) in &self.namespaces {
            let rules = rules(&format!("namespaces.{name}"), settings, has_redis)?;
            if name == "default" {
                all.default = rules;
            } else {
                all.namespaces.insert(name.clone(), rules);
            }
        }
        Ok(all)
    }
}

/// The rules of the namespace that is declared as `at`.
fn rules(at: &str, settings: &NamespaceSettings, has_redis: bool) -> Result<HistoryRules, SettingsError> {
    let position_ttl = time(&format!("{at}.position_ttl"), settings.position_ttl)?;
    let dedupe_ttl = time(&format!("{at}.dedupe_ttl"), settings.dedupe_ttl)?;
    let mut history = None;
    if let Some(section) = &settings.history {
        let size = u32::try_from(section.size).ok().filter(|size| SIZES.contains(size));
        let Some(size) = size else {
            let (least, most) = (SIZES.start(), SIZES.end());
            return error(format!(
                "{at}.history.size must be between {least} and {most}, not {}",
                section.size
            ));
        };
        let ttl = time(&format!("{at}.history.ttl"), section.ttl)?;
        if position_ttl < ttl {
            return error(format!(
                "{at}.position_ttl ({}) is shorter than {at}.history.ttl ({}): a channel must know its position \
                 as long as it has events",
                settings.position_ttl, section.ttl
            ));
        }
        if settings.position_ttl < SHORTEST_POSITION {
            return error(format!(
                "{at}.position_ttl must be at least {SHORTEST_POSITION} where there is history, not {}: nodes renew it \
                 every few seconds",
                settings.position_ttl
            ));
        }
        history = Some(LogRules { size, ttl });
    }
    let replicated = settings.durability == Durability::Replicated;
    if replicated && history.is_none() {
        return error(format!(
            "{at}.durability = \"replicated\" needs {at}.history: what is not kept has no replica"
        ));
    }
    if replicated && !has_redis {
        return error(format!(
            "{at}.durability = \"replicated\" needs Redis: set redis.url, redis.sentinel or redis.cluster \
             (a node that works from memory has no replica)"
        ));
    }
    Ok(HistoryRules { history, position_ttl, dedupe_ttl, replicated })
}

fn time(name: &str, span: Span) -> Result<Duration, SettingsError> {
    let (least, most) = TIMES;
    if span < least || span > most {
        return error(format!("{name} must be between 1s and 3650d, not {span}"));
    }
    Ok(span.get())
}
