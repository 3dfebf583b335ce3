use super::*;

fn one(problems: &[String], part: &str) {
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(part), "{problems:?}");
}

#[test]
fn this_repository_is_tidy() {
    if let Err(error) = check() {
        panic!("{error}");
    }
}

#[test]
fn a_crate_that_reaches_up_is_found() {
    let manifest =
        "[package]\nname = 'tidegate-core'\n[dependencies]\nbytes = '1'\ntidegate-gateway.workspace = true\n";
    one(
        &layers::check(&Tree::of(&[("crates/core/Cargo.toml", manifest)])),
        "must not depend on tidegate-gateway",
    );
}

#[test]
fn a_runtime_in_the_core_is_found_on_any_platform_and_under_any_name() {
    let manifest =
        "[package]\nname = 'tidegate-core'\n[target.'cfg(unix)'.dependencies]\nrt = { package = 'tokio' }\n";
    one(&layers::check(&Tree::of(&[("crates/core/Cargo.toml", manifest)])), "must not depend on tokio");
    let manifest = "[package]\nname = 'tidegate-gateway'\n[dependencies]\nredis = '1'\n[dev-dependencies]\nredis = '1'\n";
    one(&layers::check(&Tree::of(&[("crates/gateway/Cargo.toml", manifest)])), "must not depend on redis");
}

#[test]
fn a_crate_nobody_placed_is_found() {
    let manifest = "[package]\nname = 'tidegate-presence'\n";
    one(&layers::check(&Tree::of(&[("crates/presence/Cargo.toml", manifest)])), "say in xtask");
}

#[test]
fn a_clock_in_the_core_is_found_but_not_in_its_tests() {
    let tree = Tree::of(&[
        ("crates/core/src/a.rs", "//! A.\nfn f() { let now = Instant::now(); }\n"),
        (
            "crates/core/src/b.rs",
            "//! B.\n// not Instant::now()\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }\n",
        ),
        ("crates/core/src/a/tests.rs", "fn f() { Instant::now(); }\n"),
    ]);
    one(&layers::check(&tree), "crates/core/src/a.rs");
}

#[test]
fn a_long_file_is_found_unless_it_is_a_test() {
    let long = "\n".repeat(401);
    let tree = Tree::of(&[
        ("a/src/b.rs", &long),
        ("a/src/tests.rs", &long),
        ("a/tests/c.rs", &long),
        ("d.md", &long),
    ]);
    one(&sources::length(&tree), "a/src/b.rs: 401 lines");
}

#[test]
fn a_module_without_a_head_or_with_a_long_one_is_found() {
    one(&sources::module_docs(&Tree::of(&[("a/src/b.rs", "use x;\n")])), "without a module doc");
    let long = "//! line\n".repeat(11);
    one(&sources::module_docs(&Tree::of(&[("a/src/b.rs", &long)])), "11 lines");
    let fine = format!("#![allow(x)]\n{}//!\n{}use x;\n", "//! line\n".repeat(10), "//! more\n".repeat(10));
    assert!(sources::module_docs(&Tree::of(&[("a/src/b.rs", &fine)])).is_empty());
}

#[test]
fn every_spelling_of_an_unbounded_channel_is_found() {
    for line in [
        "let (a, b) = tokio::sync::mpsc::unbounded_channel();",
        "let (a, b) = std::sync::mpsc::channel();",
        "let (a, b) = mpsc::channel::<Vec<u8>>();",
        "let (a, b) = flume::unbounded();",
        "let (a, b) = crossbeam_channel::unbounded::<u8>();",
        "struct S { a: UnboundedSender<u8> }",
    ] {
        one(&channels::check(&Tree::of(&[("a/src/b.rs", line)])), "a/src/b.rs:1");
    }
    for line in [
        "let (a, b) = mpsc::channel(16);",
        "let (a, b) = sync_channel::<u8>(1);",
        "fn channel() -> Channel {",
        "let name = event.channel();",
        "let (a, b) = oneshot::channel();",
        "// unlike unbounded_channel()",
    ] {
        assert!(channels::check(&Tree::of(&[("a/src/b.rs", line)])).is_empty(), "{line}");
    }
}

#[test]
fn an_old_version_and_a_forbidden_package_are_found() {
    let lock = |name: &str, version: &str| format!("[[package]]\nname = '{name}'\nversion = '{version}'\n");
    one(&versions::check(&Tree::of(&[("Cargo.lock", &lock("bytes", "1.9.12"))])), "at least 1.11.1");
    one(&versions::check(&Tree::of(&[("Cargo.lock", &lock("rsa", "0.9.0"))])), "must not be there");
    assert!(versions::check(&Tree::of(&[("Cargo.lock", &lock("bytes", "1.11.1"))])).is_empty());
    one(&versions::check(&Tree::of(&[])), "missing");
}

#[test]
fn a_missing_or_empty_document_is_found() {
    let all = documents::present(&Tree::of(&[("README.md", " \n"), ("CHANGELOG.md", "# Changes")]));
    assert!(all.iter().any(|problem| problem.starts_with("README.md")), "{all:?}");
    assert!(!all.iter().any(|problem| problem.starts_with("CHANGELOG.md")), "{all:?}");
}

#[test]
fn a_crate_that_the_map_forgets_is_found() {
    let tree = Tree::of(&[
        ("ARCHITECTURE.md", "    core/     decides\n"),
        ("crates/core/Cargo.toml", ""),
        ("crates/broker/Cargo.toml", ""),
    ]);
    one(&documents::in_step(&tree), "no line for crates/broker");
}

#[test]
fn a_code_that_the_protocol_page_forgets_is_found() {
    let tree = Tree::of(&[
        ("docs/protocol.md", "| `forbidden` | no right |"),
        (
            "crates/protocol/src/codes.rs",
            "Self::Forbidden => \"forbidden\",\nSelf::TooLarge => \"too_large\",\n",
        ),
    ]);
    one(&documents::in_step(&tree), "`too_large`");
}

#[test]
fn metrics_are_named_on_both_sides() {
    let code = "Opts::new(\n    \"ready\",\n    \"1 if the node is ready.\",\n)\nHistogramOpts::new(\"delivery_seconds\", \"From a to b.\")\n\
                vec(&[\"door\", \"reason\"])\n";
    let tree = Tree::of(&[
        ("crates/metrics/src/lib.rs", code),
        ("docs/api.md", "`tidegate_ready`, `tidegate_delivery_seconds_bucket`; the crate `tidegate_core::x`"),
    ]);
    assert!(documents::in_step(&tree).is_empty(), "{:?}", documents::in_step(&tree));
    let tree = Tree::of(&[
        ("crates/metrics/src/lib.rs", code),
        ("docs/api.md", "`tidegate_delivery_seconds`"),
        ("deploy/prometheus/rules.yml", "tidegate_ready == 0 and tidegate_redy == 1"),
    ]);
    let problems = documents::in_step(&tree);
    assert!(problems.iter().any(|problem| problem.contains("no metric tidegate_redy")), "{problems:?}");
    assert!(
        problems.iter().any(|problem| problem.contains("does not name the metric tidegate_ready")),
        "{problems:?}"
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = ["fine", concat!("see /wo", "rk/x")].join("\n");
    one(&paths::check(&Tree::of(&[("docs/a.md", &text)])), "docs/a.md:2");
}

#[test]
fn an_integration_test_without_a_line_is_found() {
    let tree = Tree::of(&[
        ("crates/tidegate/tests/deploy.rs", ""),
        ("crates/tidegate/tests/newcomer.rs", ""),
        ("crates/tidegate/tests/newcomer/part.rs", ""),
        ("crates/core/src/hub/tests/part.rs", ""),
    ]);
    one(&suites::check(&tree), "newcomer");
}

#[test]
fn what_an_operator_meets_and_the_page_does_not_explain_is_found() {
    let code = "//! A.\nfn f() {\n    tracing::warn!(%why, \"it \\\"broke\");\n    error!(\"new\");\n    // warn!(\"not\");\n}\n\
                #[cfg(test)]\nmod tests { fn g() { warn!(\"in a test\"); } }\n";
    let code = code.replace("it \\\"broke", "it broke");
    let node = "fn not_ready(&self) -> Option<&str> {\n    Some(\"asleep\")\n    }\nSome(\"other\")";
    let page = "`Gone` `proxy_a`\n### Every line of level warn and error\n| `it broke` | x |\n| `old` | x |\n# More\n| `y` | z |";
    let tree = Tree::of(&[
        ("crates/a/src/b.rs", &code),
        ("crates/gateway/src/node.rs", node),
        ("deploy/prometheus/rules.yml", "- alert: Gone\n  - alert: Here\n"),
        (
            "deploy/nginx/nginx.conf",
            "daemon off;\nmap $a $b {\n default x;\n}\nproxy_a on;\nproxy_b off;\n# c d;\n",
        ),
        ("docs/operations.md", page),
    ]);
    let problems = operations::check(&tree);
    for part in [
        "line \"new\"",
        "no code logs \"old\"",
        "reason asleep",
        "alert `Here`",
        "directive `map",
        "directive `proxy_b",
    ] {
        assert_eq!(
            problems.iter().filter(|problem| problem.contains(part)).count(),
            1,
            "{part}: {problems:?}"
        );
    }
    assert_eq!(problems.len(), 6, "{problems:?}");
    one(&operations::check(&Tree::of(&[])), "is missing");
}

#[test]
fn a_page_of_sizes_that_is_not_what_its_figures_make_is_found() {
    let input = include_str!("../../../docs/capacity.toml");
    let page = crate::capacity::page(input).expect("a page");
    let check =
        |page| capacity::check(&Tree::of(&[("docs/capacity.toml", input), ("docs/capacity.md", page)]));
    assert_eq!(check(page.as_str()), Vec::<String>::new());
    assert_eq!(check("# Capacity\n").len(), 1);
    assert_eq!(capacity::check(&Tree::of(&[("docs/capacity.toml", "[wire]")])).len(), 1);
}

#[test]
fn a_picture_that_is_not_what_its_figures_make_is_found() {
    let texts = [
        include_str!("../../../docs/results/benchmarks.json"),
        include_str!("../../../docs/performance.md"),
        include_str!("../../../docs/capacity.toml"),
    ];
    let drawn = crate::picture::draw(texts[0], texts[1], texts[2]).expect("a picture");
    let check = |measured, picture| {
        picture::check(&Tree::of(&[
            ("docs/results/benchmarks.json", measured),
            ("docs/performance.md", texts[1]),
            ("docs/capacity.toml", texts[2]),
            ("docs/img/where-it-goes.svg", picture),
        ]))
    };
    assert_eq!(check(texts[0], drawn.as_str()), Vec::<String>::new());
    one(&check(texts[0], "<svg/>"), "cargo xtask docs");
    one(&check("{}", drawn.as_str()), "no cpu_us of floor in row 1");
}

#[test]
fn a_figure_of_sizes_that_is_not_the_benchmark_s_is_found() {
    let input = include_str!("../../../docs/capacity.toml");
    let figures = include_str!("../../../docs/results/benchmarks.json");
    let check = |input: &str, figures| {
        let page = crate::capacity::page(input).expect("a page");
        capacity::check(&Tree::of(&[
            ("docs/capacity.toml", input),
            ("docs/capacity.md", &page),
            ("docs/results/benchmarks.json", figures),
        ]))
    };
    assert_eq!(check(input, figures), Vec::<String>::new());
    assert_eq!(check(input, "{}").len(), 8, "rows that were not measured");
    for line in input.lines().filter(|line| line.contains("results/benchmarks.json")) {
        let place = if line.contains("value = ") { "value = " } else { "cpu_us = " };
        let other = line.replace(place, &format!("{place}9"));
        assert_ne!(other, line);
        assert_eq!(check(&input.replace(line, &other), figures).len(), 1, "{other}");
    }
    let more = input.replace("the payload of the rows", "row 1 (results/benchmarks.json)");
    assert!(check(&more, figures)[0].contains("lists other figures"));
}
