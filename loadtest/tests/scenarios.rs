//! Scenarios against real nodes: what comes with the tool runs, and what goes wrong on the way is found.

mod support;

use serde_json::Value;
use support::{count, figure, metric, node, node_of, planted_faults_are_found, run, run_at};
use tempfile::TempDir;
use tidegate_loadtest::scenario::library;
use tidegate_testkit::RedisServer;

/// A scenario that comes along, in a file without its limits of speed: those are for the full size on a machine that does
/// nothing else. What is counted must hold.
fn correctness(name: &str) -> (TempDir, String) {
    let text = library::find(name).expect("a scenario of that name");
    let mut scenario: toml::Table = text.parse().expect("TOML");
    let limits = scenario.get_mut("thresholds").and_then(toml::Value::as_table_mut).expect("limits");
    let speeds = [
        "p50",
        "p99",
        "p999",
        "max",
        "deliveries_per_second",
        "connects_per_second",
        "connect_p99",
        "caught_up",
    ];
    limits.retain(|limit, _| !speeds.contains(&limit));
    assert!(limits.contains_key("lost"), "{name}");
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, scenario.to_string()).expect("a file");
    let path = file.to_str().expect("a path").to_owned();
    (folder, path)
}

/// In small: the size a laptop takes is in the files.
fn runs_in_small(names: &[&str]) {
    let node = node(None);
    for name in names {
        let (_folder, file) = correctness(name);
        let arguments =
            [&file, "--connections", "40", "--channels", "8", "--seconds", "0.5", "--warm-up", "0"];
        let report = run_at(&node, &arguments).well();
        assert_eq!(report["scenario"]["name"], *name);
    }
}

#[test]
fn scenarios_of_fanning_out_run_from_memory() {
    runs_in_small(&["fanout", "rooms", "direct", "broadcast-hot"]);
}

#[test]
fn scenarios_of_connections_run_from_memory() {
    runs_in_small(&["idle", "connect-storm", "mixed-chat"]);
}

#[test]
fn a_planted_loss_duplicate_and_swap_fail_the_run_and_are_named() {
    let node = node(None);
    let planted = |arguments: &[&str]| {
        let arguments =
            [&["--connections", "8", "--rate", "50", "--seconds", "0.5", "--door", "mixed"], arguments];
        run_at(&node, &arguments.concat())
    };
    // The control: nothing planted, nothing found.
    assert_eq!(count(&planted(&[]).well(), "/faults/lost"), 0);
    assert_eq!(planted_faults_are_found(planted, 8..=8), 0, "once for each connection, and nothing else");
}

#[test]
fn planted_faults_are_found_among_those_who_drop_and_move_too() {
    let node = node(None);
    for shape in [
        &["--storms", "1", "--away", "0.2", "--door", "resumable"][..],
        &["--churn", "5"],
        &["--churn", "5", "--door", "native"],
    ] {
        let arguments =
            [&["--namespace", "loadlog", "--connections", "9", "--rate", "50", "--seconds", "1"], shape];
        let run = |more: &[&str]| run_at(&node, &[&arguments.concat(), more].concat());
        run(&[]).well();
        planted_faults_are_found(run, 1..=u64::MAX);
    }
}

/// From this many subscribers on the gateway delivers to a channel in rounds, and in segments over all its workers.
const HOT: u64 = 1_024;

/// Every subscriber of a hot channel hears each event once, in order, while others come and go; from a node with so many
/// workers, without history (in rounds) and with.
fn a_hot_channel_loses_nothing(workers: u32) {
    let node = node_of(workers);
    let shape = ["--connections", "1500", "--channels", "1", "--door", "mixed", "--opening", "512"];
    let run = |more: &[&str]| run_at(&node, &[&shape[..], &["--payload", "64"], more].concat());
    for (namespace, rate, seconds) in [("load", "150", "2"), ("loadlog", "50", "1")] {
        let pace = ["--namespace", namespace, "--rate", rate, "--churn", "100", "--seconds", seconds];
        let report = run(&pace).well();
        assert!(figure(&report, "joined") >= 50.0, "others come and go meanwhile: {report}");
        let published = count(&report, "/totals/published");
        assert!(count(&report, "/totals/delivered") >= HOT * published, "it is hot: {report}");
        let rows = report["series"].as_array().expect("a series");
        let hot = |row: &Value| row["at"].as_f64() < Some(0.1) || count(row, "/open") >= HOT;
        assert!(rows.iter().all(hot), "all the time: {rows:?}");
    }
    // The control: what everybody should miss, get twice or get late, everybody who is there does.
    let pace = ["--rate", "150", "--churn", "100", "--seconds", "0.5"];
    planted_faults_are_found(|plant| run(&[&pace, plant].concat()), HOT..=1_500);
}

#[test]
fn a_hot_channel_loses_nothing_with_one_worker() {
    a_hot_channel_loses_nothing(1);
}

#[test]
fn a_hot_channel_loses_nothing_over_two_workers() {
    a_hot_channel_loses_nothing(2);
}

#[test]
fn after_a_storm_all_are_back_with_everything() {
    let node = node(None);
    let (_folder, file) = correctness("resume-storm");
    let report =
        run_at(&node, &[&file, "--connections", "60", "--channels", "12", "--seconds", "3", "--away", "0.3"])
            .well();
    assert_eq!((figure(&report, "came_back"), figure(&report, "not_back")), (120.0, 0.0));
    assert!(figure(&report, "caught_up_max_us") > 300_000.0, "{report}");
    let rows = report["series"].as_array().expect("a series");
    let delivered: u64 = rows.iter().map(|row| count(row, "/delivered")).sum();
    assert_eq!(delivered, count(&report, "/totals/delivered"), "every second has what came in it");
    assert_eq!(rows.last().expect("rows")["open"], 60, "who was away is back: {rows:?}");
}

#[test]
fn a_storm_in_channels_without_history_loses_events_and_fails() {
    let node = node(None);
    let storm = ["--storms", "1", "--away", "0.3", "--door", "native", "--rate", "100", "--seconds", "1"];
    let ran = run_at(&node, &[&["--namespace", "load"], &storm[..]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(count(&ran.report, "/faults/lost") > 0, "{}", ran.report);
}

#[test]
fn who_reads_nothing_is_closed_and_the_others_lose_nothing() {
    let node = node(None);
    let (_folder, file) = correctness("slow-readers");
    let report = run_at(
        &node,
        &[
            &file,
            "--connections",
            "40",
            "--channels",
            "2",
            "--payload",
            "32000",
            "--rate",
            "200",
            "--seconds",
            "4",
        ],
    )
    .well();
    let Value::Object(ended) = &report["totals"]["slow_ended"] else { panic!("{report}") };
    let ended: u64 = ended.values().filter_map(Value::as_u64).sum();
    assert!((1..=4).contains(&ended), "{report}");
    assert_eq!(figure(&report, "slow_ended"), ended as f64);
    let rows = report["series"].as_array().expect("a series");
    assert_eq!(rows.last().expect("rows")["open"], 40 - ended, "who was closed is not open: {rows:?}");
}

#[test]
fn what_slow_readers_read_late_is_not_the_others_latency() {
    let node = node(None);
    // As it comes along, limits of speed included: what waits for the slow ones is too little to close them for.
    let run = |more: &[&str]| {
        run_at(&node, &[&["slow-readers", "--connections", "80", "--seconds", "3"], more].concat())
    };
    let report = run(&[]).well();
    let limits = report["thresholds"].as_array().expect("limits");
    let p99 = limits.iter().find(|limit| limit["figure"] == "p99_us").expect("a limit of speed");
    let most = p99["at_most"].as_f64().expect("microseconds");
    assert_eq!(figure(&report, "slow_ended"), 0.0, "{report}");
    assert_eq!(count(&report, "/totals/delivered"), 20 * count(&report, "/totals/published"));
    // A tenth of the readers, and half of what they read: counted together these would be far more than one of a hundred.
    assert!(figure(&report, "slow_p50_us") > most, "{report}");
    // The control: the slow ones are checked as all others are.
    assert_eq!(planted_faults_are_found(run, 80..=80), 0, "once for each reader, also the slow ones");
}

#[test]
fn everybody_may_publish() {
    let redis = RedisServer::start().expect("redis-server");
    let node = node(Some(&redis));
    for (publisher, namespace) in [
        ("publish", "load"),
        ("fcall", "loadlog"),
        ("http", "loadlog"),
        ("client", "load"),
        ("client", "loadlog"),
    ] {
        let (redis, admin) = (redis.url(), node.admin_url());
        let report = run_at(
            &node,
            &[
                "--publisher",
                publisher,
                "--namespace",
                namespace,
                "--redis",
                &redis,
                "--admin",
                &admin,
                "--connections",
                "12",
                "--channels",
                "3",
                "--door",
                "mixed",
                "--rate",
                "100",
                "--seconds",
                "0.5",
            ],
        )
        .well();
        assert_eq!(count(&report, "/totals/delivered"), 200, "{publisher} {namespace}");
    }
}

#[test]
fn who_moves_to_another_channel_misses_nothing_there() {
    let node = node(None);
    let (_folder, file) = correctness("mixed-chat");
    let report =
        run_at(&node, &[&file, "--connections", "48", "--churn", "100", "--seconds", "1", "--warm-up", "0"])
            .well();
    let (joined, parted) = (figure(&report, "joined"), figure(&report, "parted"));
    assert!(
        joined >= 50.0 && (joined / 3.0..joined * 2.0 / 3.0).contains(&parted),
        "half of the doors have words: {report}"
    );
}

#[test]
fn who_can_unsubscribe_moves_without_a_new_connection() {
    let node = node(None);
    for (door, stays) in [("native", true), ("native-msgpack", true), ("sse", false)] {
        let opened = metric(&node, "tidegate_connections_opened_total");
        let shape = [
            "--namespace",
            "loadlog",
            "--connections",
            "20",
            "--channels",
            "5",
            "--channels-per-connection",
            "2",
        ];
        let churn = ["--door", door, "--rate", "100", "--churn", "50", "--seconds", "1"];
        let report = run_at(&node, &[&shape[..], &churn].concat()).well();
        let joined = figure(&report, "joined");
        assert!(joined >= 20.0, "{door}: {report}");
        assert_eq!(figure(&report, "parted"), if stays { joined } else { 0.0 }, "{door}");
        let opened = metric(&node, "tidegate_connections_opened_total") - opened;
        assert_eq!(opened, if stays { 20.0 } else { 20.0 + joined }, "{door}");
    }
}

#[test]
fn who_moves_and_drops_comes_back_to_where_it_is() {
    let node = node(None);
    let shape = ["--namespace", "loadlog", "--connections", "30", "--channels", "6", "--door", "resumable"];
    let pace = ["--rate", "100", "--churn", "40", "--storms", "2", "--away", "0.2", "--seconds", "2"];
    let report = run_at(&node, &[&shape[..], &pace].concat()).well();
    assert!(figure(&report, "joined") > 0.0 && figure(&report, "came_back") > 0.0, "{report}");
}

#[test]
fn deliveries_a_second_are_those_after_the_warm_up() {
    let node = node(None);
    let report =
        run_at(&node, &["--connections", "10", "--rate", "100", "--warm-up", "1", "--seconds", "0.5"]).well();
    let totals = &report["totals"];
    let seconds = |key: &str| totals[key].as_f64().expect("seconds");
    assert_eq!(count(&report, "/totals/delivered"), 1_500, "{report}");
    assert!((seconds("seconds") - seconds("measured_seconds") - 1.0).abs() < 1e-6, "{totals}");
    let measured = seconds("deliveries_per_second") * seconds("measured_seconds");
    assert_eq!(measured.round(), 500.0, "{totals}");
}

#[test]
fn what_comes_later_says_so() {
    for arguments in [&["--tls"][..], &["--presence"], &["--tls", "ca.pem"]] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("come with a later version"), "{}", ran.stderr);
    }
    for (field, arguments) in [
        ("url", &["--url", "wss://127.0.0.1:1"][..]),
        ("url", &["--url", "ws://127.0.0.1:1,wss://127.0.0.1:2"]),
        ("admin", &["--admin", "https://127.0.0.1:1"]),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let words =
            [&format!("{field} = "), "TLS comes with a later version", "works, straight to the server"];
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{}", ran.stderr);
    }
}

#[test]
fn connections_may_come_from_several_addresses() {
    let node = node(None);
    let arguments = ["--connections", "20", "--sources", "127.0.0.2,127.0.0.3", "--seconds", "0.3"];
    run_at(&node, &arguments).well();
    // An address for documentation (RFC 5737), which no machine has.
    let ran = run_at(&node, &["--sources", "192.0.2.1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("192.0.2.1"), "{}", ran.stderr);
}

#[test]
fn a_missed_limit_is_exit_code_1_and_named() {
    let node = node(None);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("strict.toml");
    std::fs::write(
        &file,
        "name = 'strict'\nconnections = 5\nrate = 50\nseconds = 0.3\n[thresholds]\np99 = '1us'\n\
         deliveries_per_second = 1e9\nconnect_failures = 0\n",
    )
    .unwrap();
    let ran = run_at(&node, &[file.to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let limits = ran.report["thresholds"].as_array().unwrap();
    let missed: Vec<&Value> =
        limits.iter().filter(|limit| limit["met"] == false).map(|limit| &limit["figure"]).collect();
    assert_eq!((limits.len(), missed), (3, vec![&"p99_us".into(), &"deliveries_per_second".into()]));
    assert_eq!(ran.report["passed"], false);
    assert!(ran.stdout.contains("latency p99: at most 1 µs"), "{}", ran.stdout);
}

#[test]
fn a_scenario_that_cannot_be_is_exit_code_2_and_says_why() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("broken.toml");
    for (text, words) in [
        ("conections = 5", "unknown field `conections`"),
        ("connections = 0", "connections = 0: at least 1, at most 2000000"),
        ("[thresholds]\np99 = 'soon'", "a length of time"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ran = run(&[file.to_str().unwrap()]);
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{text}: {}", ran.stderr);
    }
    let ran = run(&["fan-out"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("fanout, rooms"), "{}", ran.stderr);
}
