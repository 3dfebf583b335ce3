use super::board::KEPT;
use super::*;

fn lately(delivered: u64, missing: i64, milliseconds: u64) -> Lately {
    let mut lately = Lately { delivered, missing, ..Lately::default() };
    for _ in 0..delivered {
        lately.latency.record(milliseconds * 1_000_000);
    }
    lately
}

fn seen(at: u64, cpu: u64) -> Look {
    let server = Some(Usage { cpu, memory: 4096 });
    Look { at: at * SECOND, open: 10, published: at, server, own_cpu: 0 }
}

#[test]
fn each_part_has_what_all_receivers_left_for_it() {
    let board = Board::default();
    board.add(0, &lately(3, 0, 1));
    board.begin(1, u64::MAX);
    assert!(board.latest().is_some_and(|latest| latest.max_us < 1_100.0));
    board.add(1, &lately(5, 2, 2));
    // The other receiver is late, and knows for which part.
    board.add(0, &lately(4, 0, 9));
    board.add(1, &lately(0, -1, 0));
    assert_eq!(board.missing(), 1);
    let looks = [seen(9, 0), seen(10, SECOND / 2), seen(11, SECOND)];
    let rows = rows(&looks, &board.take(), 10 * SECOND);
    assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [0.0, 1.0]);
    assert_eq!(rows.iter().map(|row| row.delivered).collect::<Vec<_>>(), [7, 5]);
    assert_eq!(rows.iter().map(|row| row.missing).collect::<Vec<_>>(), [0, 1]);
    assert!(rows[0].latency.unwrap().max_us > 8_900.0 && rows[1].latency.unwrap().max_us < 2_100.0);
    assert_eq!((rows[1].cores, rows[1].memory, rows[1].published), (Some(0.5), Some(4096), 1));
}

#[test]
fn a_long_run_keeps_few_histograms_and_loses_no_count() {
    let board = Board::default();
    for cut in 0..100 {
        board.add(cut, &lately(1, 0, 1));
        board.begin(cut + 1, u64::MAX);
        assert!(board.parts().open.len() <= KEPT);
    }
    // Somebody who had no CPU for minutes.
    board.add(3, &lately(1, 0, 1));
    let parts = board.take();
    assert_eq!((parts.len(), parts.iter().map(|part| part.delivered).sum::<u64>()), (100, 101));
}

#[test]
fn a_second_without_deliveries_is_a_row_without_latency() {
    let board = Board::default();
    board.add(0, &lately(1, 0, 1));
    board.add(2, &lately(1, 0, 1));
    let looks = [seen(0, 0), seen(1, 0), seen(2, 0), seen(3, 0), seen(4, 0)];
    let rows = rows(&looks, &board.take(), 0);
    assert_eq!(rows.iter().map(|row| row.delivered).collect::<Vec<_>>(), [1, 0, 1, 0]);
    assert_eq!(rows.iter().map(|row| row.latency.is_some()).collect::<Vec<_>>(), [true, false, true, false]);
}

#[test]
fn connections_that_were_ended_are_not_open_and_an_ended_server_uses_nothing() {
    let board = Board::default();
    board.add(0, &Lately { ended: 4, ..Lately::default() });
    let looks = [seen(0, 0), seen(1, 7), Look { server: None, ..seen(2, 0) }];
    let rows = rows(&looks, &board.take(), 0);
    assert_eq!(rows.iter().map(|row| row.open).collect::<Vec<_>>(), [6, 6]);
    assert_eq!((rows[1].cores, rows[1].memory), (None, None));
}

#[test]
fn the_recorder_cuts_where_the_events_begin() {
    let progress = Arc::new(Progress::new(1));
    let mut recorder =
        Recorder::new(&progress, Vitals::new(&[std::process::id()]).unwrap(), Vitals::default()).unwrap();
    let start = clock::now() + 50_000_000;
    recorder.start(start);
    while progress.board.cut(start) == 0 {
        // It takes the order to heart, long before it is due.
        thread::yield_now();
    }
    assert_eq!(progress.board.cut(start - 1), 0);
    clock::sleep_until(start);
    progress.board.add(progress.board.cut(clock::now()), &lately(2, 0, 1));
    let rows = recorder.stop().unwrap().finish();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].at >= 0.0 && rows[1].at > rows[0].at, "{rows:?}");
    assert_eq!((rows[0].delivered, rows[1].delivered), (0, 2));
    assert!(rows[0].memory.is_some());
}

#[test]
fn who_is_away_is_not_open() {
    let progress = Progress::new(1);
    progress.opened(10);
    progress.went(3);
    let open = || look(&progress, &mut Vitals::default(), &mut Vitals::default()).open;
    assert_eq!(open(), 7);
    progress.went(-3);
    assert_eq!(open(), 10);
}

#[test]
fn after_the_last_cut_all_belongs_to_the_last_part() {
    let board = Board::default();
    board.begin(3, 1_000);
    assert_eq!((board.cut(999), board.cut(1_000)), (3, 4));
    // A receiver is beyond the cut, whoever makes cuts is late and hears that it was the last.
    board.add(4, &lately(1, 0, 1));
    assert!(board.end(|| 1_000));
    board.add(5, &lately(1, 0, 1));
    assert_eq!(board.cut(u64::MAX - 1), 4);
    assert_eq!(board.take().iter().map(|part| part.delivered).collect::<Vec<_>>(), [0, 0, 0, 0, 2]);
    board.begin(3, 1_000);
    assert!(!board.end(|| 999));
}
