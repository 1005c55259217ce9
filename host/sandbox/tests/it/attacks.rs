//! Attacks on the way out, each as data: `tests/attacks/*.toml`. A guest that
//! does what it is told to is given a grant and an errand; the network is a
//! fake one in front of a loopback server, and the clock stands still.
//!
//! What is expected stands with each attack: what the guest is told, what is on
//! the audit log, and which addresses were connected to. Beside that it is true
//! of all of them that neither the guest nor the log ever gets to see the
//! secret.

mod attack;
mod network;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use faultline_domain::attach::Attach;
use faultline_domain::audit::Stage;
use faultline_domain::decode::Decoder as _;
use faultline_domain::fault::Fault;
use faultline_domain::grant::{Effective, Grant, Request, Use};
use faultline_domain::plugin::{CallError, Limits};
use faultline_domain::poll::Poller as _;
use faultline_domain::time::Timestamp;
use faultline_egress::{Egress, Policy, Trust};
use faultline_sandbox::{InstanceSpec, Loaded, Role, Sandbox, Services};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{Memory, bundle, envelope, spec};
use attack::{Attack, Expected, read};
use network::Fake;
use server::Server;

/// What the time is, in seconds.
const NOW: u64 = 1_000_000;

/// Where the secret is kept, what it is, and the capability that names it.
const KEPT: &str = "env:TOKEN";
const SECRET: &str = "s3cr3t+of/the=test";
const TOKEN: &str = "token";

/// The fewest attacks that there are: a file that is not found is none passed.
const ATTACKS_MIN: usize = 40;

/// What came of an attack.
#[derive(Debug)]
struct Outcome {
    /// What the guest was told, one for each of its requests.
    answers: Vec<Value>,
    /// Stage, action and result of each row.
    rows: Vec<String>,
    /// Whatever the rows say beside.
    details: String,
    /// Addresses that were connected to.
    dialled: Vec<String>,
    /// Requests as the server heard them.
    heard: String,
}

/// A courier with its grants, and everything around it. Attacks that begin with
/// the same grants share one: what takes time is to compile it.
struct Scene {
    runtime: Runtime,
    services: Arc<Memory>,
    server: Server,
    network: Arc<Fake>,
    loaded: Arc<Loaded>,
    _sandbox: Sandbox,
}

impl Scene {
    fn set(attack: &Attack) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let services = Arc::new(Memory::default());
        services.keep(KEPT, SECRET);
        let server = runtime.block_on(Server::start());
        let network = Arc::new(Fake::new(server.tls, server.plain));
        let trust = Trust::with_roots(Some(include_str!("../attacks/pki/authority.pem")));
        let policy = Policy {
            allow: attack.ceiling.clone(),
            deny: attack.deny.clone(),
        };
        let egress = Egress::new(Arc::clone(&network) as Arc<_>, trust.expect("PEM"), policy);
        let sandbox = Sandbox::start(
            Arc::clone(&services) as Arc<dyn Services>,
            runtime.handle().clone(),
            Arc::new(|| Timestamp::from_secs(NOW)),
        )
        .expect("a sandbox")
        .with_egress(egress);
        let courier = bundle("courier");
        let component = &courier.manifest().components[0];
        let wasm = courier.wasm(component).expect("a component");
        let spec = InstanceSpec {
            limits: attack.limits(Limits::default()),
            grants: granted(attack),
            ..spec()
        };
        let role = Role::Connector {
            family: "test".to_owned(),
        };
        let declared = [Use::Http, Use::Secret, Use::SecretReveal];
        let loaded = sandbox.load(spec, role, wasm, &declared);
        let loaded = Arc::new(loaded.expect("the courier"));
        Self {
            runtime,
            services,
            server,
            network,
            loaded,
            _sandbox: sandbox,
        }
    }

    fn play(&self, attack: &Attack) -> Outcome {
        let _runtime = self.runtime.enter();
        self.services.rows.lock().expect("no panic").clear();
        self.network.reset(attack.names());
        let heard = self.server.reset(attack.answers.clone(), &self.loaded);
        if attack.revoked {
            self.loaded.revoke();
        }
        let began = Instant::now();
        let answers = self.answers(attack);
        if let Some(most) = attack.within_ms {
            let took = began.elapsed();
            let most = Duration::from_millis(most);
            assert!(took < most, "{}: took {took:?}", attack.name);
        }
        let rows = self.services.rows.lock().expect("no panic");
        Outcome {
            answers,
            rows: rows
                .iter()
                .map(|entry| match &entry.stage {
                    Stage::Outcome { result, .. } => format!("outcome {} {result}", entry.action),
                    other => format!("{} {}", other.as_str(), entry.action),
                })
                .collect(),
            details: rows.iter().map(|entry| entry.detail.as_str()).collect(),
            dialled: self.network.dialled(),
            heard: heard.lock().expect("no panic").clone(),
        }
    }

    /// What the guest is told.
    fn answers(&self, attack: &Attack) -> Vec<Value> {
        let Loaded::Poller(connector, poller) = &*self.loaded else {
            panic!("the courier polls");
        };
        let errands = Value::from(attack.errands.clone()).to_string();
        let told = |fault: Fault| json!({"code": fault.code, "message": fault.message});
        if attack.while_decoding {
            let envelope = envelope(&errands);
            let decoded = connector.decode(&[&envelope]).expect("answers").remove(0);
            return decoded.err().map(told).into_iter().collect();
        }
        match poller.poll(Some(errands.as_bytes()), 1) {
            Ok(page) => serde_json::from_slice(&page.into_payloads()[0].body).expect("JSON"),
            Err(CallError::Fault(fault)) => vec![told(fault)],
            Err(CallError::Failure(failure)) => vec![told(failure.to_fault())],
        }
    }
}

/// What the operator granted.
fn granted(attack: &Attack) -> Effective {
    let request = |id: &str, using: Use| Request {
        id: id.to_owned(),
        using,
        required: false,
        reason: "a test".to_owned(),
        rules: Vec::new(),
        attach: None,
    };
    let mut requested = vec![
        request(TOKEN, Use::Secret),
        request("seen", Use::SecretReveal),
    ];
    for (id, rules) in attack.capabilities() {
        requested.push(Request {
            rules,
            ..request(id, Use::Http)
        });
    }
    requested[0].attach = attack.attach.as_ref().map(|attach| {
        let to = vec![attach.to.clone()];
        let (header, format) = (attach.header.as_deref(), attach.format.as_deref());
        Attach::new(to, header, format, attach.query.as_deref()).expect("attached")
    });
    let mut grants: Vec<Grant> = requested
        .iter()
        .filter(|request| !attack.not_granted.contains(&request.id))
        .map(|request| {
            let asked = request.asked(&|_| None).expect("no settings");
            let mut grant = Grant::whole(&request.id, asked, "dana", Timestamp::ZERO, "");
            grant.terms.secret = Some(KEPT.parse().expect("a reference"));
            grant
        })
        .collect();
    for grant in &mut grants {
        if grant.capability == "api" {
            grant.terms.networks.clone_from(&attack.networks);
        }
        grant.expires = attack.expires.map(Timestamp::from_secs);
    }
    // When it was loaded nothing had expired.
    let before = Timestamp::from_secs(NOW - 3_600);
    Effective::resolve(&requested, &grants, &|_| None, before).expect("granted")
}

fn check(attack: &Attack, outcome: &Outcome) {
    let name = &attack.name;
    assert_eq!(
        outcome.answers.len(),
        attack.expect.answers.len(),
        "{name}: {outcome:#?}"
    );
    for (answer, expected) in outcome.answers.iter().zip(&attack.expect.answers) {
        check_answer(name, answer, expected, outcome);
    }
    assert_eq!(outcome.rows, attack.expect.rows, "{name}: {outcome:#?}");
    assert_eq!(outcome.dialled, attack.expect.dialled, "{name}");
    for text in &attack.expect.heard {
        assert!(
            outcome.heard.contains(text),
            "{name}: no `{text}` in {outcome:#?}"
        );
    }
    for text in &attack.expect.not_heard {
        assert!(
            !outcome.heard.contains(text),
            "{name}: `{text}` in {outcome:#?}"
        );
    }
    for text in &attack.expect.recorded {
        assert!(
            outcome.details.contains(text),
            "{name}: no `{text}` in {outcome:#?}"
        );
    }
    for text in &attack.expect.not_recorded {
        assert!(
            !outcome.details.contains(text),
            "{name}: `{text}` in {outcome:#?}"
        );
    }
    let told = Value::from(outcome.answers.clone()).to_string();
    for (form, text) in forms() {
        assert!(
            attack.sees_secret || !told.contains(&text),
            "{name}: the guest sees the secret, {form}: {told}"
        );
        assert!(
            !outcome.details.contains(&text),
            "{name}: the log has the secret, {form}"
        );
    }
}

/// The secret in each form in which a server is likely to repeat it, by name.
fn forms() -> [(&'static str, String); 7] {
    let bytes = SECRET.as_bytes();
    let percent = |byte: &u8| match byte {
        letter if letter.is_ascii_alphanumeric() => char::from(*letter).to_string(),
        other => format!("%{other:02X}"),
    };
    let quoted = Value::from(SECRET).to_string();
    [
        ("plain", SECRET.to_owned()),
        ("percent", bytes.iter().map(percent).collect()),
        ("base64", BASE64.encode(bytes)),
        ("base64-nopad", BASE64_NOPAD.encode(bytes)),
        ("base64url", BASE64URL_NOPAD.encode(bytes)),
        ("hex", HEXLOWER.encode(bytes)),
        ("quoted", quoted.trim_matches('"').to_owned()),
    ]
}

fn check_answer(name: &str, answer: &Value, expected: &Expected, outcome: &Outcome) {
    let text = |key: &str| answer[key].as_str().unwrap_or_default();
    if let Some(code) = &expected.code {
        assert_eq!(text("code"), code, "{name}: {outcome:#?}");
        let why = &expected.why;
        assert!(
            text("message").contains(why),
            "{name}: no `{why}` in {outcome:#?}"
        );
        assert!(
            !code.is_empty() && !why.is_empty(),
            "{name}: say why it is refused"
        );
    } else {
        for (key, value) in &expected.is {
            assert_eq!(&answer[key], value, "{name}: {outcome:#?}");
        }
        assert!(!expected.is.is_empty(), "{name}: say what comes back");
        let whole = answer.to_string();
        for part in &expected.has {
            assert!(whole.contains(part), "{name}: no `{part}` in {whole}");
        }
        for part in &expected.has_not {
            assert!(!whole.contains(part), "{name}: `{part}` in {whole}");
        }
    }
}

/// All attacks of a file, one after the other.
fn play(file: &str) {
    let mut scenes: BTreeMap<String, Scene> = BTreeMap::new();
    for attack in read(file) {
        let outcome = if attack.is_revoked() {
            Scene::set(&attack).play(&attack)
        } else {
            let scene = scenes.entry(attack.setting());
            scene.or_insert_with(|| Scene::set(&attack)).play(&attack)
        };
        check(&attack, &outcome);
    }
}

/// One test a file, so that they run side by side.
macro_rules! attacks {
    ($($file:ident),* $(,)?) => {
        $(
            #[test]
            fn $file() {
                play(stringify!($file));
            }
        )*

        #[test]
        fn every_file_is_read_and_there_are_enough() {
            let mut known = vec![$(stringify!($file)),*];
            known.sort_unstable();
            assert_eq!(attack::files(), known);
            let all = [$(read(stringify!($file))),*].concat();
            let mut refused: Vec<&str> = all
                .iter()
                .filter(|attack| attack.expect.answers.iter().any(|a| a.code.is_some()))
                .map(|attack| attack.name.as_str())
                .collect();
            refused.sort_unstable();
            refused.dedup();
            assert!(refused.len() >= ATTACKS_MIN, "{} attacks are refused", refused.len());
        }
    };
}

attacks!(
    addresses, grants, headers, paths, redirects, responses, secrets, urls
);
