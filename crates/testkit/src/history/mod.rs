//! Nothing lost: judges clients of channels with history by what they were told.
//!
//! Publishers write into a [`Ledger`], clients keep a [`Log`] of every frame, and [`judge`] compares the two afterwards. It
//! knows neither doors nor time, and nothing of how a node works: positions are its only words.

mod ledger;
mod lineage;
mod log;
mod names;
mod replay;
mod verdict;

pub use ledger::{Ledger, key_of, number_in, payload_of};
pub use lineage::Lineage;
pub use log::{Line, Log, Told};
pub use verdict::{Verdict, judge};

#[cfg(test)]
mod tests;
