//! The laws of the queue.

use bytes::Bytes;
use tidegate_core::Payload;

use super::*;

const A: &str = "a";
const B: &str = "b";

fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

fn event(channel: &str, payload: &str) -> News {
    News::Event(name(channel), Event::live(Payload::new(Bytes::copy_from_slice(payload.as_bytes()))))
}

fn queue(events: usize) -> EventQueue {
    EventQueue::new(QueueLimits { events, ..QueueLimits::default() })
}

/// Takes what is ready, written short: `a1` an event, `a!` a gap, `a~` one that moved, `+` up, `-` down.
fn take(queue: &EventQueue, most: usize) -> String {
    let mut news = Vec::new();
    queue.take_ready(most, &mut news);
    let short = |news: &News| match news {
        News::Event(channel, event) => format!("{channel}{}", event.payload.text().unwrap()),
        News::Gap(channel, GapCause::Overflowed) => format!("{channel}!"),
        News::Gap(channel, GapCause::Moved) => format!("{channel}~"),
        News::Up(_) => "+".to_owned(),
        News::Down(_) => "-".to_owned(),
    };
    news.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn one_gap_stands_where_the_lost_events_would_have_stood() {
    let queue = queue(2);
    for (channel, payload) in [(A, "1"), (B, "1")] {
        queue.push(event(channel, payload)).unwrap();
    }
    assert_eq!(queue.push(event(A, "2")), Err(QueueFull));
    assert_eq!(queue.push(event(A, "3")), Err(QueueFull));
    assert_eq!(queue.push(event(B, "2")), Err(QueueFull));
    assert_eq!(queue.dropped(), 3);
    assert_eq!(take(&queue, 1), "a1");
    queue.push(event(A, "4")).unwrap();
    assert_eq!(queue.push(event(A, "5")), Err(QueueFull));
    assert_eq!(take(&queue, 9), "b1 a! b! a4 a!");
}

#[test]
fn a_taken_gap_does_not_hide_the_next() {
    let queue = queue(1);
    queue.push(event(A, "1")).unwrap();
    queue.push(event(A, "2")).unwrap_err();
    assert_eq!(take(&queue, 1), "a1");
    queue.push(event(A, "3")).unwrap();
    queue.push(event(A, "4")).unwrap_err();
    assert_eq!(take(&queue, 1), "a!"); // the first; the second still stands behind a3
    queue.push(event(A, "5")).unwrap_err();
    assert_eq!(take(&queue, 9), "a3 a!");
    queue.push(event(A, "6")).unwrap();
    queue.push(event(A, "7")).unwrap_err();
    assert_eq!(take(&queue, 9), "a6 a!");
}

#[test]
fn of_gaps_that_are_told_as_one_the_graver_counts() {
    let queue = queue(1);
    let moved = || News::Gap(name(A), GapCause::Moved);
    queue.push(event(B, "1")).unwrap();
    queue.push(event(A, "1")).unwrap_err();
    queue.push(News::Up(Shard(0))).unwrap();
    assert_eq!(take(&queue, 1), "b1");
    queue.push(moved()).unwrap();
    assert_eq!(take(&queue, 9), "a~ +");
    queue.push(moved()).unwrap();
    queue.push(event(B, "2")).unwrap();
    queue.push(event(A, "2")).unwrap_err();
    assert_eq!(take(&queue, 9), "a~ b2");
    queue.push(event(A, "3")).unwrap();
    queue.push(event(A, "4")).unwrap_err();
    assert_eq!(take(&queue, 9), "a3 a!", "another gap");
}

#[test]
fn bytes_are_bounded_too() {
    let queue = EventQueue::new(QueueLimits { events: 1000, bytes: 10_000 });
    let payload = "x".repeat(4000);
    assert!(queue.push(event(A, &payload)).is_ok());
    assert!(queue.push(event(A, &payload)).is_ok());
    assert!(queue.push(event(A, &payload)).is_err());
    assert!(queue.push(event(A, "small")).is_ok());
    take(&queue, 9);
    assert!(queue.push(event(A, &payload)).is_ok());
    let inner = queue.inner.lock();
    assert_eq!((inner.events, inner.gaps.len()), (1, 0));
}

#[test]
fn up_and_down_always_fit_and_do_not_pile_up() {
    let queue = queue(1);
    queue.push(event(A, "1")).unwrap();
    for _ in 0..1000 {
        queue.push(News::Down(Shard(0))).unwrap();
        queue.push(News::Up(Shard(0))).unwrap();
    }
    assert_eq!(take(&queue, 9), "a1 - +");
    queue.push(News::Up(Shard(0))).unwrap();
    queue.push(News::Down(Shard(0))).unwrap();
    assert_eq!(take(&queue, 9), "-");
}

#[test]
fn a_flood_does_not_pin_memory() {
    let queue = queue(100_000);
    for _ in 0..100_000 {
        queue.push(event(A, "1")).unwrap();
    }
    while !take(&queue, 512).is_empty() {}
    assert!(queue.inner.lock().entries.capacity() <= 2 * KEPT);
}

#[tokio::test]
async fn whoever_waits_is_woken_and_gets_all_that_is_ready() {
    let queue = std::sync::Arc::new(queue(1000));
    let taker = tokio::spawn({
        let queue = std::sync::Arc::clone(&queue);
        async move {
            let mut news = Vec::new();
            while news.len() < 500 {
                queue.take(64, &mut news).await;
            }
            news
        }
    });
    for n in 0..500 {
        queue.push(event(A, &n.to_string())).unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let news = taker.await.unwrap();
    let expected: Vec<News> = (0..500).map(|n| event(A, &n.to_string())).collect();
    assert_eq!(news, expected);
}
