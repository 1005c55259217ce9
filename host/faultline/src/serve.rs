//! `faultline serve`: a node that listens.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use faultline_api::Router;
use faultline_api::views::{NewToken, Page, Token, TokenPurpose};
use faultline_domain::access::{Principal, Role};
use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::lease::LeaseName;
use faultline_intake::access::Access;
use faultline_intake::append::{Append, AppendError};
use faultline_intake::connections::{self, ConnectionLimits};
use faultline_intake::formats;
use faultline_intake::kept_headers::KeptHeaders;
use faultline_intake::listener::Listener;
use faultline_intake::receive::{Intake, Parts};
use faultline_store::Journal;
use http::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::clock::now;
use crate::config::Config;
use crate::faults::{Faults, Part};
use crate::folder::{Folder, RunNote, Taken};
use crate::node::{Node, Running};
use crate::output;
use crate::own_traces::OwnTraces;
use crate::retention;

/// Who the process itself is, towards its own API.
const HOST: &str = "host";

/// The setting that remembers that the first tokens were made: not whether they
/// are there, for one that was revoked must not come back.
const FIRST_TOKENS: &str = "tokens.first";

/// The names of the tokens that are made at the first start.
const FIRST_ADMIN: &str = "first-admin";
const FIRST_SENDER: &str = "first-sender";

/// The name of the token that commands of the folder's owner use.
const LOCAL_COMMANDS: &str = "local-commands";

/// Serves until it is told to end.
///
/// # Errors
/// If it cannot begin, a stage breaks, or it is told to end a second time before
/// it has finished what it was at.
pub(crate) async fn serve(config: Config) -> Result<()> {
    let folder = match Folder::take_patiently(&config.data.folder).await? {
        Taken::Ours(folder) => folder,
        Taken::Theirs(process) => bail!(taken_by(&config, process)),
    };
    survive_file_limits()?;
    let node = Node::open(config, folder).await?;
    let traces = OwnTraces::start(&node)?;
    let mut server = Server::start(node).await?;
    let broken = tokio::select! {
        ended = told_to_end() => {
            ended?;
            false
        }
        () = server.running.broken() => true,
    };
    tracing::info!("ending: no more requests are taken, and what was taken is finished");
    tokio::select! {
        ended = server.end() => ended?,
        again = told_to_end() => {
            again?;
            bail!("ended at once; what had not been committed is done again at the next start");
        }
    }
    if let Some(traces) = traces {
        traces.end().await;
    }
    if broken {
        bail!("a stage broke; what it had not committed is done again at the next start");
    }
    tracing::info!("ended");
    Ok(())
}

/// A node, and everything around it that works and listens.
struct Server {
    node: Node,
    running: Running,
    /// Writes what intake takes to the journal.
    writer: JoinHandle<()>,
    /// Intake's listener, the API's, and retention.
    tasks: [JoinHandle<()>; 3],
    stop: watch::Sender<bool>,
}

impl Server {
    /// Listens and works, and says where and to whom.
    ///
    /// # Errors
    /// If an address cannot be had, or the plugins or tokens cannot be read.
    async fn start(node: Node) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        // Addresses first: if they cannot be had, nothing has begun yet.
        let api_socket = bind(node.config.api.listen).await?;
        let api_address = api_socket.local_addr()?;
        let (intake, writer) = start_intake(&node)?;
        let listener = listen(&node, intake).await?;
        let intake_address = listener.address();
        let router = node.api(stopped.clone());
        let running = node.start().await?;
        // They are shown once: not before everything that can fail has not.
        let tokens = Tokens::make(&node, router.clone()).await?;
        let receiving = tokio::spawn(listener.serve(told(stopped.clone())));
        let answering = tokio::spawn(connections::serve(
            api_socket,
            router,
            ConnectionLimits::default(),
            || (),
            told(stopped.clone()),
        ));
        let sweeping = tokio::spawn(retention::sweep_hourly(
            node.store.clone(),
            node.journal.clone(),
            node.config.retention.retention(),
            node.faults.clone(),
            node.leases.follow(LeaseName::Retention),
            stopped,
        ));
        let address = RunNote {
            api: format!("http://{api_address}"),
            intake: format!("http://{intake_address}"),
            token: tokens.local.clone(),
        };
        node.folder.announce(&address)?;
        output::print(&banner(&address, &tokens, &node))?;
        tracing::info!(api = address.api, intake = address.intake, "ready");
        Ok(Self {
            node,
            running,
            writer,
            tasks: [receiving, answering, sweeping],
            stop,
        })
    }

    /// Takes nothing more, finishes what was taken, and closes the databases.
    ///
    /// # Errors
    /// If the note of where it listens cannot be removed.
    async fn end(self) -> Result<()> {
        self.stop.send_replace(true);
        let withdrawn = self.node.folder.withdraw();
        for task in self.tasks {
            finish(task).await;
        }
        // Everybody who could append is gone.
        finish(self.writer).await;
        self.running.stop().await;
        self.node.close().await;
        withdrawn
    }
}

async fn listen(node: &Node, intake: Arc<Intake>) -> Result<Listener> {
    let access = if node.config.intake.require_token {
        Access::Tokens(Arc::clone(&node.tokens))
    } else {
        Access::Open
    };
    let address = node.config.intake.listen;
    Listener::bind(address, intake, access)
        .await
        .with_context(|| format!("listening for senders on {address}; `[intake] listen` sets it"))
}

/// Intake over a node's journal.
///
/// # Errors
/// If a header that is to be kept is one that must not be.
pub(crate) fn start_intake(node: &Node) -> Result<(Arc<Intake>, JoinHandle<()>)> {
    let kept_headers =
        KeptHeaders::new(&node.config.intake.keep_headers).context("[intake] keep-headers")?;
    let parts = Parts {
        limits: node.config.intake.limits(),
        format_limits: formats::Limits::default(),
        kept_headers,
        hooks: Arc::clone(&node.hooks),
        backlog: Arc::clone(&node.backlog),
        metrics: node.intake_metrics.clone(),
        clock: Arc::new(now),
    };
    let journal = ToldJournal {
        journal: node.journal.clone(),
        faults: node.faults.clone(),
    };
    Ok(Intake::start(parts, journal))
}

/// The journal, and who is told whether it takes envelopes.
struct ToldJournal {
    journal: Journal,
    faults: Faults,
}

impl Append for ToldJournal {
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Position, AppendError> {
        match self.journal.append(arrivals).await {
            Ok(first) => {
                self.faults.clear(Part::Journal);
                Ok(first)
            }
            Err(error) => {
                self.faults.set(Part::Journal, &error, now());
                Err(AppendError(Box::new(error)))
            }
        }
    }
}

/// What to say when a folder is somebody else's.
pub(crate) fn taken_by(config: &Config, process: Option<u32>) -> String {
    let folder = config.data.folder.display();
    let process = process.map_or_else(String::new, |number| format!(" (process {number})"));
    format!("another Faultline{process} works with the data folder {folder}")
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening for the API on {address}; `[api] listen` sets it"))
}

/// Done once the process is to end.
pub(crate) async fn told(mut stop: watch::Receiver<bool>) {
    // Whoever would have told us is gone, which says the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for a task that was told to end.
pub(crate) async fn finish(task: impl Future<Output = Result<(), tokio::task::JoinError>>) {
    if let Err(error) = task.await {
        tracing::error!("a task ended in a mistake of ours: {error}");
    }
}

/// A write beyond a limit on the size of files fails, as one to a full disk
/// does, and does not end the process.
fn survive_file_limits() -> Result<()> {
    // Whoever listens is told instead; nobody need.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))
        .map(drop)
        .context("asking not to be ended by limits on files")
}

/// Until somebody presses Ctrl-C, or the service manager says so.
async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("waiting for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

/// The tokens that this start made or found.
struct Tokens {
    local: String,
    /// Of the very first start: for a person, and for senders.
    first: Option<(String, String)>,
}

impl Tokens {
    async fn make(node: &Node, router: Router) -> Result<Self> {
        let principal = Principal {
            name: HOST.to_owned(),
            role: Role::Admin,
        };
        let client = &Client::Local { router, principal };
        let known: Page<Token> = client.list("/tokens", usize::MAX).await?;
        // Only one of several nodes that start at the same time shows some.
        let turn = node.store.turn().await?;
        let first = if node.store.setting_fetch(FIRST_TOKENS).await?.is_none() {
            let admin = create(client, FIRST_ADMIN, TokenPurpose::Api).await?;
            let sender = create(client, FIRST_SENDER, TokenPurpose::Ingest).await?;
            node.store.setting_put(FIRST_TOKENS, "made").await?;
            Some((admin, sender))
        } else {
            None
        };
        drop(turn);
        let local = match node.folder.key()? {
            // Whether it is still good: somebody may have revoked it.
            Some(key) if is_good(&key, &known) => key,
            _ => {
                let key = create(client, LOCAL_COMMANDS, TokenPurpose::Api).await?;
                node.folder.keep_key(&key)?;
                key
            }
        };
        Ok(Self { local, first })
    }
}

/// The id of a token is its middle part.
fn is_good(key: &str, known: &Page<Token>) -> bool {
    let id = key.split('_').nth(1);
    known
        .items
        .iter()
        .any(|token| Some(token.id.as_str()) == id && token.valid)
}

async fn create(client: &Client, name: &str, purpose: TokenPurpose) -> Result<String> {
    let body = match purpose {
        TokenPurpose::Api => json!({"name": name, "purpose": "api", "role": "admin"}),
        TokenPurpose::Ingest => json!({"name": name, "purpose": "ingest"}),
    };
    let token: NewToken = client.ask(Method::POST, "/tokens", Some(&body)).await?;
    Ok(token.token)
}

/// What the person at the terminal is told.
fn banner(address: &RunNote, tokens: &Tokens, node: &Node) -> String {
    let mut text = format!(
        "Faultline {} is ready.\n  API      {}/api/v1\n  senders  {}\n  data     {}\n",
        env!("CARGO_PKG_VERSION"),
        address.api,
        address.intake,
        node.config.data.location()
    );
    if let Some((admin, sender)) = &tokens.first {
        let _ = write!(
            text,
            "\nThese tokens are shown this once:\n  for you (administrator)  {admin}\n  \
             for senders              {sender}\n`faultline token` makes more and revokes them.\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::Opened;

    async fn made(opened: &Opened) -> Tokens {
        let tokens = Tokens::make(&opened.node, opened.router()).await;
        tokens.expect("makes them")
    }

    #[tokio::test]
    async fn the_first_tokens_are_made_once_whatever_becomes_of_them() {
        let opened = Opened::fresh().await;
        let tokens = made(&opened).await;
        let (admin, sender) = tokens.first.expect("it is the first start");
        let opened = opened.again().await;
        let later = made(&opened).await;
        assert!(later.first.is_none());
        assert_eq!(later.local, tokens.local, "still good");

        for token in [&admin, &sender, &tokens.local] {
            let id = token.split('_').nth(1).expect("an id");
            let path = format!("/tokens/{id}");
            let client = opened.client();
            let revoked = client.ask::<()>(Method::DELETE, &path, None::<&()>);
            revoked.await.expect("revokes");
        }
        let later = made(&opened).await;
        assert!(later.first.is_none());
        assert_ne!(later.local, tokens.local, "it was revoked");
    }

    #[tokio::test]
    async fn a_server_ends_with_everything_it_began() {
        let Opened {
            mut node,
            folder: goes_with_it,
            ..
        } = Opened::fresh().await;
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        node.config.api.listen = any_port;
        node.config.intake.listen = any_port;
        let folder = goes_with_it.path();
        let server = Server::start(node).await.expect("starts");
        assert!(RunNote::find(folder).expect("reads").is_some());
        server.end().await.expect("ends");
        assert!(RunNote::find(folder).expect("reads").is_none());
        assert!(matches!(Folder::take(folder), Ok(Taken::Ours(_))));
    }
}
