//! Requests and grants in, what may be done out.

use super::*;
use crate::rule::Destination;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn request(id: &str, using: Use, required: bool) -> Request {
    Request {
        id: id.to_owned(),
        using,
        required,
        reason: "to remember".to_owned(),
        rules: Vec::new(),
        attach: None,
    }
}

fn http(id: &str, rules: &[&str]) -> Request {
    Request {
        rules: rules.iter().map(|rule| rule.parse().expect(rule)).collect(),
        ..request(id, Use::Http, true)
    }
}

fn no_setting(_: &str) -> Option<String> {
    None
}

/// All that is asked for.
fn granted(request: &Request) -> Grant {
    granted_with(request, &no_setting)
}

fn granted_with(request: &Request, setting: &dyn Fn(&str) -> Option<String>) -> Grant {
    let asked = request.asked(setting).expect("resolves");
    Grant::whole(&request.id, asked, "dana", Timestamp::ZERO, "needed")
}

fn resolve(requested: &[Request], granted: &[Grant]) -> Result<Effective, Vec<GrantError>> {
    Effective::resolve(requested, granted, &no_setting, NOW)
}

fn permitted(effective: &Effective, url: &str, secret: Option<&str>) -> Result<String, String> {
    let destination = Destination::parse("GET", url).expect(url);
    effective
        .permit(&destination, secret, NOW)
        .map(|permit| permit.capability.to_owned())
}

#[test]
fn nothing_is_allowed_that_was_not_granted() {
    let requested = [request("state", Use::Kv, false)];
    let effective = resolve(&requested, &[]).expect("optional");
    assert_eq!(effective.allows(Use::Kv, NOW), None);
    let effective = resolve(&requested, &[granted(&requested[0])]).expect("granted");
    assert_eq!(effective.allows(Use::Kv, NOW), Some("state"));
    assert_eq!(effective.allows(Use::Http, NOW), None);
}

#[test]
fn every_reason_is_given() {
    let requested = [
        request("state", Use::Kv, true),
        request("run", Use::Exec, false),
    ];
    let other = Grant {
        capability: "other".to_owned(),
        ..granted(&requested[0])
    };
    let errors = resolve(&requested, &[other]).expect_err("three");
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("needs `state`"));
    assert!(texts[1].contains("cannot enforce"));
    assert!(texts[2].contains("does not ask for"));
}

#[test]
fn a_grant_can_be_narrower_and_never_wider() {
    let requested = [http("api", &["GET,POST https://api.example.com/**"])];
    let mut grant = granted(&requested[0]);
    grant.terms.rules = vec![
        "GET https://api.example.com/incidents/**"
            .parse()
            .expect("a rule"),
        "GET https://evil.example.net/**".parse().expect("a rule"),
    ];
    let effective = resolve(&requested, &[grant]).expect("granted");
    let ask = |url| permitted(&effective, url, None);
    assert_eq!(
        ask("https://api.example.com/incidents/1").as_deref(),
        Ok("api")
    );
    assert!(ask("https://api.example.com/users").is_err());
    assert!(ask("https://evil.example.net/").is_err());
}

#[test]
fn a_grant_ends() {
    let requested = [http("api", &["GET https://api.example.com/**"])];
    let mut grant = granted(&requested[0]);
    grant.expires = Some(Timestamp::from_secs(1_001));
    let effective = resolve(&requested, std::slice::from_ref(&grant)).expect("granted");
    let destination = Destination::parse("GET", "https://api.example.com/").expect("a URL");
    assert!(effective.permit(&destination, None, NOW).is_ok());
    let later = Timestamp::from_secs(1_001);
    let error = effective.permit(&destination, None, later);
    assert_eq!(error, Err("the grant of `api` has expired".to_owned()));
    let errors = Effective::resolve(&requested, &[grant], &no_setting, later);
    assert!(errors.expect_err("expired")[0].waits_for_consent());
}

#[test]
fn what_the_configuration_makes_of_it_is_what_was_consented_to() {
    let requested = [http("api", &["GET https://{config.host}/**"])];
    let setting = |host: &'static str| move |_: &str| Some(host.to_owned());
    let grant = granted_with(&requested[0], &setting("a.example.com"));
    let with = |host: &'static str| {
        Effective::resolve(
            &requested,
            std::slice::from_ref(&grant),
            &setting(host),
            NOW,
        )
    };
    assert!(with("a.example.com").is_ok());
    let errors = with("b.example.com").expect_err("changed");
    assert!(
        matches!(errors[0], GrantError::Changed { .. }),
        "{errors:?}"
    );
    let errors = resolve(&requested, std::slice::from_ref(&grant)).expect_err("no setting");
    assert!(matches!(errors[0], GrantError::Setting(_)), "{errors:?}");
}

#[test]
fn secrets_go_where_they_are_attached() {
    let attach = |to: &str| Attach::new(vec![to.to_owned()], Some("X-Key"), None, None);
    let mut key = request("key", Use::Secret, true);
    key.attach = Some(attach("one").expect("good"));
    let requested = [
        http("one", &["GET https://one.example.com/**"]),
        http("two", &["GET https://two.example.com/**"]),
        key,
    ];
    let mut grants: Vec<Grant> = requested.iter().map(granted).collect();
    let errors = resolve(&requested, &grants).expect_err("no secret");
    assert!(errors[0].to_string().contains("--secret key=env:NAME"));
    grants[2].terms.secret = Some("env:KEY".parse().expect("a reference"));
    let effective = resolve(&requested, &grants).expect("granted");
    let ask = |url, secret| permitted(&effective, url, Some(secret));
    assert_eq!(ask("https://one.example.com/", "key").as_deref(), Ok("one"));
    let error = ask("https://two.example.com/", "key").expect_err("elsewhere");
    assert!(error.contains("not attached to `two`"), "{error}");
    assert!(ask("https://one.example.com/", "other").is_err());
    let error = effective.secret("key", Use::Secret, NOW);
    assert!(error.expect_err("attached").contains("goes with requests"));
    assert!(effective.secret("key", Use::SecretReveal, NOW).is_err());

    // Attached to nothing it could be computed with: that was not asked for.
    let mut loose = requested.clone();
    loose[2].attach = None;
    assert!(!loose[2].asks_no_more_than(&requested[2]));
    let errors = resolve(&loose, &grants).expect_err("changed");
    assert!(
        matches!(errors[0], GrantError::Changed { .. }),
        "{errors:?}"
    );

    // Attached to more than before: somebody has to look at it.
    let mut grown = requested.clone();
    grown[2].attach = Some(attach("two").expect("good"));
    let errors = resolve(&grown, &grants).expect_err("changed");
    assert!(
        matches!(errors[0], GrantError::Changed { .. }),
        "{errors:?}"
    );
}

#[test]
fn what_was_granted_for_one_use_is_not_granted_for_another() {
    let hidden = request("key", Use::Secret, true);
    let seen = request("key", Use::SecretReveal, true);
    let mut grant = granted(&hidden);
    grant.terms.secret = Some("env:KEY".parse().expect("a reference"));
    let errors = resolve(&[seen], std::slice::from_ref(&grant)).expect_err("changed");
    assert!(
        matches!(errors[0], GrantError::Changed { .. }),
        "{errors:?}"
    );
    let requested = [hidden];
    let effective = resolve(&requested, std::slice::from_ref(&grant)).expect("granted");
    assert!(effective.secret("key", Use::Secret, NOW).is_ok());

    // Grants that were given before the use was kept are read, and hold.
    let mut kept = serde_json::to_value(&grant).expect("JSON");
    let asked = kept["terms"]["asked"].as_object_mut().expect("an object");
    assert!(asked.remove("using").is_some());
    let old: Grant = serde_json::from_value(kept).expect("reads");
    assert!(resolve(&requested, &[old]).is_ok());
}

#[test]
fn addresses_need_a_network_that_was_granted() {
    let requested = [
        http("api", &["GET https://api.example.com/**"]),
        http("near", &["GET https://10.1.0.0/16/metrics"]),
    ];
    let mut grants: Vec<Grant> = requested.iter().map(granted).collect();
    grants[0].terms.networks = vec!["192.168.0.0/24".parse().expect("a network")];
    let effective = resolve(&requested, &grants).expect("granted");
    let admitted = |url: &str, address: &str| {
        let destination = Destination::parse("GET", url).expect(url);
        let permit = effective.permit(&destination, None, NOW).expect(url);
        effective
            .admit(&destination, &permit, address.parse().expect(address), NOW)
            .is_ok()
    };
    let (api, metrics) = (
        "https://api.example.com/x",
        "https://api.example.com/metrics",
    );
    assert!(admitted(api, "1.1.1.1"));
    assert!(admitted(api, "192.168.0.7"));
    assert!(admitted(api, "::ffff:192.168.0.7"));
    assert!(!admitted(api, "192.168.1.7"));
    assert!(!admitted(api, "10.1.2.3"), "another path than the rule's");
    assert!(admitted(metrics, "10.1.2.3"));
    assert!(admitted("https://10.1.2.3/metrics", "10.1.2.3"));
    assert!(!admitted(metrics, "127.0.0.1"));
}

#[test]
fn renewed_grants_are_compared_by_what_they_allow() {
    let requested = http("api", &["GET https://api.example.com/**"]);
    let grant = granted(&requested);
    let renewed = Grant {
        by: "lee".to_owned(),
        ..grant.clone()
    };
    assert!(renewed.allows_all_of(&grant));
    let mut narrowed = renewed;
    narrowed.terms.rules = vec!["GET https://api.example.com/a".parse().expect("a rule")];
    assert!(!narrowed.allows_all_of(&grant));
    assert!(grant.allows_all_of(&narrowed));
}
