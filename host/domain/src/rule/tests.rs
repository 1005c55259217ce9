//! Rules and requests in, whether they fit out.

use proptest::prelude::*;

use super::*;

fn rule(text: &str) -> Rule {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn allows(rule_text: &str, method: &str, url: &str) -> bool {
    let destination = Destination::parse(method, url).unwrap_or_else(|e| panic!("{url}: {e}"));
    rule(rule_text).matches(&destination)
}

#[test]
fn rules_read_as_they_are_written() {
    for text in [
        "GET https://api.example.com/**",
        "GET,POST https://api.example.com/incidents/*/notes",
        "* https://*.example.com:8443/",
        "GET http://localhost:8000..8010/a%20b/**",
        "DELETE https://10.0.0.0/8:9090/**",
        "GET https://[fd00::/8]:9090/**",
        "GET https://git.example.com/projects/group%2Fname/**",
    ] {
        assert_eq!(rule(text).to_string(), text);
    }
    assert_eq!(
        rule("POST,GET https://a.b:443/x").to_string(),
        "GET,POST https://a.b/x"
    );
}

/// Grants keep rules as they are written: one that grows beyond what is read
/// would be a grant that nobody can read any more.
#[test]
fn what_is_short_enough_only_before_it_is_encoded_is_too_long() {
    let of = |count: usize| format!("GET https://a.b/{}", "|".repeat(count));
    let long = of(150);
    assert!(rule(&long).to_string().len() <= RULE_CHARS_MAX);
    assert_eq!(rule(&rule(&long).to_string()), rule(&long));
    let error = of(480).parse::<Rule>().expect_err("1,440 characters");
    assert!(error.to_string().contains("500 characters"), "{error}");
}

#[test]
fn what_is_no_rule_is_refused_with_the_remedy() {
    let cases = [
        ("GET", "one space"),
        ("GET  https://a.b/", "one space"),
        (
            "GTE https://a.b/",
            "unknown method `GTE`, expected `*` or a comma list of `GET`",
        ),
        ("get https://a.b/", "unknown method `get`"),
        ("CONNECT https://a.b/", "unknown method"),
        (
            "GET ftp://a.b/",
            "unknown scheme `ftp`, expected `https` or `http`",
        ),
        ("GET a.b/", "has no scheme"),
        ("GET https://a.b", "ends with a path"),
        ("GET https://*.com/", "whole top-level domain"),
        ("GET https://*/", "is no host"),
        ("GET https://a*.b/", "is no host"),
        ("GET https://A.b/", "is no host"),
        ("GET https://bücher.example/", "`xn--` form"),
        ("GET https://u@a.b/", "is no host"),
        ("GET https://10.0.0.1/", "length of their prefix"),
        ("GET https://10.0.0.1/8/", "did you mean `10.0.0.0/8`?"),
        ("GET https://[::ffff:10.0.0.0/104]/", "is of IPv4"),
        ("GET https://0x7f.1/", "is no host"),
        ("GET https://a.b:0/", "is no port"),
        ("GET https://a.b:080/", "is no port"),
        ("GET https://a.b:9..1/", "is empty"),
        ("GET https://a.b/x?y", "without query"),
        ("GET https://a.b/x*", "whole segment"),
        ("GET https://a.b/**/x", "whole segment"),
        ("GET https://a.b/x/../y", "no `.` and `..`"),
        ("GET https://a.b/%2e%2E/y", "no `.` and `..`"),
        ("GET https://a.b/%zz", "two hexadecimal digits"),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Rule>().expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn hosts_and_ports_are_compared_as_a_whole() {
    let cases = [
        ("GET https://a.b/**", "https://a.b/", true),
        ("GET https://a.b/**", "https://a.b:8443/", false),
        ("GET https://a.b/**", "http://a.b/", false),
        ("GET http://a.b/**", "http://a.b/", true),
        ("GET https://*.a.b/**", "https://x.a.b/", true),
        ("GET https://*.a.b/**", "https://y.x.a.b/", true),
        ("GET https://*.a.b/**", "https://a.b/", false),
        ("GET https://*.a.b/**", "https://evila.b/", false),
        ("GET https://*.a.b/**", "https://x.a.b.evil.c/", false),
        ("GET https://10.0.0.0/8/**", "https://10.9.8.7/", true),
        (
            "GET https://10.0.0.0/8/**",
            "https://[::ffff:a09:807]/",
            true,
        ),
        ("GET https://10.0.0.0/8/**", "https://11.0.0.1/", false),
        ("GET https://[fd00::/8]/**", "https://[fd12::1]/", true),
        ("GET https://a.b:1..9/**", "https://a.b:9/", true),
        ("GET https://a.b:1..9/**", "https://a.b:10/", false),
    ];
    for (rule, url, expected) in cases {
        assert_eq!(allows(rule, "GET", url), expected, "{rule} {url}");
    }
    assert!(!allows("GET https://a.b/**", "POST", "https://a.b/"));
    assert!(allows("* https://a.b/**", "POST", "https://a.b/"));
}

#[test]
fn paths_are_compared_as_a_server_could_read_them() {
    let one = "GET https://a.b/incidents/*/notes";
    let rest = "GET https://a.b/incidents/**";
    let exact = "GET https://a.b/projects/group%2Fname";
    let cases = [
        (one, "/incidents/7/notes", true),
        (one, "/%69ncidents/7/notes", true),
        (one, "/incidents/7/notes/8", false),
        (one, "/incidents//notes", false),
        (one, "/incidents/7%2F8/notes", false),
        (one, "/incidents/7/notes?x=/../", true),
        (one, "/x/../incidents/7/notes", true),
        (rest, "/incidents", true),
        (rest, "/incidents/", true),
        (rest, "/incidents/7/8/9", true),
        (rest, "/incidentsx", false),
        (rest, "/incidents/../users", false),
        (rest, "/incidents/%2e%2e/users", false),
        (rest, "/incidents/..%2fusers", false),
        (rest, "/incidents/..%5cusers", false),
        (rest, "/incidents/%252e%252e/users", false),
        (rest, "/incidents/..;/users", false),
        (rest, "/incidents/..;x=y/users", false),
        (rest, "/incidents/a%00b", false),
        (rest, "/incidents/%ff", false),
        (rest, "/incidents/a%20b", true),
        (exact, "/projects/group%2fname", true),
        (exact, "/projects/group/name", false),
    ];
    for (rule, path, expected) in cases {
        let url = format!("https://a.b{path}");
        assert_eq!(allows(rule, "GET", &url), expected, "{rule} {path}");
    }
}

#[test]
fn urls_that_would_have_to_be_mended_are_refused() {
    for (url, expected) in [
        ("https://u:p@a.b/", "user info"),
        ("https://a.b/#x", "fragment"),
        ("//a.b/", "begins neither"),
        ("ftp://a.b/", "begins neither"),
        ("HTTPS://a.b/", "begins neither"),
        ("https:/a.b/", "begins neither"),
        ("https:///a.b/", "odd way"),
        ("https://a.b\\@c.d/", "do not belong"),
        ("https://a.b/\r\nX: y", "do not belong"),
        ("https://a.b/ x", "do not belong"),
        ("https://a\t.b/", "do not belong"),
        ("https://0x7f.0.0.1/", "odd way"),
        ("https://0177.0.0.1/", "odd way"),
        ("https://2130706433/", "odd way"),
        ("https://127.1/", "odd way"),
        ("https://127.0.0.1./", "odd way"),
        ("https://%61.b/", "odd way"),
        ("https://a.b./", "odd way"),
        ("https://A.b/", "odd way"),
        ("https://b\u{fc}cher.example/", "do not belong"),
        ("https://[0:0:0:0:0:0:0:1]/", "odd way"),
        ("https://[::1%25eth0]/", ""),
        ("https://a.b:/", "odd port"),
        ("https://a.b:0443/", "odd port"),
        ("https://a.b:0/", "odd port"),
        ("https://a.b:65536/", ""),
        ("https://a..b/", "odd way"),
        ("https:///", ""),
        ("https://", ""),
    ] {
        let error = Destination::parse("GET", url).expect_err(url).to_string();
        assert!(error.contains(expected), "{url}: {error}");
    }
    assert!(Destination::parse("get", "https://a.b/").is_err());
    assert!(Destination::parse("GET /x HTTP/1.1\r\n", "https://a.b/").is_err());
    let long = format!("https://a.b/{}", "x".repeat(8192));
    assert!(Destination::parse("GET", &long).is_err());
}

#[test]
fn redirects_are_read_like_any_url() {
    let from = Destination::parse("POST", "https://a.b:8443/x/y?z").expect("a URL");
    let to = |location: &str| from.redirected(location, Method::Get);
    let cases = [
        ("/w", "GET https://a.b:8443", "/w"),
        ("w?q", "GET https://a.b:8443", "/x/w?q"),
        ("//c.d/w", "GET https://c.d", "/w"),
        ("http://c.d/w#f", "GET http://c.d", "/w"),
    ];
    for (location, origin, path) in cases {
        let to = to(location).expect(location);
        assert_eq!(
            (to.to_string().as_str(), to.path_and_query()),
            (origin, path)
        );
    }
    for location in [
        "https://u@c.d/",
        "https://0x7f.1/",
        "\\\\c.d/",
        "/a b",
        "ftp://x/",
        "javascript:x",
    ] {
        assert!(to(location).is_err(), "{location}");
    }
}

#[test]
fn templates_are_resolved_with_the_configuration() {
    let resolve = |template: &str, value: &str| {
        let template: RuleTemplate = template.parse().expect(template);
        let value = value.to_owned();
        template
            .resolve(&move |key| (key == "at").then(|| value.clone()))
            .map(|rule| rule.to_string())
            .map_err(|error| error.to_string())
    };
    let (host, url) = ("GET https://{config.at}/api/**", "GET {config.at}/api/**");
    let good = [
        (host, "a.b", "GET https://a.b/api/**"),
        (host, "a.b:8443", "GET https://a.b:8443/api/**"),
        (host, "10.0.0.5", "GET https://10.0.0.5/32/api/**"),
        ("GET https://{config.at}:9/x", "a.b", "GET https://a.b:9/x"),
        (url, "http://a.b:9090", "GET http://a.b:9090/api/**"),
        (url, "https://a.b/prom/", "GET https://a.b/prom/api/**"),
        (url, "http://[::1]:9/", "GET http://[::1/128]:9/api/**"),
        ("GET https://x.y/", "ignored", "GET https://x.y/"),
    ];
    for (template, value, expected) in good {
        assert_eq!(resolve(template, value).as_deref(), Ok(expected), "{value}");
    }
    for (template, value) in [
        (host, ""),
        (host, "a.b/x"),
        (host, "*.b"),
        (host, "u@a.b"),
        (host, "10.0.0.0/8"),
        (host, "a.b:1..9"),
        ("GET https://{config.at}:9/x", "a.b:8"),
        (url, "a.b"),
        (url, "https://a.b/*"),
        (url, "https://a.b/?x"),
        (url, "ftp://a.b"),
        ("GET https://{config.other}/", "a.b"),
    ] {
        assert!(resolve(template, value).is_err(), "{template} {value}");
    }
    for template in [
        "GET https://{config.}/",
        "GET https://{x}/",
        "GET https://a.{config.at}/",
        "GET {config.at}:80/x",
        "GET {config.at}",
        // Each would be a part of the host or of the port.
        "GET {config.at}0/**",
        "GET https://{config.at}0/**",
        "GET {config.at}.example/**",
        "GET https://{config.at}.example/**",
        "GTE {config.at}/x",
        "GET https://{config.at}/../x",
    ] {
        assert!(template.parse::<RuleTemplate>().is_err(), "{template}");
    }
}

#[test]
fn rules_are_narrowed_to_what_was_seen() {
    let wide = rule("* https://*.example.com:1..9000/a/**");
    let host = Host::Name("api.example.com".to_owned());
    let get = wide.narrowed_to(Method::Get, &host, 8443).expect("within");
    assert_eq!(get.to_string(), "GET https://api.example.com:8443/a/**");
    let post = wide.narrowed_to(Method::Post, &host, 8443).expect("within");
    let both = get.joined_with(&post).expect("alike");
    assert_eq!(
        both.to_string(),
        "GET,POST https://api.example.com:8443/a/**"
    );
    assert!(wide.includes(&both));
    assert!(
        wide.narrowed_to(Method::Get, &Host::Name("x.y".to_owned()), 1)
            .is_none()
    );
    assert!(get.joined_with(&wide).is_none());
}

/// Few words, so that things often coincide.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a"),
        Just("b"),
        Just("*"),
        Just("%2F"),
        Just("a%2Fb"),
        Just("%61"),
        Just("x;y"),
        Just(""),
        Just("%252e"),
    ]
    .prop_map(str::to_owned)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let methods = prop_oneof![Just("*"), Just("GET"), Just("GET,POST"), Just("POST")];
    let host = prop_oneof![
        Just("b.c"),
        Just("*.b.c"),
        Just("a.b.c"),
        Just("*.a.b.c"),
        Just("10.0.0.0/8"),
        Just("10.1.0.0/16"),
        Just("[fd00::/8]"),
        Just("0.0.0.0/0"),
    ];
    let ports = prop_oneof![Just(""), Just(":443"), Just(":400..500"), Just(":80")];
    let scheme = prop_oneof![4 => Just("https"), 1 => Just("http")];
    let path = prop::collection::vec(segment(), 0..4);
    (methods, scheme, host, ports, path, any::<bool>()).prop_map(
        |(methods, scheme, host, ports, path, rest)| {
            let mut text = format!("{methods} {scheme}://{host}{ports}");
            for segment in &path {
                text.push('/');
                text.push_str(segment);
            }
            if rest {
                text.push_str("/**");
            } else if path.is_empty() {
                text.push('/');
            }
            rule(&text)
        },
    )
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let host = prop_oneof![
        Just("b.c"),
        Just("a.b.c"),
        Just("x.a.b.c"),
        Just("10.1.2.3"),
        Just("10.9.2.3"),
        Just("[fd12::1]"),
        Just("[::ffff:a01:203]"),
        Just("xb.c"),
    ];
    let port = prop_oneof![Just(""), Just(":450"), Just(":80")];
    let scheme = prop_oneof![4 => Just("https"), 1 => Just("http")];
    let segment = prop_oneof![
        4 => segment(),
        1 => prop_oneof![Just("..".to_owned()), Just("%2e%2e".to_owned()), Just("..%2f".to_owned()), Just("..;".to_owned())],
    ];
    let path = prop::collection::vec(segment, 0..5);
    let method = prop_oneof![Just("GET"), Just("POST"), Just("DELETE")];
    (method, scheme, host, port, path).prop_map(|(method, scheme, host, port, path)| {
        let url = format!("{scheme}://{host}{port}/{}", path.join("/"));
        Destination::parse(method, &url).unwrap_or_else(|error| panic!("{url}: {error}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// The promise that narrowed grants rest on.
    #[test]
    fn what_an_included_rule_matches_the_including_one_matches(
        wide in any_rule(), narrow in any_rule(), at in any_destination(),
    ) {
        if wide.includes(&narrow) && narrow.matches(&at) {
            prop_assert!(wide.matches(&at), "{wide} includes {narrow}: {at}");
        }
        if let Some(both) = wide.intersection(&narrow)
            && both.matches(&at)
        {
            prop_assert!(wide.matches(&at) && narrow.matches(&at));
        }
    }

    /// A rule of the very request: narrowing works, and goes no further.
    #[test]
    fn a_rule_can_be_narrowed_to_what_it_matches(wide in any_rule(), at in any_destination()) {
        prop_assert!(wide.includes(&wide));
        if wide.matches(&at) {
            let narrow = wide.narrowed_to(at.method(), at.host(), at.port()).expect("matched");
            prop_assert!(narrow.matches(&at));
            prop_assert!(wide.includes(&narrow));
        }
    }

    #[test]
    fn rules_survive_being_written(rule in any_rule()) {
        prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
    }

    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,80}") {
        let _ = text.parse::<Rule>();
        let _ = text.parse::<RuleTemplate>();
        let _ = Destination::parse("GET", &text);
        let _ = Destination::parse("GET", &format!("https://{text}"));
    }
}
