//! `cargo xtask demo`: the recorded outage through the whole pipeline, what
//! Faultline makes of it, and what really happened beside it.
//!
//! What is shown of incidents is what the product's own command line says. The
//! known cause comes from `outage.json`, which Faultline never sees.

mod verdict;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::installation::{Installation, Profile, Token};
use crate::processes;
use crate::progress::{say, show, target, workspace};
use crate::record::outage::Outage;
use verdict::{Incident, Verdict};

/// The most incidents that are shown in full.
const SHOWN_MAX: usize = 3;
/// The most incidents that are looked at.
const INCIDENTS_MAX: &str = "1000";
/// How long the server is waited for at a time.
const WATCH: Duration = Duration::from_secs(3_600);
/// The recording may be older than what is kept by default.
const CONFIG: &str = "\
[retention]
journal = \"3650days\"
series = \"3650days\"
alerts = \"3650days\"
incidents = \"3650days\"
changes = \"3650days\"
dead-letters = \"3650days\"
audit = \"3650days\"
";

/// Plays back a recorded outage and compares what Faultline finds with what
/// really happened.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the server running on the data until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Another folder with a recording.jsonl.zst and an outage.json, such as
    /// target/record after a rehearsal
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

/// A listing as `--json` gives it.
#[derive(Debug, Deserialize)]
struct Listing {
    items: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
}

/// Plays it back.
///
/// # Errors
/// If there is no recording, or something does not build or run. What Faultline
/// finds is never an error.
pub(crate) fn run(args: &Args) -> Result<()> {
    let demo = match &args.from {
        Some(folder) => folder.clone(),
        None => workspace().join("examples/demo"),
    };
    let recording = demo.join("recording.jsonl.zst");
    let known = demo.join("outage.json");
    if !recording.exists() {
        bail!(
            "there is no {}; `cargo xtask record` makes one",
            recording.display()
        );
    }
    let text =
        fs::read_to_string(&known).with_context(|| format!("reading {}", known.display()))?;
    let outage: Outage =
        serde_json::from_str(&text).with_context(|| format!("reading {}", known.display()))?;

    let folder = target().join("demo");
    let installation = Installation::make(Profile::Release, &folder, CONFIG)?;
    say(format_args!(
        "importing {} into {}, through the whole pipeline",
        recording.display(),
        folder.display()
    ));
    let began = Instant::now();
    installation.show(&["journal", "import", &recording.display().to_string()])?;
    say(format_args!(
        "{:.0} minutes of a shop in {:.1} s",
        outage.ended_seconds / 60.0,
        began.elapsed().as_secs_f64()
    ));
    tell(&installation, &outage)?;
    if args.serve {
        serve(&installation)?;
    }
    Ok(())
}

/// Shows what was found, then what was known.
fn tell(installation: &Installation, outage: &Outage) -> Result<()> {
    show("\n== What Faultline found ==\n");
    installation.show(&["incident", "list"])?;
    let listing: Listing = installation.ask(&["incident", "list", "--limit", INCIDENTS_MAX])?;
    let incidents = listing
        .items
        .iter()
        .map(|listed| installation.ask(&["incident", "show", &listed.id]))
        .collect::<Result<Vec<Incident>>>()?;
    let verdict = Verdict::of(outage, &incidents)?;
    for incident in verdict.of_the_outage().iter().take(SHOWN_MAX) {
        show("");
        installation.show(&["incident", "show", &incident.id])?;
    }
    show("\n== What really happened ==\n");
    show(&verdict);
    Ok(())
}

/// Lets people look around until they have had enough.
fn serve(installation: &Installation) -> Result<()> {
    let interrupted = processes::interruption()?;
    let mut server = installation.serve(Arc::clone(&interrupted))?;
    let token: Token = installation.ask(&["token", "create", "demo", "--role", "operator"])?;
    show(format_args!(
        "\nFaultline runs on this data, whose alerts have all ended by now, as nothing repeats them.\n\
         API: {}\ntoken: {}\nsenders: {}\n\nIn a second terminal, in this folder:\n\
         export PATH={}:$PATH FAULTLINE_DATA_DIR={}\n\
         faultline incident list\n\nCtrl-C ends it.",
        server.addresses().api,
        token.token,
        server.addresses().intake,
        installation.program_folder().display(),
        installation.data().display(),
    ));
    loop {
        let watched = server.processes().wait_until(Instant::now() + WATCH);
        if interrupted.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(());
        }
        watched?;
    }
}
