//! What a lane takes at once, sorted by channel: so each is delivered to once, in one write.
//!
//! It must not know who hears.

use std::collections::HashMap;

use tidegate_broker::News;
use tidegate_core::{ChannelName, Event};

/// News of one batch.
pub(super) struct Groups {
    /// Events by channel, in the order of their first; the order inside a channel is kept.
    pub(super) events: Vec<(ChannelName, Vec<Event>)>,
    /// What is no event comes behind: places look for what is missing in any case.
    pub(super) rest: Vec<News>,
}

impl Groups {
    pub(super) fn of(news: impl Iterator<Item = News>) -> Self {
        let mut groups = Self { events: Vec::new(), rest: Vec::new() };
        // Where each channel is, from the second one on: most batches of a quiet node have one.
        let mut index: HashMap<ChannelName, usize> = HashMap::new();
        for news in news {
            match news {
                News::Event(channel, event) => groups.add(&mut index, channel, event),
                other => groups.rest.push(other),
            }
        }
        groups
    }

    fn add(&mut self, index: &mut HashMap<ChannelName, usize>, channel: ChannelName, event: Event) {
        let count = self.events.len();
        if let Some((last, events)) = self.events.last_mut()
            && *last == channel
        {
            return events.push(event); // bursts: no look-up
        }
        if count == 1 {
            index.insert(self.events[0].0.clone(), 0);
        }
        let at = if count == 0 { 0 } else { *index.entry(channel.clone()).or_insert(count) };
        match self.events.get_mut(at) {
            Some((_, events)) => events.push(event),
            None => self.events.push((channel, vec![event])),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_broker::Shard;
    use tidegate_core::Payload;

    use super::*;

    #[test]
    fn each_channel_has_its_events_in_order() {
        let news = |(channel, text): (&str, &'static str)| {
            let event = Event::live(Payload::new(Bytes::from_static(text.as_bytes())));
            News::Event(channel.parse().expect("a name"), event)
        };
        let events = [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("c", "5"), ("b", "6"), ("c", "7")];
        let groups = Groups::of(events.into_iter().map(news).chain([News::Up(Shard(0))]));
        let texts = |(name, events): &(ChannelName, Vec<Event>)| {
            let texts: Vec<_> = events.iter().filter_map(|event| event.payload.text()).collect();
            format!("{name}: {}", texts.join(" "))
        };
        let told: Vec<_> = groups.events.iter().map(texts).collect();
        assert_eq!(told, ["a: 1 2 4", "b: 3 6", "c: 5 7"]);
        assert_eq!(groups.rest, [News::Up(Shard(0))]);
    }
}
