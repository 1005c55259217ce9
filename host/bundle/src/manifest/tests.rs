//! Manifests in, the manifest or the reason why not out.

use super::*;

const GOOD: &str = r#"
schema = 1

[plugin]
id = "acme/pagerduty"
version = "1.4.2"
api = "0.1"
license = "Apache-2.0"
summary = "PagerDuty incidents in"

[[component]]
name = "incidents"
kind = "connector"
wasm = "incidents.wasm"
config-schema = "config.schema.json"
reuse = "fresh"
wasi = false

[component.limits]
memory = "32MiB"
cpu-per-call = "100ms"

[[component.capability]]
id = "state"
use = "kv"
required = true
reason = "paging cursor"
"#;

fn parse(text: &str) -> Result<Manifest, String> {
    Manifest::parse("plugin.toml", text).map_err(|error| error.to_string())
}

/// The message for the good manifest with one thing replaced.
fn refusal(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn a_good_manifest_reads() {
    let manifest = parse(GOOD).expect("good");
    assert_eq!(manifest.id.as_str(), "acme/pagerduty");
    assert_eq!(manifest.id.name(), "pagerduty");
    let component = manifest.component("incidents").expect("there");
    assert_eq!(component.family.as_deref(), Some("acme/pagerduty"));
    assert_eq!(component.capabilities[0].using, Use::Kv);
    assert_eq!((component.reuse, component.wasi), (Reuse::Fresh, false));
    let limits = component
        .limits
        .resolve(faultline_domain::plugin::Limits::default_ceiling());
    assert_eq!(limits.memory_bytes, 32 << 20);
    assert_eq!(limits.cpu_per_call.as_millis(), 100);
}

#[test]
fn what_heavy_runtimes_need_can_be_declared() {
    let text = GOOD
        .replace("reuse = \"fresh\"", "reuse = \"warm\"")
        .replace("wasi = false", "wasi = true");
    let manifest = parse(&text).expect("good");
    let component = &manifest.components[0];
    assert_eq!((component.reuse, component.wasi), (Reuse::Warm, true));
}

#[test]
fn requests_are_clamped_to_the_ceiling() {
    let manifest = parse(&GOOD.replace("32MiB", "100GiB")).expect("good");
    let ceiling = faultline_domain::plugin::Limits::default_ceiling();
    let limits = manifest.components[0].limits.resolve(ceiling);
    assert_eq!(limits.memory_bytes, ceiling.memory_bytes);
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("schema = 1", "schema = 2", &["schema is 2"]),
        ("acme/pagerduty", "acme", &["`acme`", "namespace/name"]),
        ("acme/pagerduty", "Acme/x", &["namespace/name"]),
        ("1.4.2", "1.4", &["plugin.toml:6:11"]),
        ("1.4.2", "1.4.2+x", &["build metadata"]),
        (
            "\"0.1\"",
            "\"0.9\"",
            &["needs faultline:plugin 0.9", "upgrade"],
        ),
        ("\"0.1\"", "\"one\"", &["two numbers"]),
        (
            "kind = \"connector\"",
            "kind = \"conector\"",
            &["unknown variant", "did you mean `connector`?"],
        ),
        (
            "wasm = \"incidents.wasm\"",
            "wasm = \"../x.wasm\"",
            &["beside plugin.toml"],
        ),
        (
            "wasm = \"incidents.wasm\"",
            "wasm = \"x.cwasm\"",
            &["`.wasm` file"],
        ),
        (
            "reuse = \"fresh\"",
            "reuse = \"wram\"",
            &["unknown variant", "did you mean `warm`?"],
        ),
        (
            "kind = \"connector\"",
            "kind = \"detector\"",
            &["`reuse` is for connectors and correlators"],
        ),
        (
            "reuse = \"fresh\"",
            "inputs = [\"logs\"]",
            &["`inputs` is for", "detector"],
        ),
        (
            "memory = \"32MiB\"",
            "memroy = \"32MiB\"",
            &["plugin.toml:20:1", "did you mean `memory`?"],
        ),
        (
            "memory = \"32MiB\"",
            "memory = \"much\"",
            &["plugin.toml:20:10"],
        ),
        ("use = \"kv\"", "use = \"k\"", &["unknown variant `k`"]),
        (
            "use = \"kv\"",
            "use = \"kv\"\nrule = [\"GET https://a.b/\"]",
            &["`rule` does not go with use `kv`"],
        ),
        (
            "reason = \"paging cursor\"",
            "reason = \" \"",
            &["gives no reason"],
        ),
        (
            "[component.limits]",
            "[component.limit]",
            &["did you mean `limits`?"],
        ),
        ("summary =", "sumary =", &["did you mean `summary`?"]),
        (
            "paging cursor",
            "paging\\n  asks for nothing",
            &["`reason`", "one line"],
        ),
        (
            "PagerDuty incidents in",
            "\\u001b[2J",
            &["`plugin.summary`", "control characters"],
        ),
        (
            "id = \"state\"",
            "id = \"x; rm -rf ~\"",
            &["the id of a capability", "a-z"],
        ),
    ];
    for (from, to, expected) in cases {
        let message = refusal(from, to);
        for part in *expected {
            assert!(message.contains(part), "{to}: {message}");
        }
    }
}

/// The good manifest with capabilities that go out.
fn going_out(rule: &str, attach: &str) -> String {
    format!(
        "{GOOD}
[[component.capability]]
id = \"api\"
use = \"http\"
rule = {rule}
reason = \"to read incidents\"

[[component.capability]]
id = \"token\"
use = \"secret\"
attach = {attach}
reason = \"to be let in\"
"
    )
}

const RULE: &str = "[\"GET https://api.pagerduty.com/incidents/**\", \"GET {config.url}/x\"]";
const ATTACH: &str = "{ to = [\"api\"], header = \"Authorization\", format = \"Token token={}\" }";

#[test]
fn rules_and_attached_secrets_read() {
    let manifest = parse(&going_out(RULE, ATTACH)).expect("good");
    let capabilities = &manifest.components[0].capabilities;
    assert_eq!(capabilities[1].rules[1].to_string(), "GET {config.url}/x");
    let attach = capabilities[2].attach.as_ref().expect("attached");
    assert_eq!(
        attach.to_string(),
        "header `authorization: Token token={}` to api"
    );
    let query = "{ to = [\"api\"], query = \"key\" }";
    assert!(parse(&going_out(RULE, query)).is_ok());
}

#[test]
fn what_is_wrong_with_a_rule_is_named_with_its_place() {
    let cases = [
        (
            "[\"POTS https://a.b/\"]",
            ATTACH,
            "plugin.toml:32:8: unknown method `POTS`",
        ),
        ("[\"POTS https://a.b/\"]", ATTACH, "did you mean `POST`?"),
        ("[\"GET htps://a.b/\"]", ATTACH, "did you mean `https`?"),
        ("[\"GET https://a.b/x?y\"]", ATTACH, "plugin.toml:32:8"),
        ("[]", ATTACH, "capability `api` has 0 rules"),
        (
            RULE,
            "{ to = [\"apy\"], query = \"k\" }",
            "did you mean `api`?",
        ),
        (
            RULE,
            "{ to = [\"token\"], query = \"k\" }",
            "no capability with use `http`",
        ),
        (
            RULE,
            "{ to = [\"api\"], header = \"Host\" }",
            "the host's own",
        ),
        (
            RULE,
            "{ to = [\"api\"], heder = \"X\" }",
            "did you mean `header`?",
        ),
        (RULE, "{ to = [\"api\"] }", "name a `header` or a `query`"),
    ];
    for (rule, attach, expected) in cases {
        let message = parse(&going_out(rule, attach)).expect_err(expected);
        assert!(message.contains(expected), "{rule} {attach}: {message}");
    }
}

#[test]
fn names_are_not_used_twice() {
    let component = GOOD.split_once("[[component]]").expect("has one").1;
    let twice = format!("{GOOD}\n[[component]]{component}");
    assert!(parse(&twice).expect_err("twice").contains("two components"));
    let capability = GOOD
        .split_once("[[component.capability]]")
        .expect("has one")
        .1;
    let twice = format!("{GOOD}\n[[component.capability]]{capability}");
    assert!(
        parse(&twice)
            .expect_err("twice")
            .contains("two capabilities")
    );
}

#[test]
fn a_signature_that_cannot_be_checked_is_refused() {
    let webhook = "[component.webhook]\nsignature = { scheme = \"hmac-sha256-hex\", \
                   header = \"X-Signature\", secret = \"s\" }\n\n[component.limits]";
    assert!(refusal("[component.limits]", webhook).contains("cannot do"));
}

proptest::proptest! {
    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,400}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_damage_gives_an_answer(at in 0..GOOD.len(), with in "\\PC{0,3}") {
        if GOOD.is_char_boundary(at) {
            let _ = parse(&format!("{}{with}{}", &GOOD[..at], &GOOD[at..]));
        }
    }
}

const REFERENCE: &str = include_str!("../../../../sdk/manifest.md");

#[test]
fn the_reference_is_true() {
    let (_, after) = REFERENCE.split_once("```toml\n").expect("an example");
    let (example, _) = after.split_once("```").expect("its end");
    let manifest = parse(example).expect("good");
    assert_eq!(manifest.components[0].capabilities.len(), 2);

    // Each key of the table, with its default, asks for what is so anyhow.
    let (_, limits) = REFERENCE.split_once("## `limits`").expect("limits");
    let rows = limits.lines().filter_map(|line| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, _) = rest.split_once(" | ")?;
        let is_number = default.bytes().all(|byte| byte.is_ascii_digit());
        let quoted = format!("\"{default}\"");
        Some((key, if is_number { default } else { &quoted }.to_owned()))
    });
    let rows: Vec<(&str, String)> = rows.collect();
    let asked: Vec<String> = rows
        .iter()
        .map(|(key, default)| format!("{key} = {default}"))
        .collect();
    let own = "memory = \"32MiB\"\ncpu-per-call = \"100ms\"";
    assert!(GOOD.contains(own));
    let manifest = parse(&GOOD.replace(own, &asked.join("\n"))).expect("good");
    let component = &manifest.components[0];
    let ceiling = faultline_domain::plugin::Limits::default_ceiling();
    let default = faultline_domain::plugin::Limits::default();
    assert_eq!(component.limits.resolve(ceiling), default);
    assert_eq!(rows.len(), 16, "{rows:?}");
    assert!(!format!("{:?}", component.limits).contains("None"));
}
