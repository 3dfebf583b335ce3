use super::*;
use crate::report::tests::sample;
use crate::report::threshold::Threshold;

#[test]
fn what_others_wrote_stays_text() {
    let mut report = sample();
    report.scenario.name = Some("<script>alert(1)</script> & \"more\"".to_owned());
    report.scenario.url = "ws://h/\"><img src=x>".to_owned();
    report.totals.ended.insert("close <4100>".to_owned(), 2);
    let page = report.html();
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<4100>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;"));
}

#[test]
fn the_verdict_says_why() {
    let mut report = sample();
    assert!(report.html().contains("All well"));
    let threshold = Threshold::judge(&report, "p99_us", Some(1_000.0), None);
    let unmet = report.clone().with_thresholds(vec![threshold]).html();
    assert!(unmet.contains("Failed") && unmet.contains("Not met: latency p99: at most 1 ms, is 1.5 ms."));
    assert!(unmet.contains("✗ not met"));
    (report.faults.lost, report.passed) = (3, false);
    let lossy = report.html();
    assert!(lossy.contains("Failed") && lossy.contains("3 lost.") && lossy.contains("tile alarm"));
}

#[test]
fn every_picture_is_there_and_only_what_was_measured() {
    let titles = |report: &Report| charts::all(report).iter().map(|chart| chart.title).collect::<Vec<_>>();
    let report = sample();
    assert_eq!(
        titles(&report),
        [
            "Latency over time",
            "Latency by percentile",
            "Deliveries a second",
            "Connections",
            "CPU",
            "Memory of the server"
        ]
    );
    let mut unwatched = report.clone();
    for row in &mut unwatched.series {
        (row.cores, row.memory, row.missing) = (None, None, 2);
    }
    assert_eq!(titles(&unwatched)[4..], ["CPU", "Events missing"]);
    let nothing = Report { curve: Vec::new(), series: Vec::new(), ..report };
    assert_eq!(titles(&nothing), [""; 0]);
    assert!(nothing.html().ends_with("</html>\n"));
}
