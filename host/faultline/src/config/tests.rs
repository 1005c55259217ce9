//! Texts and environments in, configurations or problems out.

use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use super::*;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse("faultline.toml", text, environment).map_err(|problem| problem.to_string())
}

#[test]
fn the_reference_says_what_the_defaults_are() {
    assert_eq!(parse(REFERENCE, &[]), Ok(Config::default()));
}

#[test]
fn the_reference_has_every_key() {
    fn keys(table: &toml::Table, path: &str, found: &mut Vec<String>) {
        for (key, value) in table {
            let path = format!("{path}{key}");
            match value {
                toml::Value::Table(inner) => keys(inner, &format!("{path}."), found),
                _ => found.push(path),
            }
        }
    }
    let (mut written, mut known) = (Vec::new(), Vec::new());
    keys(&REFERENCE.parse().expect("TOML"), "", &mut written);
    let defaults = toml::Table::try_from(Config::default()).expect("a table");
    keys(&defaults, "", &mut known);
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[api]\nlisten = \"127.0.0.1:1000\"\n[pipeline]\nlateness = \"3s\"\n";
    let config = parse(
        text,
        &[
            ("FAULTLINE__API__LISTEN", "127.0.0.1:2000"),
            ("FAULTLINE__PIPELINE__INCIDENTS__OPEN_MAX", "7"),
            ("FAULTLINE__PLUGINS__BUNDLED", "false"),
            ("FAULTLINE__INTAKE__KEEP_HEADERS", "[\"x-a\"]"),
            ("FAULTLINE__LOG__LEVEL", "debug"),
            ("FAULTLINE_TOKEN", "not a key"),
            ("PATH", "/bin"),
        ],
    )
    .expect("good");
    assert_eq!(config.api.listen.port(), 2000);
    assert_eq!(config.pipeline.lateness, Duration::from_secs(3));
    assert_eq!(config.pipeline.incidents.open_max, 7);
    assert!(!config.plugins.bundled);
    assert_eq!(config.intake.keep_headers, ["x-a"]);
    assert_eq!(config.log.level, "debug");
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_remedy() {
    let cases: &[(&str, &[&str])] = &[
        (
            "[api]\nlistn = \"x\"",
            &["faultline.toml:2:1", "`listn`", "did you mean `listen`?"],
        ),
        ("[apis]", &["faultline.toml:1:2", "did you mean `api`?"]),
        (
            "[api]\nlisten = \"x\"",
            &["faultline.toml:2:10", "socket address"],
        ),
        ("[api]\nlisten = 3", &["faultline.toml:2:10"]),
        (
            "[retention]\njournal = \"seven days\"",
            &["faultline.toml:2:11"],
        ),
        (
            "[log]\nformat = \"jsn\"",
            &["faultline.toml:2:10", "did you mean `json`?"],
        ),
        ("[pipeline]\ndetector-shards = 0", &["detector-shards is 0"]),
        (
            "[plugins.ceiling]\nmemory = \"2GiB\"",
            &["memory is 2.0 GiB"],
        ),
        (
            "[plugins.compile]\nmemory = \"1MiB\"",
            &["memory is 1.0 MiB", "256.0 MiB at least"],
        ),
        ("[plugins.compile]\nwall = \"1ms\"", &["1s at least"]),
        ("[plugins.compile]\nat-once = 0", &["faultline.toml:2:11"]),
        (
            "[intake]\nrequire-token = false\nlisten = \"0.0.0.0:4318\"",
            &["anybody could send"],
        ),
        (
            "[data]\nscope = \"My Scope\"",
            &["faultline.toml:2:9", "scope `My Scope`"],
        ),
        (
            "[log]\nlevel = \"verbose\"",
            &["`verbose`", "say one of off, error"],
        ),
        (
            "[retention]\nchanges = \"1h\"",
            &["changes is 1h", "changes-window, which is 4h"],
        ),
        ("[retention]\naudit = \"0s\"", &["audit must be longer"]),
        ("[api", &["faultline.toml:1:"]),
        (
            "[data]\ndatabase = \"mysql://me:s3cret@db/x\"",
            &["faultline.toml:2:12", "begins with `mysql:`"],
        ),
        (
            "[data]\nread-connections = 0",
            &["read-connections is 0; it can be 1 to 1000"],
        ),
        ("[data]\nlease = \"10ms\"", &["lease is 10ms", "1s to 1h"]),
        (
            "[own-traces]\nendpoint = \"collector:4317\"",
            &["faultline.toml:2:12", "http://127.0.0.1:4318"],
        ),
        (
            "[own-traces]\nendpoint = \"http://me:s3cret@collector\"",
            &["faultline.toml:2:12", "`headers`"],
        ),
        (
            "[own-traces]\nendpoint = \"http://collector/?key=s3cret\"",
            &["faultline.toml:2:12", "`headers`"],
        ),
        (
            "[own-traces]\nheaders = { authorization = \"Bearer s3cret\" }",
            &["faultline.toml:2:", "names no secret"],
        ),
        (
            "[own-traces.headers]\ncontent-type = \"env:X\"",
            &["`content-type`", "by itself"],
        ),
        (
            "[own-traces.headers]\n\"a b\" = \"env:X\"",
            &["`a b`", "no name of a header"],
        ),
        (
            "[own-traces]\nsample-ratio = 2",
            &["sample-ratio is 2", "0 to 1"],
        ),
        (
            "[own-traces]\ntimeout = \"0s\"",
            &["timeout is 0s", "up to 1m"],
        ),
        ("[own-traces]\nqueue-max = 0", &["queue-max is 0"]),
    ];
    for (text, expected) in cases {
        let message = parse(text, &[]).expect_err(text);
        for part in *expected {
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn what_is_wrong_in_the_environment_names_the_variable() {
    for (name, value, expected) in [
        (
            "FAULTLINE__API__LISTN",
            "127.0.0.1:1",
            "did you mean `listen`?",
        ),
        (
            "FAULTLINE__APY__LISTEN",
            "127.0.0.1:1",
            "did you mean `api`?",
        ),
        ("FAULTLINE__API__LISTEN", "here", "socket address"),
        ("FAULTLINE__PIPELINE__SERIES_MAX", "many", "invalid type"),
    ] {
        let message = parse("", &[(name, value)]).expect_err(name);
        assert!(message.contains(name), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_is_not_text_in_the_environment_is_in_the_way_only_if_it_is_ours() {
    let garbled = || OsString::from_vec(vec![0xff]);
    let load = |name: OsString| {
        let text = environment::ours([(name, garbled())]);
        text.map_err(|problem| problem.to_string())
    };
    assert_eq!(load("LS_COLORS".into()), Ok(Vec::new()));
    assert_eq!(load(garbled()), Ok(Vec::new()));
    let message = load("FAULTLINE__DATA__FOLDER".into()).expect_err("is not text");
    assert!(message.contains("FAULTLINE__DATA__FOLDER"), "{message}");
}

#[test]
fn a_database_can_be_set_and_its_password_is_not_shown() {
    let url = "postgres://faultline:s3cret@db.example/faultline?sslmode=require";
    let config = parse("", &[("FAULTLINE__DATA__DATABASE", url)]).expect("good");
    assert!(config.data.location().kind().is_shared());
    let shown = toml::to_string(&config).expect("TOML");
    assert!(
        shown.contains("postgres://faultline@db.example/faultline"),
        "{shown}"
    );
    assert!(!format!("{shown}{config:?}").contains("s3cret"), "{shown}");

    let bad = "postgres://faultline:s3cret@db.example";
    let message = parse("", &[("FAULTLINE__DATA__DATABASE", bad)]).expect_err("no database");
    assert!(message.contains("which database"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
}

#[test]
fn own_traces_can_be_set_up_by_the_environment() {
    let config = parse(
        "",
        &[
            (
                "FAULTLINE__OWN_TRACES__ENDPOINT",
                "https://collector.example",
            ),
            ("FAULTLINE__OWN_TRACES__HEADERS__X_KEY", "env:COLLECTOR_KEY"),
            ("FAULTLINE__OWN_TRACES__SAMPLE_RATIO", "0.25"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ],
    );
    let own = config.expect("good").own_traces;
    let collector = own.endpoint.0.expect("somewhere").to_string();
    assert_eq!(collector, "https://collector.example/v1/traces");
    assert_eq!(own.headers["x-key"].to_string(), "env:COLLECTOR_KEY");
    assert_eq!(own.sample_ratio.to_string(), "0.25");

    let others = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318")];
    assert_eq!(parse("", &others), Ok(Config::default()));
}

#[test]
fn a_level_can_be_said_by_module() {
    let text = "[log]\nlevel = \"info,faultline::plugin=debug,hyper=off\"";
    assert!(parse(text, &[]).is_ok());
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = Config::load(Some(Path::new("/nowhere/faultline.toml")), []);
    let message = missing.expect_err("is not there").to_string();
    assert!(message.contains("/nowhere/faultline.toml"), "{message}");
}
