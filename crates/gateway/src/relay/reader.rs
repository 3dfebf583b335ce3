//! Reading from histories: what all lanes ask for, in few round trips.
//!
//! Questions that are ready together leave together. It must not know what a place makes of an answer.

use std::sync::Arc;
use std::time::Duration;

use tidegate_broker::{History, HistoryError, Query, Read, Since as From};
use tidegate_core::place::{Answer, Failure, ReadId, Since};
use tidegate_core::{ChannelName, Position};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::BROKER_DEADLINE;
use super::broker::AnyBroker;
use super::mailbox::Mailbox;
use super::order::{Order, Top, Whose};

/// Questions in one round trip. A read brings at most a page, so this bounds what is in memory at once.
const BATCH: usize = 64;
/// Round trips under way at once. Questions wait above.
const IN_FLIGHT: usize = 4;
/// Questions to the topology at once. One more is left out: its place asks again with the next check.
const SEEKS: usize = 16;
/// How long the topology may take to say who is master; asked again with the next check then.
const SEEK_DEADLINE: Duration = Duration::from_secs(2);

/// What a lane asks.
pub(super) struct Question {
    /// The lane.
    pub(super) to: Arc<Mailbox<Order>>,
    pub(super) what: What,
}

pub(super) enum What {
    Read {
        whose: Whose,
        id: ReadId,
        since: Since,
        count: usize,
    },
    Begin {
        whose: Whose,
        id: ReadId,
    },
    /// Lets positions live on; nobody waits for it.
    Renew(ChannelName),
    /// Where the tops are, and where the places were.
    Tops(Vec<(Whose, Position)>),
    /// Is the server that is heard and asked the channel's master?
    Seek(Whose),
}

/// The questions of all lanes. Bounded by the places: each has one read of its own in flight, and one for each
/// position its newcomers ask from.
pub(super) type Questions = Mailbox<Question>;

/// Asks until it is dropped.
pub(super) async fn run(questions: Arc<Questions>, broker: Arc<AnyBroker>) {
    let mut waiting = Vec::new();
    let mut trips = JoinSet::new();
    let mut seeks = JoinSet::new();
    loop {
        while trips.len() >= IN_FLIGHT {
            trips.join_next().await;
        }
        while trips.try_join_next().is_some() {}
        while seeks.try_join_next().is_some() {}
        if waiting.is_empty() {
            questions.take(&mut waiting).await;
        }
        let rest = waiting.split_off(waiting.len().min(BATCH));
        let mut batch = std::mem::replace(&mut waiting, rest);
        for Question { to, what } in batch.extract_if(.., |question| matches!(question.what, What::Seek(_))) {
            if let What::Seek(whose) = what
                && seeks.len() < SEEKS
            {
                seeks.spawn(seek(to, whose, Arc::clone(&broker)));
            }
        }
        if !batch.is_empty() {
            trips.spawn(ask(batch, Arc::clone(&broker)));
        }
    }
}

/// One of each kind of question at a time, all kinds at once.
async fn ask(batch: Vec<Question>, broker: Arc<AnyBroker>) {
    let (mut reads, mut begins, mut renews, mut tops) = (vec![], vec![], vec![], vec![]);
    for Question { to, what } in batch {
        match what {
            What::Read { whose, id, since, count } => reads.push((to, whose, id, since, count)),
            What::Begin { whose, id } => begins.push((to, whose, id)),
            What::Renew(channel) => renews.push(channel),
            What::Tops(places) => tops.push((to, places)),
            What::Seek(_) => {} // asked apart: the topology may take its time
        }
    }
    let broker = &*broker;
    tokio::join!(read(reads, broker), begin(begins, renews, broker), look(tops, broker));
}

type Reads = Vec<(Arc<Mailbox<Order>>, Whose, ReadId, Since, usize)>;

async fn read(reads: Reads, broker: &AnyBroker) {
    if reads.is_empty() {
        return;
    }
    let queries = reads.iter().map(|(_, whose, _, since, count)| Query {
        channel: whose.channel.clone(),
        since: match *since {
            Since::Now => From::Now,
            Since::At(position) => From::Position(position),
            Since::Last(n) => From::Last(u32::try_from(n).unwrap_or(u32::MAX)),
        },
        count: if *since == Since::Now { 0 } else { u32::try_from(*count).unwrap_or(u32::MAX) },
    });
    let answers = timeout(BROKER_DEADLINE, broker.read(queries.collect())).await;
    let mut answers = answers.unwrap_or_default().into_iter();
    for (to, whose, id, ..) in reads {
        let answer = match answers.next() {
            Some(Ok(Some(read))) => Ok(answer(read)),
            Some(Ok(None)) => Err(Failure::Missing),
            Some(Err(HistoryError::TryAgain(_))) => Err(Failure::TryAgain),
            Some(Err(error)) => {
                broker.note_unread(&error);
                Err(Failure::Unavailable)
            }
            None => Err(Failure::Unavailable),
        };
        to.push(Order::Answer(whose, id, answer));
    }
}

fn answer(read: Read) -> Answer {
    let Read { epoch, offset, start, end, lost, ahead, events } = read;
    Answer { epoch, offset, start, end, lost, ahead, events }
}

async fn begin(
    begins: Vec<(Arc<Mailbox<Order>>, Whose, ReadId)>,
    renews: Vec<ChannelName>,
    broker: &AnyBroker,
) {
    if begins.is_empty() && renews.is_empty() {
        return;
    }
    let channels = begins.iter().map(|(_, whose, _)| whose.channel.clone()).chain(renews).collect();
    let answers = timeout(BROKER_DEADLINE, broker.begin(channels)).await.unwrap_or_default();
    let mut answers = answers.into_iter();
    for (to, whose, id) in begins {
        let begun = answers.next();
        if let Some(Err(error)) = &begun {
            broker.note_unread(error);
        }
        to.push(Order::Begun(whose, id, matches!(begun, Some(Ok(())))));
    }
}

type Looks = Vec<(Arc<Mailbox<Order>>, Vec<(Whose, Position)>)>;

async fn look(asked: Looks, broker: &AnyBroker) {
    for (to, places) in asked {
        let channels = places.iter().map(|(whose, _)| whose.channel.clone()).collect();
        let answers = timeout(BROKER_DEADLINE, broker.tops(channels)).await.unwrap_or_default();
        let found = places
            .into_iter()
            .zip(answers)
            .filter_map(|((whose, asked_at), answer)| Some(Top { whose, asked_at, found: answer.ok()? }));
        to.push(Order::Tops(found.collect()));
    }
}

async fn seek(to: Arc<Mailbox<Order>>, whose: Whose, broker: Arc<AnyBroker>) {
    if timeout(SEEK_DEADLINE, broker.confirm(&whose.channel)).await == Ok(true) {
        to.push(Order::Confirmed(whose));
    }
}
