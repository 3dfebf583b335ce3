//! What a connection's task has for a while only: seats on their way, an unfinished message, its end.
//!
//! Boxed, and given back when there is none of it: a connection that rests holds a pointer instead.

use std::pin::Pin;

use tidegate_core::Ticket;
use tidegate_core::hub::Seat;
use tokio::time::Sleep;

/// What passes.
#[derive(Default)]
pub(super) struct Passing {
    /// Seats whose channel the broker has not confirmed yet. Bounded by the session's open asks.
    pub(super) joining: Vec<(Ticket, Seat)>,
    /// The message that has begun and not ended.
    pub(super) assembly: Option<Assembly>,
    /// Ends a connection that does not finish closing.
    pub(super) closing: Option<Pin<Box<Sleep>>>,
}

/// A message on its way, by its number, and the second by which it must have come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assembly {
    pub(super) number: u16,
    pub(super) until_s: u32,
}

impl Passing {
    /// Gives it back if nothing is left in it.
    pub(super) fn tidy(this: &mut Option<Box<Self>>) {
        let is_over = |passing: &Self| {
            passing.joining.is_empty() && passing.assembly.is_none() && passing.closing.is_none()
        };
        if this.as_deref().is_some_and(is_over) {
            *this = None;
        }
    }
}
