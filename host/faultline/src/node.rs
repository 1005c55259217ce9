//! One Faultline over one data folder: everything made and connected, in one
//! place.
//!
//! A node can be asked things as soon as it is open. Plugins run and stages
//! work once [`Node::start`] was called; nothing listens on a socket but in
//! [`crate::serve`].

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use faultline_api::{Api, Parts, Router};
use faultline_domain::envelope::Position;
use faultline_domain::id::{Digest, ScopeName};
use faultline_intake::access::TokenTable;
use faultline_intake::backlog::Backlog;
use faultline_intake::hooks::HookTable;
use faultline_intake::metrics::Metrics as IntakeMetrics;
use faultline_pipeline::{CorrelateStage, Counters, ObserveStage, PollBoard, Timekeeper};
use faultline_sandbox::Sandbox;
use faultline_store::{Extent, Journal, StageName, Store, Trouble};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bundled::bundled;
use crate::clock::{clocks, now};
use crate::config::Config;
use crate::control::NodeControl;
use crate::faults::Faults;
use crate::first_party;
use crate::folder::Folder;
use crate::own_alerts::OwnAlerts;
use crate::plugin_host::PluginHost;
use crate::polls::{self, Polling};
use crate::randomness;
use crate::services::StoreServices;
use crate::stages::{self, Bell};
use crate::vault::Vault;

/// The setting that names this installation.
const INSTALL: &str = "install.id";

/// Everything that is there before anything runs.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) folder: Folder,
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) hooks: Arc<HookTable>,
    pub(crate) tokens: Arc<TokenTable>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) intake_metrics: IntakeMetrics,
    pub(crate) install: String,
    polls: Arc<PollBoard>,
    control: Arc<NodeControl>,
    pub(crate) faults: Faults,
    /// Told whenever a stage has committed something.
    committed: watch::Sender<()>,
}

/// Stages at work.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Node {
    /// Opens a folder: databases, sandbox, and the plugins that come with the
    /// binary, of which none runs yet.
    ///
    /// # Errors
    /// If anything of it cannot be had.
    pub(crate) async fn open(config: Config, folder: Folder) -> Result<Self> {
        let path = folder.path();
        let store = Store::open(path)
            .await
            .with_context(|| format!("opening the databases in {}", path.display()))?;
        let scope = config.data.scope.clone();
        refuse_if_damaged(&store, &scope, path).await?;
        let journal = Journal::open(store.clone(), scope.clone()).await?;
        let journal = journal.paced(clocks());
        let vault = Vault::new(path, &config.plugins.secrets);
        let services = Arc::new(StoreServices(store.clone(), vault));
        let sandbox = Sandbox::start(services, Handle::current(), Arc::new(now))
            .context("starting the sandbox of plugins")?
            .with_egress(config.plugins.egress.way_out()?);
        let hooks = Arc::new(HookTable::default());
        let host = Arc::new(PluginHost::new(
            store.clone(),
            Arc::new(sandbox),
            config.plugins.ceiling(),
            config.pipeline.detector_shards,
            config.intake.resolve_timeout,
            Arc::clone(&hooks),
        ));
        if config.plugins.bundled {
            let bundles = bundled()?;
            if bundles.is_empty() {
                tracing::warn!(
                    "this binary was built without the bundled plugins: build them first \
                     (`cargo xtask plugins`), then the binary"
                );
            }
            first_party::install(&store, bundles).await?;
        }
        let head = store.journal_head(&scope).await?;
        let observed = store.stage_position(&scope, StageName::Observe).await?;
        let tokens = Arc::new(TokenTable::default());
        tokens.replace(store.token_list().await?);
        let counters = Arc::new(Counters::default());
        let intake_metrics = IntakeMetrics::default();
        let polls = Arc::<PollBoard>::default();
        let faults = Faults::default();
        let control = Arc::new(NodeControl::new(
            Arc::clone(&host),
            store.clone(),
            journal.clone(),
            Arc::clone(&tokens),
            Arc::clone(&counters),
            Arc::clone(&polls),
            intake_metrics.clone(),
            faults.clone(),
        ));
        Ok(Self {
            install: install(&store).await?,
            backlog: Arc::new(Backlog::new(head.position, observed.position)),
            committed: watch::Sender::default(),
            config,
            folder,
            store,
            journal,
            host,
            hooks,
            tokens,
            counters,
            intake_metrics,
            polls,
            control,
            faults,
        })
    }

    /// The API, as a service that can be called. Streams of events end when
    /// `stop` says so.
    pub(crate) fn api(&self, mut stop: watch::Receiver<bool>) -> Router {
        let (news, committed) = watch::channel(());
        let mut commits = self.committed.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    changed = commits.changed() => match changed {
                        Ok(()) => news.send_replace(()),
                        Err(_) => return,
                    },
                }
            }
        });
        Api::new(Parts {
            store: self.store.clone(),
            journal: self.journal.clone(),
            clock: Arc::new(now),
            randomness: Arc::new(randomness::fill),
            control: Arc::clone(&self.control) as Arc<_>,
            committed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            install: self.install.clone(),
        })
        .limits_ceiling(self.config.plugins.ceiling())
        .edge_lifetime(self.config.pipeline.edge_lifetime)
        .router()
    }

    /// Loads the plugins and sets the stages to work.
    ///
    /// # Errors
    /// If the plugins cannot be read from the store.
    pub(crate) async fn start(&self) -> Result<Running> {
        self.host.reload().await?;
        let settings = self
            .config
            .pipeline
            .settings(&self.config.plugins.supervision.policy());
        let scope = self.journal.scope();
        let (stop, stopped) = watch::channel(false);
        let observed = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        let bell = || {
            let plugins = self.host.plugins();
            let works_with = watch::Sender::new(plugins.borrow().number);
            self.control.follow(works_with.subscribe());
            Bell {
                stop: stopped.clone(),
                plugins,
                works_with,
                faults: self.faults.clone(),
                counters: Arc::clone(&self.counters),
            }
        };
        let (poll_bell, observe_bell, correlate_bell) = (bell(), bell(), bell());
        let plugins = self.host.plugins().borrow().plugins.clone();
        let observe = ObserveStage::new(
            self.store.clone(),
            scope.clone(),
            settings.observe,
            plugins.clone(),
            Arc::clone(&self.counters),
        );
        let round = settings.correlate.round;
        let correlate = CorrelateStage::new(
            self.store.clone(),
            scope.clone(),
            settings.correlate,
            plugins,
            Arc::clone(&self.counters),
        );
        let news = observed.subscribe();
        let tell = {
            let (backlog, counters) = (Arc::clone(&self.backlog), Arc::clone(&self.counters));
            let committed = self.committed.clone();
            move || {
                backlog.worked(Position(counters.observe_position.get()));
                observed.send_replace(());
                committed.send_replace(());
            }
        };
        let head = self.journal.head();
        tasks.spawn(stages::observe(observe, head, observe_bell, tell));
        let committed = self.committed.clone();
        let tell = move || {
            committed.send_replace(());
        };
        tasks.spawn(stages::correlate(correlate, news, correlate_bell, tell));
        let (ask, asked) = polls::requests();
        let polling = Polling {
            journal: self.journal.clone(),
            board: Arc::clone(&self.polls),
            backlog: Arc::clone(&self.backlog),
            limits: self.config.intake.limits(),
            mine: always(),
        };
        tasks.spawn(polls::poll(polling, asked, poll_bell));
        self.control.polls(ask);
        let own_alerts = OwnAlerts {
            store: self.store.clone(),
            journal: self.journal.clone(),
            host: Arc::clone(&self.host),
            faults: self.faults.clone(),
            policy: self.config.plugins.supervision.policy(),
        };
        tasks.spawn(own_alerts.watch(stopped.clone()));
        let timekeeper = Timekeeper::new(self.journal.clone(), round);
        let (head, faults) = (self.journal.head(), self.faults.clone());
        tasks.spawn(stages::keep_time(timekeeper, head, stopped, faults));
        self.control.started();
        Ok(Running { stop, tasks })
    }

    /// Closes the databases. What is open stays usable only until then.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

impl Running {
    /// Lets the stages finish what they are at and save what they know.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a stage ended in a mistake of ours: {error}");
            }
        }
    }

    /// Waits until a stage ends by itself, which none of them should.
    pub(crate) async fn broken(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) => tracing::error!("a stage ended in a mistake of ours: {error}"),
            Some(Ok(())) => tracing::error!("a stage ended without having been told to"),
            None => std::future::pending().await,
        }
    }
}

/// There is one process, and everything is for it to do.
fn always() -> watch::Receiver<bool> {
    watch::channel(true).1
}

/// Nothing is built on a journal whose end is not what was written: what came
/// in next could be taken for what was dealt with already.
async fn refuse_if_damaged(store: &Store, scope: &ScopeName, folder: &Path) -> Result<()> {
    let check = store.journal_check(scope, Extent::End).await?;
    let Some(first) = check.damage.first() else {
        return Ok(());
    };
    let more = match check.damage.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    bail!(
        "the journal in {} is damaged: {first}{more}; {}",
        folder.display(),
        Trouble::Damaged.remedy()
    )
}

/// The id of this installation, which is made at the first start.
async fn install(store: &Store) -> Result<String> {
    if let Some(id) = store.setting_fetch(INSTALL).await? {
        return Ok(id);
    }
    let mut bytes = [0; 32];
    randomness::fill(&mut bytes).context("asking the operating system for random bytes")?;
    let id = Digest::of(&bytes).short();
    store.setting_put(INSTALL, &id).await?;
    Ok(id)
}

#[cfg(test)]
pub(crate) mod tests {
    use faultline_api::views::Status;
    use faultline_domain::access::{Principal, Role};

    use super::*;
    use crate::client::Client;
    use crate::folder::Taken;

    /// A node over a folder that goes with it.
    pub(crate) struct Opened {
        pub(crate) node: Node,
        pub(crate) folder: tempfile::TempDir,
        /// Streams end when it is dropped.
        stop: watch::Sender<bool>,
    }

    impl Opened {
        /// Over an empty folder, without the bundled plugins.
        pub(crate) async fn fresh() -> Self {
            Self::over(tempfile::tempdir().expect("a folder")).await
        }

        async fn over(folder: tempfile::TempDir) -> Self {
            let mut config = Config::default();
            config.plugins.bundled = false;
            let Taken::Ours(taken) = Folder::take(folder.path()).expect("can be had") else {
                panic!("nobody else has it");
            };
            Self {
                node: Node::open(config, taken).await.expect("opens"),
                folder,
                stop: watch::Sender::new(false),
            }
        }

        /// As after a restart.
        pub(crate) async fn again(self) -> Self {
            self.node.close().await;
            Self::over(self.folder).await
        }

        pub(crate) fn router(&self) -> Router {
            self.node.api(self.stop.subscribe())
        }

        pub(crate) fn client(&self) -> Client {
            Client::Local {
                router: self.router(),
                principal: Principal {
                    name: "local:test".to_owned(),
                    role: Role::Admin,
                },
            }
        }
    }

    #[tokio::test]
    async fn a_node_answers_before_it_works_and_is_the_same_after_a_restart() {
        let opened = Opened::fresh().await;
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!((status.journal_position, status.ready), (0, false));
        let install = status.install;
        let opened = opened.again().await;
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!(status.install, install);
    }

    #[tokio::test]
    async fn a_node_that_works_is_ready_and_stops() {
        let opened = Opened::fresh().await;
        let running = opened.node.start().await.expect("starts");
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!((status.ready, status.unready_reason), (true, None));
        running.stop().await;
        opened.node.close().await;
    }
}
