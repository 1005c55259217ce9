//! A server over a data folder of its own.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::binary::faultline;
use super::commands::Commands;
use super::http::{Answer, Http};
use super::process::Process;
use super::wait::eventually;

/// Listens where nothing else does, and does not let anybody wait: what takes
/// minutes by default takes a second.
pub(crate) const CONFIG: &str = r#"
[api]
listen = "127.0.0.1:0"

[intake]
listen = "127.0.0.1:0"

[pipeline]
lateness = "1s"
idle-after = "2s"
checkpoint-every = "2s"

[pipeline.incidents]
resolve-delay = "1s"
"#;

/// How long a lease lasts.
const LEASE: &str = "3s";

/// A data folder and a configuration; a server may run over them or not.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// One that is new.
    pub(crate) fn new() -> Self {
        Self::with_config(CONFIG)
    }

    /// One that is new, with another configuration.
    pub(crate) fn with_config(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("faultline.toml"), config).expect("a file");
        Self { folder }
    }

    /// One that is new, of a node on a PostgreSQL database.
    pub(crate) fn on(database: &str, node: &str) -> Self {
        Self::with_config(&format!(
            "{CONFIG}\n[data]\ndatabase = \"{database}\"\nnode = \"{node}\"\nlease = \"{LEASE}\"\n"
        ))
    }

    /// Has what another one has compiled. The seal of what is compiled goes by a
    /// key, which comes along: as if the folder had been copied.
    pub(crate) fn keep_compiled(&self, other: &Self) {
        let (from, to) = (other.data(), self.data());
        let folder = |path: PathBuf| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&path).expect("a folder");
        };
        folder(to.join("code"));
        // With the mode that it has: others may not read it.
        fs::copy(from.join("code.key"), to.join("code.key")).expect("it has a key");
        let files = fs::read_dir(from.join("code")).expect("it has compiled something");
        for file in files.map(|file| file.expect("it can be listed").file_name()) {
            let (from, to) = (from.join("code").join(&file), to.join("code").join(&file));
            fs::copy(from, to).expect("nobody removes it");
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("faultline.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file beside the data folder.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command line, for this folder.
    pub(crate) fn commands(&self) -> Commands {
        Commands::new(&self.config(), &self.data())
    }

    /// Another one with the same configuration, that is new.
    pub(crate) fn alike(&self) -> Self {
        Self::with_config(&fs::read_to_string(self.config()).expect("the configuration"))
    }

    /// How a server is started.
    pub(crate) fn serve_command(&self) -> Command {
        let mut command = bare_command();
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .arg("--data-dir")
            .arg(self.data());
        command
    }

    /// Starts a server and does not wait for it.
    pub(crate) fn start(&self) -> Process {
        self.start_with(&mut self.serve_command())
    }

    /// Starts a server in a way of one's own and does not wait for it.
    pub(crate) fn start_with(&self, command: &mut Command) -> Process {
        Process::start("faultline", command, &self.scratch("server.log"))
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&mut self.serve_command())
    }

    /// Starts a server in a way of one's own and waits until it is ready.
    pub(crate) fn serve_with(&self, command: &mut Command) -> Server {
        let note = self.data().join("run.json");
        let mut process = self.start_with(command);
        // Read each time: one that was killed has left its note behind.
        let (note, api) = eventually("the server is ready", || {
            process.assert_alive();
            let text = fs::read(&note).map_err(|error| error.to_string())?;
            let note: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let api = Http::new(note["api"].as_str().expect("a text"));
            match api.try_send("GET", "/readyz", &[], None) {
                Ok(answer) if answer.status == 200 => Ok((note, api)),
                Ok(answer) => Err(format!("{}: {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        });
        let text = |key: &str| note[key].as_str().expect("a text").to_owned();
        let mut server = Server {
            process,
            api,
            intake: Http::new(&text("intake")),
            admin_token: text("token"),
            ingest_token: String::new(),
        };
        server.ingest_token = server.make_ingest_token();
        server
    }
}

/// The binary in an empty environment: what whoever runs the tests has set is
/// not to be part of them.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(faultline());
    command.env_clear();
    for kept in ["PATH", "LANG", "TMPDIR"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// A server that runs.
pub(crate) struct Server {
    process: Process,
    pub(crate) api: Http,
    pub(crate) intake: Http,
    /// Of an administrator of the API.
    pub(crate) admin_token: String,
    /// For any source.
    pub(crate) ingest_token: String,
}

impl Server {
    /// Fails if it has ended or does not answer.
    pub(crate) fn assert_serves(&mut self) {
        self.process.assert_alive();
        self.api.send("GET", "/readyz", &[], None).expect_success();
        self.intake
            .send("GET", "/healthz", &[], None)
            .expect_success();
    }

    /// Asks it to end, and checks that it does so in order.
    pub(crate) fn stop(mut self, site: &Site) {
        let status = self.process.terminate();
        assert!(status.success(), "{status}:\n{}", self.process.log_end());
        assert!(!site.data().join("run.json").exists(), "says that it runs");
    }

    /// The number of its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it in the midst of whatever it does.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Asks the API as an administrator.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask_as(&self.admin_token, method, path, body)
    }

    /// Asks the API with a token.
    pub(crate) fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string);
        let body = body.as_ref().map(String::as_bytes);
        let path = format!("/api/v1{path}");
        self.api.send(method, &path, &headers, body)
    }

    /// Asks the API for something that is there.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).expect_success().json()
    }

    /// The page of metrics.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        let bearer = format!("Bearer {}", self.admin_token);
        let headers = [("authorization", bearer.as_str())];
        let answer = self.api.send("GET", "/metrics", &headers, None);
        answer.expect_success().text()
    }

    /// All items of a listing.
    #[track_caller]
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}{join}limit=500{after}"));
            items.extend(page["items"].as_array().expect("a list").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    /// Has the API do something.
    #[track_caller]
    pub(crate) fn put(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, path, Some(body)).expect_success().json()
    }

    /// Sends a payload to intake, with the ingest token.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.ingest_token);
        let headers = [headers, &[("authorization", bearer.as_str())]].concat();
        self.intake.send("POST", path, &headers, Some(body))
    }

    /// Sends JSON to intake, which takes it.
    #[track_caller]
    pub(crate) fn post_json(&self, path: &str, body: &Value) {
        let headers = [("content-type", "application/json")];
        self.post(path, &headers, body.to_string().as_bytes())
            .expect_success();
    }

    /// Waits until everything that was sent so far has been dealt with.
    pub(crate) fn wait_until_worked(&self) {
        let head = self.get("/status")["journal_position"]
            .as_u64()
            .expect("a position");
        eventually("the work is done", || {
            let status = self.get("/status");
            let observed = &status["stages"][0]["position"];
            let is_done = observed.as_u64() >= Some(head);
            is_done.then_some(()).ok_or_else(|| status.to_string())
        });
    }

    /// Waits until an instance is in a state, and gives the instance.
    pub(crate) fn wait_for_instance(&self, name: &str, state: &str) -> Value {
        self.wait_for_instance_in(name, &[state])
    }

    /// Waits until an instance is in one of these states, and gives the instance.
    pub(crate) fn wait_for_instance_in(&self, name: &str, states: &[&str]) -> Value {
        eventually(&format!("{name} is {}", states.join(" or ")), || {
            let answer = self.ask("GET", &format!("/instances/{name}"), None);
            if answer.status == 200 && states.iter().any(|state| answer.json()["state"] == *state) {
                return Ok(answer.json());
            }
            Err(answer.text())
        })
    }

    fn make_ingest_token(&self) -> String {
        let body = json!({"name": "end-to-end", "purpose": "ingest"});
        let made = self.put("POST", "/tokens", &body);
        made["token"].as_str().expect("a token").to_owned()
    }
}
