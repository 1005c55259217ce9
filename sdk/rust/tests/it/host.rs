//! The fake host: it grants what it was given, and denies the rest.

use faultline_sdk::exec::Output;
use faultline_sdk::http::{Request, Response};
use faultline_sdk::kv::Change;
use faultline_sdk::log::Level;
use faultline_sdk::testkit::FakeHost;
use faultline_sdk::{Attribute, Fault, Retry, config, exec, http, kv, log, secrets};
use serde_json::json;

fn code<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    answer.expect_err("a refusal").code
}

#[test]
fn nothing_is_granted_without_being_given() {
    FakeHost::new().run(|| {
        assert_eq!(code(kv::get("key")), "denied");
        assert_eq!(
            code(http::send(Request::get("https://x.example/"))),
            "denied"
        );
        assert_eq!(code(secrets::equals("token", b"x")), "denied");
        assert_eq!(code(secrets::hmac_sha256("token", b"x")), "denied");
        assert_eq!(code(exec::run("restart", &[])), "denied");
        assert_eq!(config::get(), "{}");
    });
    // So it is where there is no host at all.
    assert_eq!(code(kv::get("key")), "denied");
    log::info("heard by nobody");
}

#[test]
fn hosts_do_not_mix() {
    let outer = FakeHost::new().with_config(&json!({"who": "outer"}));
    let inner = FakeHost::new().with_config(&json!({"who": "inner"}));
    outer.run(|| {
        let seen = inner.run(config::get);
        assert_eq!(seen, r#"{"who":"inner"}"#);
        assert_eq!(config::get(), r#"{"who":"outer"}"#);
        log::warn("careful");
    });
    assert_eq!(outer.lines(), [(Level::Warn, "careful".to_owned())]);
    assert_eq!(inner.lines(), []);
}

#[test]
fn keys_have_versions() {
    FakeHost::new().with_kv(1_000).run(|| {
        let first = kv::commit(&[Change::set("a", "1").if_absent(), Change::set("b", "2")]);
        let first = first.expect("both are new");
        let entry = kv::get("a").expect("granted").expect("it was set");
        assert_eq!((entry.value.as_slice(), entry.version), (&b"1"[..], first));
        assert_eq!(
            code(kv::commit(&[Change::set("a", "3").if_absent()])),
            "conflict"
        );
        // All or nothing.
        let half = [Change::delete("b"), Change::set("a", "3").if_version(99)];
        assert_eq!(code(kv::commit(&half)), "conflict");
        assert!(kv::get("b").expect("granted").is_some());
        let second = kv::commit(&[Change::set("a", "3").if_version(first)]);
        assert!(second.expect("the version matches") > first);
        let keys = ["b".to_owned(), "c".to_owned()];
        let found = kv::get_all(&keys).expect("granted");
        assert_eq!(
            found.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(code(kv::commit(&[Change::set("", "x")])), "malformed");
    });
}

#[test]
fn keys_are_scanned_in_order() {
    FakeHost::new().with_kv(1_000).run(|| {
        let changes: Vec<Change> = ["b/2", "a/1", "b/1", "b/3"]
            .into_iter()
            .map(|key| Change::set(key, key))
            .collect();
        kv::commit(&changes).expect("room for four");
        let scan = |after, limit| -> Vec<String> {
            let found = kv::scan("b/", after, limit).expect("granted");
            found.into_iter().map(|entry| entry.key).collect()
        };
        assert_eq!(scan(None, 10), ["b/1", "b/2", "b/3"]);
        assert_eq!(scan(Some("b/1"), 1), ["b/2"]);
    });
}

#[test]
fn there_is_a_quota() {
    // An entry counts 128 bytes beside what is in it.
    FakeHost::new().with_kv(10 + 128).run(|| {
        kv::commit(&[Change::set("key", "1234567")]).expect("ten bytes");
        assert_eq!(code(kv::commit(&[Change::set("k", "")])), "limit.kv");
        kv::commit(&[Change::delete("key"), Change::set("k", "123456789")]).expect("ten bytes");
    });
}

#[test]
fn requests_are_answered_and_kept() {
    let host = FakeHost::new()
        .with_secret("token", "s3cret")
        .with_answer("GET", "https://x.example/a", Ok(Response::new(200, "one")))
        .with_answer("GET", "https://x.example/a", Ok(Response::new(503, "two")));
    host.run(|| {
        let get = || http::send(Request::get("https://x.example/a").with_secret("token"));
        let first = get().and_then(Response::ok).expect("200");
        assert_eq!(first.body, b"one");
        let busy = get().and_then(Response::ok).expect_err("503");
        assert_eq!((busy.code.as_str(), busy.retry), ("http.503", Retry::Later));
        assert_eq!(code(get()), "denied");
        let stranger = Request::get("https://x.example/a").with_secret("other");
        assert_eq!(code(http::send(stranger)), "denied");
    });
    assert_eq!(host.requests().len(), 4);
}

#[test]
fn responses_say_when_to_come_back() {
    let busy = Response::new(429, "").with_header("Retry-After", "3");
    let fault = busy.ok().expect_err("429");
    assert_eq!(fault.retry, Retry::AfterMs(3_000));
    let fault = Response::new(404, "").ok().expect_err("404");
    assert_eq!(fault.retry, Retry::Never);
    let mut cut = Response::new(200, "[1");
    cut.truncated = true;
    assert!(cut.json::<Vec<u8>>().is_err());
    assert_eq!(Response::new(200, "[1]").json::<Vec<u8>>(), Ok(vec![1]));
}

#[test]
fn secrets_are_used_unseen() {
    // RFC 4231, test case 2.
    let host = FakeHost::new().with_secret("key", "Jefe");
    host.run(|| {
        let mac = secrets::hmac_sha256("key", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let hex = data_encoding::HEXLOWER.encode(&mac.expect("granted"));
        assert_eq!(hex, expected);
        assert_eq!(secrets::equals("key", b"Jefe"), Ok(true));
        assert_eq!(secrets::equals("key", b"jefe"), Ok(false));
        assert_eq!(code(secrets::reveal("key")), "denied");
    });
}

#[test]
fn what_may_be_seen_is_another_grant() {
    let host = FakeHost::new().with_revealed_secret("key", "Jefe");
    host.run(|| {
        assert_eq!(secrets::reveal("key"), Ok(b"Jefe".to_vec()));
        assert_eq!(code(secrets::equals("key", b"Jefe")), "denied");
        let request = Request::get("https://x.example/a").with_secret("key");
        assert_eq!(code(http::send(request)), "denied");
    });
}

#[test]
fn keys_and_values_are_refused_as_the_host_refuses_them() {
    FakeHost::new().with_kv(4 << 20).run(|| {
        let many: Vec<String> = (0..1_001).map(|key| key.to_string()).collect();
        assert!(kv::get_all(&many[..1_000]).is_ok());
        assert_eq!(code(kv::get_all(&many)), "malformed");
        let changes: Vec<Change> = many.iter().map(Change::delete).collect();
        assert_eq!(code(kv::commit(&changes)), "malformed");
        for key in ["", "a\0b", &"k".repeat(513)] {
            assert_eq!(code(kv::get(key)), "malformed");
            assert_eq!(code(kv::commit(&[Change::set(key, "x")])), "malformed");
        }
        assert_eq!(code(kv::scan("a\0", None, 1)), "malformed");
        assert_eq!(code(kv::scan("", Some("a\0"), 1)), "malformed");
        let long = Change::set("long", vec![0; (1 << 20) + 1]);
        assert_eq!(code(kv::commit(&[long])), "malformed");
        // One after the other, each upon those before it.
        let twice = [Change::set("a", "1"), Change::set("a", "2")];
        let version = kv::commit(&twice).expect("written");
        assert_eq!(kv::get("a").expect("granted").expect("set").value, b"2");
        let again = [
            Change::set("a", "3").if_version(version),
            Change::set("a", "4").if_version(version),
        ];
        assert_eq!(code(kv::commit(&again)), "conflict");
    });
    // What is malformed is so whether or not it was granted.
    FakeHost::new().run(|| assert_eq!(code(kv::get("")), "malformed"));
}

#[test]
fn commands_are_run_by_name() {
    let host = FakeHost::new().with_exec(|command, parameters| {
        log::debug(command);
        Ok(Output {
            exit: i32::from(command != "restart"),
            stdout: parameters
                .first()
                .map_or(Vec::new(), |one| one.value.clone().into_bytes()),
            stderr: b"first\nno such unit\n".to_vec(),
            truncated: false,
        })
    });
    host.run(|| {
        let unit = Attribute::new("unit", "nginx");
        let done = exec::run("restart", &[unit]).and_then(Output::ok);
        assert_eq!(done.expect("it ends with 0").stdout, b"nginx");
        let failed = exec::run("stop", &[])
            .and_then(Output::ok)
            .expect_err("it ends with 1");
        assert!(
            failed.message.ends_with("no such unit"),
            "{}",
            failed.message
        );
    });
    assert_eq!(host.commands().len(), 2);
    assert_eq!(host.lines().len(), 2);
}
