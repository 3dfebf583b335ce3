//! The laws of the hub.

use std::cell::{Cell, RefCell};

use super::*;

fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

fn heard(hub: &Hub<u32>, batch: Option<Batch>) -> Vec<u32> {
    let mut heard = Vec::new();
    if let Some(mut batch) = batch {
        while hub.deliver(&mut batch, 2, |_, &s| heard.push(s)) {}
    }
    heard
}

#[test]
fn a_seat_hears_only_after_it_was_attached() {
    let hub = Hub::new(4);
    let chat = name("chat:1");
    let a = hub.join(&chat, 1).seat;
    assert_eq!(heard(&hub, hub.open_batch(&chat)), [] as [u32; 0]);
    hub.attach(a, || ());
    assert_eq!(heard(&hub, hub.open_batch(&chat)), [1]);
    assert_eq!(heard(&hub, hub.open_batch(&name("chat:2"))), [] as [u32; 0]);
}

#[test]
fn who_comes_later_does_not_hear_an_open_batch() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let a = hub.join(&chat, 1).seat;
    hub.attach(a, || ());
    let batch = hub.open_batch(&chat);
    let b = hub.join(&chat, 2).seat;
    hub.attach(b, || ());
    assert_eq!(heard(&hub, batch), [1]);
    assert_eq!(heard(&hub, hub.open_batch(&chat)), [1, 2]);
}

#[test]
fn a_batch_on_its_way_never_reaches_the_channel_that_took_its_index() {
    let hub = Hub::new(1);
    let (old, new) = (name("old"), name("new"));
    let a = hub.join(&old, 1).seat;
    hub.attach(a, || ());
    let batch = hub.open_batch(&old);
    hub.leave(a);
    assert!(hub.retire(&old));
    let b = hub.join(&new, 2).seat;
    hub.attach(b, || ());
    assert_eq!(b.channel(), a.channel(), "the index is taken over");
    assert_eq!(heard(&hub, batch), [] as [u32; 0]);
}

#[test]
fn the_reply_is_placed_before_the_seat_hears() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let log = RefCell::new(Vec::new());
    let seat = hub.join(&chat, 7).seat;
    hub.attach(seat, || log.borrow_mut().push("subscribed"));
    let mut batch = hub.open_batch(&chat).unwrap();
    hub.deliver(&mut batch, 9, |_, _| log.borrow_mut().push("event"));
    assert_eq!(*log.borrow(), ["subscribed", "event"]);
}

#[test]
fn the_last_to_leave_is_told_the_name_and_the_channel_lingers() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let (a, b) = (hub.join(&chat, 1).seat, hub.join(&chat, 2).seat);
    hub.confirm(&chat);
    assert_eq!(hub.leave(a), None);
    assert!(!hub.retire(&chat), "somebody sits there");
    assert_eq!(hub.leave(b), Some(chat.clone()));
    assert!(hub.join(&chat, 3).live, "a lingering channel is still confirmed");
    assert_eq!((hub.channels(), hub.subscriptions()), (1, 1));
}

#[test]
fn a_retired_channel_starts_unconfirmed() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let a = hub.join(&chat, 1).seat;
    assert!(hub.confirm(&chat));
    hub.leave(a);
    assert!(hub.retire(&chat));
    assert!(!hub.confirm(&chat));
    assert!(!hub.join(&chat, 1).live);
}

#[test]
fn a_walk_that_pauses_reaches_everybody_once_while_others_come_and_go() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let seats: Vec<Seat> = (0..100)
        .map(|n| {
            let seat = hub.join(&chat, n).seat;
            hub.attach(seat, || ());
            seat
        })
        .collect();
    let mut batch = hub.open_batch(&chat).unwrap();
    let mut heard = Vec::new();
    let mut round = 0;
    while hub.deliver(&mut batch, 10, |_, &s| heard.push(s)) {
        hub.leave(seats[99 - round]);
        let late = hub.join(&chat, 1000).seat;
        hub.attach(late, || ());
        round += 1;
    }
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "nobody twice, nobody who came late: {heard:?}");
    let stayed = 100 - round as u32;
    assert!((0..stayed).all(|n| heard.contains(&n)), "everybody who stayed");
}

#[test]
fn a_muted_seat_hears_nothing_not_even_the_rest_of_an_open_batch() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let seats: Vec<Seat> = (1..4).map(|who| hub.join(&chat, who).seat).collect();
    seats.iter().for_each(|&seat| hub.attach(seat, || ()));
    let mut batch = hub.open_batch(&chat).unwrap();
    let mut told = Vec::new();
    assert!(hub.deliver(&mut batch, 1, |seat, &who| told.push((seat, who))));
    hub.mute(seats[1]);
    hub.deliver(&mut batch, 9, |seat, &who| told.push((seat, who)));
    assert_eq!(told, [(seats[0], 1), (seats[2], 3)]);
    assert_eq!(hub.name(seats[1].channel()), chat);
}

#[test]
fn a_muted_seat_is_neither_attached_nor_told_anything_any_more() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let (seat, told) = (hub.join(&chat, 1).seat, Cell::new(0));
    let tell = || told.set(told.get() + 1);
    hub.whisper(seat, tell);
    assert_eq!(told.get(), 1);
    hub.mute(seat);
    hub.whisper(seat, tell);
    hub.attach(seat, tell); // its last page was on the way when it left
    assert_eq!(told.get(), 1);
    assert_eq!(heard(&hub, hub.open_batch(&chat)), [] as [u32; 0]);
    assert_eq!(hub.leave(seat), Some(chat.clone()));
    let next = hub.join(&chat, 2).seat;
    assert_eq!(next, seat, "the seat is taken over");
    hub.attach(next, || ());
    assert_eq!(heard(&hub, hub.open_batch(&chat)), [2]);
}

#[test]
fn segments_of_a_batch_reach_everybody_once_whoever_takes_them_in_whatever_order() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    let seats: Vec<Seat> = (0..100).map(|who| hub.join(&chat, who).seat).collect();
    seats.iter().for_each(|&seat| hub.attach(seat, || ()));
    let mut batch = hub.open_batch(&chat).unwrap();
    assert_eq!(batch.seats(), 100);
    let mut segments = Vec::new();
    while let Some(segment) = batch.cut(30) {
        segments.push(segment);
        // Who comes and goes meanwhile is no part of it, wherever the seat is.
        hub.leave(seats[segments.len()]);
        for _ in 0..100 {
            let late = hub.join(&chat, 1000).seat;
            hub.attach(late, || ());
        }
    }
    let left = segments.len() as u32;
    let mut heard = Vec::new();
    for mut segment in segments.into_iter().rev() {
        while hub.deliver(&mut segment, 7, |_, &who| heard.push(who)) {}
    }
    heard.sort_unstable();
    assert!(heard.iter().copied().eq([0].into_iter().chain(left + 1..100)), "{heard:?}");
    assert!(!hub.deliver(&mut batch, 7, |_, _| panic!("all of it was cut off")));
}

#[test]
fn what_was_delivered_is_not_cut_off_again() {
    let hub = Hub::new(1);
    let chat = name("chat:1");
    for who in 0..5 {
        let seat = hub.join(&chat, who).seat;
        hub.attach(seat, || ());
    }
    let mut batch = hub.open_batch(&chat).unwrap();
    let mut heard = Vec::new();
    assert!(hub.deliver(&mut batch, 2, |_, &who| heard.push(who)));
    let mut rest = batch.cut(u32::MAX).unwrap();
    assert!(!hub.deliver(&mut batch, 9, |_, &who| heard.push(who)));
    assert!(!hub.deliver(&mut rest, 9, |_, &who| heard.push(who)));
    assert_eq!(heard, [0, 1, 2, 3, 4]);
}
