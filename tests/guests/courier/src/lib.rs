//! A poller that does errands, whatever they are, and answers with what came of
//! each. It does those of its cursor while it polls, and those of an envelope's
//! body while it decodes.

use faultline_sdk::http::{self, Request};
use faultline_sdk::{Connector, Decoded, Envelope, Fault, Page, Poller, export_poller, secrets};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What rules can take their host from.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Of an API.
    pub url: String,
}

/// One call of the host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Errand {
    /// `http.send`, all at once.
    Send(Vec<Sent>),
    /// `secrets.hmac-sha256` of a text.
    Hmac(String, String),
    /// `secrets.equals` with a text.
    Equals(String, String),
    /// `secrets-reveal.reveal`.
    Reveal(String),
}

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    secret: Option<String>,
    timeout_ms: Option<u32>,
}

struct Courier;

impl Connector for Courier {
    type Config = Config;

    fn decode(_: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let errands: Vec<Errand> = serde_json::from_slice(&envelope.body)
            .map_err(|error| Fault::malformed(error.to_string()))?;
        // The first refusal is the answer.
        for errand in &errands {
            do_errand(errand)
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?;
        }
        Decoded::builder().finish()
    }
}

impl Poller for Courier {
    type Cursor = Vec<Errand>;

    fn poll(_: &Config, cursor: Option<Vec<Errand>>, _: u32) -> Result<Page<Vec<Errand>>, Fault> {
        let answers: Vec<Value> = cursor
            .unwrap_or_default()
            .iter()
            .flat_map(do_errand)
            .map(|answer| {
                answer.unwrap_or_else(|fault| json!({"code": fault.code, "message": fault.message}))
            })
            .collect();
        let envelope = Envelope {
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: Value::from(answers).to_string().into_bytes(),
            received: 0,
        };
        Ok(Page::new(Vec::new(), vec![envelope]))
    }
}

fn do_errand(errand: &Errand) -> Vec<Result<Value, Fault>> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match errand {
        Errand::Send(sent) => {
            let requests: Vec<Request> = sent.iter().map(request).collect();
            http::send_all(&requests)
                .into_iter()
                .map(|answer| {
                    let response = answer?;
                    let headers: Vec<(String, String)> = response
                        .headers
                        .into_iter()
                        .map(|header| (header.name, text(header.value)))
                        .collect();
                    Ok(json!({
                        "status": response.status,
                        "headers": headers,
                        "bytes": response.body.len(),
                        "body": text(response.body.into_iter().take(4_000).collect()),
                        "truncated": response.truncated,
                    }))
                })
                .collect()
        }
        Errand::Hmac(secret, data) => {
            let mac = secrets::hmac_sha256(secret, data.as_bytes());
            vec![mac.map(|mac| json!({"mac": mac}))]
        }
        Errand::Equals(secret, candidate) => {
            let equal = secrets::equals(secret, candidate.as_bytes());
            vec![equal.map(|equal| json!({"equal": equal}))]
        }
        Errand::Reveal(secret) => {
            vec![secrets::reveal(secret).map(|secret| json!({"revealed": text(secret)}))]
        }
    }
}

fn request(sent: &Sent) -> Request {
    let mut request = Request::new(&sent.method, &sent.url).with_body(sent.body.as_bytes());
    for (name, value) in &sent.headers {
        request = request.with_header(name, value.as_bytes());
    }
    request.secret.clone_from(&sent.secret);
    request.timeout_ms = sent.timeout_ms;
    request
}

export_poller!(Courier);
