//! Nothing lost: clients of channels with history hear each event once and in order, or are told, whatever dies. Witnesses write
//! down every frame (`testkit/src/witness/`), a judge compares it with what was published (`testkit/src/history/`). Each test has
//! a control: the same run and judge with one naive habit, whose losses are printed beside ours.

#[path = "nothing_lost/deaf.rs"]
mod deaf;
#[path = "nothing_lost/feeds.rs"]
mod feeds;
#[path = "nothing_lost/naive.rs"]
mod naive;
#[path = "nothing_lost/nodes.rs"]
mod nodes;
#[path = "nothing_lost/publisher.rs"]
mod publisher;
#[path = "nothing_lost/publishers.rs"]
mod publishers;
#[path = "nothing_lost/replies.rs"]
mod replies;
#[path = "nothing_lost/snapshots.rs"]
mod snapshots;
#[path = "nothing_lost/stage.rs"]
mod stage;
#[path = "nothing_lost/storms.rs"]
mod storms;
mod support;
#[path = "nothing_lost/topologies.rs"]
mod topologies;
