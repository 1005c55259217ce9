//! Who a command asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail};
use faultline_domain::access::{Principal, Role};
use faultline_intake::access::Access;
use faultline_intake::listener::Listener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Global;
use crate::client::{Client, Remote};
use crate::config::Config;
use crate::folder::{Folder, RunNote, Taken};
use crate::node::{Node, Running};
use crate::output;
use crate::serve::{finish, start_intake, taken_by, told};

/// What a command needs beside answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it looks, or changes what is written down.
    Answers,
    /// Stages that work on what it does.
    Work,
}

/// What becomes of a command where nothing is written down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It has nothing to be about, and is most likely in the wrong folder.
    Refused,
    /// It is the first, and begins a data folder.
    Made,
}

/// Somebody who answers.
pub(crate) struct Reached {
    pub(crate) client: Client,
    /// Where senders send to.
    pub(crate) intake: Option<String>,
    own: Option<Own>,
}

/// A node that lives as long as the command.
struct Own {
    node: Node,
    running: Option<Running>,
    listening: Option<(JoinHandle<()>, JoinHandle<()>)>,
    stop: watch::Sender<bool>,
}

/// Finds the server that was named or that works with the data folder, or opens
/// the folder.
///
/// # Errors
/// If there is neither, and none is to be made.
pub(crate) async fn reach(global: &Global, need: Need, beginning: Beginning) -> Result<Reached> {
    if let (Some(server), Some(token)) = (&global.server, &global.token) {
        return Ok(Reached {
            client: Client::Remote(Remote::new(server, token)?),
            intake: None,
            own: None,
        });
    }
    let config = global.load()?;
    if !config.data.folder.exists() {
        let folder = config.data.folder.display();
        // What is in a database that others share can be asked from anywhere.
        if beginning == Beginning::Refused && config.data.database.0.is_none() {
            bail!(
                "there is no data folder {folder} here: go to where the server was started, or \
                 name its folder with --data-dir, or the server itself with --server and --token; \
                 `faultline serve` begins a new one"
            );
        }
        output::note(&format!(
            "There is no data folder {folder} yet: it is made. A server that works with another one \
             knows nothing of it; `--data-dir` names that."
        ));
    }
    match Folder::take_patiently(&config.data.folder).await? {
        Taken::Theirs(process) => match RunNote::find(&config.data.folder)? {
            Some(note) => Ok(Reached {
                client: Client::Remote(Remote::new(&note.api, &note.token)?),
                intake: Some(note.intake),
                own: None,
            }),
            None => bail!(
                "{}, and does not say where it listens: it is starting or ending, or a command; \
                 try again",
                taken_by(&config, process)
            ),
        },
        Taken::Ours(folder) => open(config, folder, need).await,
    }
}

async fn open(config: Config, folder: Folder, need: Need) -> Result<Reached> {
    let node = Node::open(config, folder).await?;
    let (stop, stopped) = watch::channel(false);
    let client = Client::Local {
        router: node.api(stopped.clone()),
        principal: Principal {
            name: local_person(),
            role: Role::Admin,
        },
    };
    let (mut running, mut listening, mut address) = (None, None, None);
    if need == Need::Work {
        running = Some(node.start().await?);
        let (intake, writer) = start_intake(&node)?;
        let access = Access::Tokens(Arc::clone(&node.tokens));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(any_port, intake, access).await?;
        address = Some(format!("http://{}", listener.address()));
        let serving = tokio::spawn(listener.serve(told(stopped)));
        listening = Some((serving, writer));
    }
    Ok(Reached {
        client,
        intake: address,
        own: Some(Own {
            node,
            running,
            listening,
            stop,
        }),
    })
}

impl Reached {
    /// Whether the node is the command's own.
    pub(crate) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Lets go of it.
    pub(crate) async fn close(self) {
        let Some(own) = self.own else { return };
        own.stop.send_replace(true);
        if let Some((serving, writer)) = own.listening {
            for task in [serving, writer] {
                finish(task).await;
            }
        }
        if let Some(running) = own.running {
            running.stop().await;
        }
        own.node.close().await;
    }
}

/// Who sits at this machine, for the audit log.
pub(crate) fn local_person() -> String {
    let user = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .ok()
        .filter(|user| !user.is_empty() && user.len() <= 64 && !user.contains(char::is_control));
    format!("local:{}", user.as_deref().unwrap_or("somebody"))
}
