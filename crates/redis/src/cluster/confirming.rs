//! Whether the Cluster itself, asked now, calls that server a name's master that we use.

use std::sync::Arc;

use futures_util::future::join;

use super::{Cluster, State};
use crate::FeedSink;
use crate::address::Address;
use crate::lookout::jury;
use crate::shard::Shard;

/// A name's master as the table has it.
struct Known<S> {
    shard: Arc<Shard<S>>,
    number: u16,
    id: String,
    address: Address,
}

impl<S: FeedSink> Cluster<S> {
    /// Whether most masters, asked now, name the server as the name's master that is heard and published to, and
    /// the name is subscribed nowhere else.
    pub(crate) async fn confirm(&self, name: &str) -> bool {
        let (known, masters) = {
            let state = self.shared.state.lock();
            let Some(known) = state.known(name) else { return false };
            let address = |member: &super::Member<S>| member.address.borrow().clone();
            (known, state.shards.values().filter_map(address).collect::<Vec<_>>())
        };
        let ask = async || jury::of_cluster(&masters, &self.shared.settings.patience).await;
        let (verdict, used) = join(self.verdicts.next(ask), known.shard.master()).await;
        let state = self.shared.state.lock();
        // Names and slots may have moved meanwhile.
        let is_unchanged = state.known(name).is_some_and(|now| {
            (now.number, &now.id, &now.address) == (known.number, &known.id, &known.address)
        });
        is_unchanged
            && verdict.owner(super::table::slot(name)) == Some(known.id.as_str())
            && used.as_ref() == Some(&known.address)
            && state.places.is_nowhere_but_on(known.number, name)
    }
}

impl<S> State<S> {
    fn known(&self, name: &str) -> Option<Known<S>> {
        let number = self.table.owner(name)?;
        let member = self.shards.get(&number)?;
        let address = member.address.borrow().clone()?;
        let (shard, id) = (Arc::clone(&member.shard), self.table.master(number)?.to_owned());
        Some(Known { shard, number, id, address })
    }
}
