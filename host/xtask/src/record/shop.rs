//! The shop: its programs in the order in which they need one another, and
//! the changes that are made to it while it runs.

mod programs;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::http::Client;
use crate::processes::Processes;
use crate::progress::say;
use crate::record::faultline::Intake;
use crate::record::ports::Ports;
use crate::record::postgresql::Postgresql;
use crate::record::template;
use programs::{ALERTMANAGER, CUSTOMERS, PROMETHEUS, RELEASE_OTHERS, orders_name};

/// The release that works.
pub(crate) const RELEASE_GOOD: &str = "1.4.2";
/// The release that keeps connections: see `shop/audit.py`.
pub(crate) const RELEASE_BAD: &str = "1.5.0";

/// What the customers do.
pub(crate) struct Load {
    /// Requests a second, on average.
    pub(crate) rate: f64,
    /// What all chance is drawn from.
    pub(crate) seed: u64,
    /// How many of a hundred requests are traced.
    pub(crate) trace_percent: u8,
}

/// A running shop.
pub(crate) struct Shop {
    processes: Processes,
    postgresql: Postgresql,
    client: Client,
    ports: Ports,
    intake: Intake,
    /// `examples/demo/system`.
    system: PathBuf,
    /// What this recording writes, and nobody needs afterwards.
    run: PathBuf,
    python: PathBuf,
}

impl Shop {
    /// Prepares configuration, data and ports in `run`, without starting
    /// anything that stays.
    pub(crate) fn prepare(
        system: PathBuf,
        run: PathBuf,
        python: PathBuf,
        intake: Intake,
        load: &Load,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self> {
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("removing {}", run.display()))?;
        }
        let logs = run.join("logs");
        let processes = Processes::new(&logs, interrupted)?;
        let ports = Ports::choose()?;
        let (scheme, authority) = intake.parts()?;
        let mut values = ports.named();
        values.extend([
            ("run", run.display().to_string()),
            ("logs", logs.display().to_string()),
            ("trace_percent", load.trace_percent.to_string()),
            ("intake", intake.url.clone()),
            ("intake_scheme", scheme.to_owned()),
            ("intake_authority", authority.to_owned()),
        ]);
        let configs = system.join("config");
        for name in [
            "nginx.conf",
            "prometheus.yml",
            "rules.yml",
            "alertmanager.yml",
            "inventory.json",
        ] {
            let template = fs::read_to_string(configs.join(name))
                .with_context(|| format!("reading {name}"))?;
            // Prometheus' own templates have no at signs.
            let text = template::fill(&template, &values).with_context(|| name.to_owned())?;
            fs::write(run.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        let token = run.join("token");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&token)
            .and_then(|mut file| file.write_all(intake.token.as_bytes()))
            .context("writing the token")?;
        let postgresql = Postgresql::make(&configs, &run, ports.postgresql, &values)?;
        Ok(Self {
            processes,
            postgresql,
            client: Client::new(),
            ports,
            intake,
            system,
            run,
            python,
        })
    }

    /// What runs.
    pub(crate) fn processes(&mut self) -> &mut Processes {
        &mut self.processes
    }

    /// For requests to this machine.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The base of Prometheus' API.
    pub(crate) fn prometheus(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.prometheus)
    }

    /// What the customers reported.
    pub(crate) fn customers_log(&self) -> PathBuf {
        self.processes.log(CUSTOMERS)
    }

    /// Starts everything but the customers, from the bottom up, and waits for
    /// each.
    pub(crate) fn start(&mut self) -> Result<()> {
        say("starting PostgreSQL");
        self.processes.start(self.postgresql.program())?;
        let schema = self.system.join("schema.sql");
        self.postgresql.fill(&mut self.processes, &schema)?;

        say("starting inventory, orders, gateway, nginx");
        let inventory = self.inventory();
        self.processes.start(inventory)?;
        self.wait_for_release("inventory", self.ports.inventory, RELEASE_OTHERS)?;
        let orders = self.orders(RELEASE_GOOD);
        self.processes.start(orders)?;
        self.wait_for_release("orders", self.ports.orders, RELEASE_GOOD)?;
        let gateway = self.gateway();
        self.processes.start(gateway)?;
        self.wait_for_release("gateway", self.ports.gateway, RELEASE_OTHERS)?;
        self.processes.start(self.nginx())?;
        let status = format!("http://127.0.0.1:{}/stub_status", self.ports.nginx_status);
        self.wait_for_answer("nginx", &status)?;

        say("starting exporters, Alertmanager, Prometheus, shipper");
        for exporter in self.exporters() {
            self.processes.start(exporter)?;
        }
        self.processes.start(self.alertmanager())?;
        let ready = format!("http://127.0.0.1:{}/-/ready", self.ports.alertmanager);
        self.wait_for_answer("Alertmanager", &ready)?;
        self.processes.start(self.prometheus_program())?;
        let ready = format!("{}/-/ready", self.prometheus());
        self.wait_for_answer("Prometheus", &ready)?;
        let shipper = self.shipper();
        self.processes.start(shipper)
    }

    /// Lets the customers in.
    pub(crate) fn open(&mut self, load: &Load) -> Result<()> {
        let customers = self.customers(load);
        self.processes.start(customers)
    }

    /// Puts the bad release of orders in the place of the good one, which is
    /// only asked to stop once the new one is up: customers notice nothing.
    pub(crate) fn deploy_orders(&mut self) -> Result<()> {
        let program = self.orders(RELEASE_BAD);
        self.processes.start(program)?;
        self.wait_for_release("orders", self.ports.orders, RELEASE_BAD)?;
        self.processes.stop(&orders_name(RELEASE_GOOD))
    }

    /// Goes back to the good release. The bad one has to go first: beside it
    /// there is no database connection left to start with.
    pub(crate) fn roll_back_orders(&mut self) -> Result<()> {
        self.processes.stop(&orders_name(RELEASE_BAD))?;
        let program = self.orders(RELEASE_GOOD);
        self.processes.start(program)?;
        self.wait_for_release("orders", self.ports.orders, RELEASE_GOOD)
    }

    /// Gives inventory its other configuration.
    pub(crate) fn reconfigure_inventory(&mut self) -> Result<()> {
        fs::copy(
            self.system.join("config/inventory-changed.json"),
            self.run.join("inventory.json"),
        )
        .context("changing the configuration of inventory")?;
        self.processes.signal("inventory", Signal::HUP)
    }

    /// Sends the customers home.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.processes.stop(CUSTOMERS)
    }

    /// The last thing that the customers reported, in a few words.
    pub(crate) fn customers_last_report(&self) -> String {
        let log = fs::read_to_string(self.customers_log()).unwrap_or_default();
        let report: Option<Value> = log
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok());
        match report {
            Some(report) => format!(
                "last 5 s: {} requests, {} failed, p95 {} ms",
                report["requests"], report["failed"], report["p95_ms"]
            ),
            None => "no customers yet".to_owned(),
        }
    }

    /// Stops everything. What programs had not sent yet, they send now; those
    /// who watch stop first, lest they report what stops after them.
    pub(crate) fn stop(&mut self) -> Result<()> {
        for watcher in [PROMETHEUS, ALERTMANAGER] {
            self.processes.stop(watcher)?;
        }
        self.processes.stop_all();
        Ok(())
    }

    fn wait_for_answer(&mut self, what: &str, url: &str) -> Result<()> {
        let client = &self.client;
        self.processes
            .wait_for(what, || client.get(url).map(|_| ()))
    }

    fn wait_for_release(&mut self, service: &str, port: u16, release: &str) -> Result<()> {
        let url = format!("http://127.0.0.1:{port}/healthz");
        let client = &self.client;
        self.processes.wait_for(service, || {
            let health: Value = serde_json::from_str(&client.get(&url)?)
                .with_context(|| format!("parsing the answer of {url}"))?;
            match health["release"].as_str() {
                Some(running) if running == release => Ok(()),
                other => bail!("{service} {release} is expected, {other:?} answers"),
            }
        })
    }
}

/// The packages that all this comes from.
pub(crate) const PACKAGES: &[&str] = &[
    "nginx",
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-nginx-exporter",
    "prometheus-node-exporter",
    "prometheus-postgres-exporter",
    "python3-venv",
];

/// Where the virtual environment's list is, below the system's folder.
pub(crate) fn requirements(system: &Path) -> PathBuf {
    system.join("requirements.txt")
}
