//! The picture from round figures.

const TABLE: &str = "# Page\n\n## The allocator\n\n| | |\n| --- | --- |\n| the task of a connection | 384 bytes: lines |\n\
| its socket's registration at the runtime | 256, rounded |\n| what it shares with channels and lanes | 224 |\n";
const INPUT: &str = "[connection]\nkernel_bytes = { value = 5000 }\n[wire]\npayload_bytes = { value = 128 }\n\
frame_bytes = { value = 48 }\npacket_bytes = { value = 90 }\n";

fn measured(bytes: u32) -> String {
    let one = |row: u32, subject: &str, figure: &str, value: u32| {
        format!(r#"{{"row": {row}, "subject": "{subject}", "figures": {{"{figure}": {value}}}}}"#)
    };
    let all = [
        one(1, "floor", "cpu_us", 6),
        one(1, "plain", "cpu_us", 9),
        one(1, "plain", "cpu_us", 7),
        one(1, "plain", "cpu_us", 8),
        one(3, "room_floor", "cpu_us", 12),
        one(3, "plain", "cpu_us", 14),
        one(4, "room_floor", "cpu_us", 30),
        one(4, "plain", "cpu_us", 40),
        one(6, "plain", "bytes", bytes),
    ];
    format!(r#"{{"measurements": [{}]}}"#, all.join(", "))
}

#[test]
fn the_picture_says_the_medians_and_what_the_node_adds() {
    let picture = super::draw(&measured(964), TABLE, INPUT).expect("a picture");
    for words in [
        "2,000 in a channel: 8.0 µs<",
        "what the node adds 2.0 µs<",
        "one event for one client: 40.0 µs<",
        "what the node adds 10.0 µs<",
        "in the node: 964 bytes<",
        "task 384<",
        "entries and the rest 100<",
        "kernel 5000<",
        "native JSON: 266<",
    ] {
        assert!(picture.contains(words), "{words}: {picture}");
    }
    assert_eq!(picture.matches("font-weight").count(), 6, "six bars");
}

#[test]
fn a_node_below_its_floor_adds_nothing() {
    let faster = measured(964).replace(r#""cpu_us": 40"#, r#""cpu_us": 29"#);
    let picture = super::draw(&faster, TABLE, INPUT).expect("a picture");
    assert!(picture.contains("what the node adds 0.0 µs<") && !picture.contains("width=\"-"), "{picture}");
}

#[test]
fn a_figure_that_is_missing_or_cannot_be_is_refused() {
    let bad = [
        (measured(964).replace("room_floor", "floor"), TABLE.to_owned(), INPUT.to_owned()),
        (measured(800), TABLE.to_owned(), INPUT.to_owned()),
        (measured(964), TABLE.replace("| 224 |", "| some |"), INPUT.to_owned()),
        (measured(964), TABLE.to_owned(), INPUT.replace("packet_bytes", "packets")),
    ];
    for (measured, table, input) in bad {
        assert!(super::draw(&measured, &table, &input).is_err(), "{measured} {table} {input}");
    }
}
