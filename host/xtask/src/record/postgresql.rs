//! A PostgreSQL of the recording's own, with an empty shop in it.
//!
//! It refuses to run as root. If we are root it runs as `postgres`, the user
//! that the package made, and its data then lie where that user can get at
//! them: beside everything else if the checkout is open to others, in the
//! system's folder for temporary files if not (a checkout below `/root`).

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::install::run;
use crate::processes::{Processes, Program, command};
use crate::progress::say;
use crate::record::template;

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Fast shutdown: ends sessions, loses nothing (postgres(1)).
const STOP: Signal = Signal::INT;

/// Its folder and user.
pub(crate) struct Postgresql {
    programs: PathBuf,
    data: PathBuf,
    user: Option<&'static str>,
    port: u16,
    /// Whether the data lie outside of the recording's own folder.
    apart: bool,
}

impl Postgresql {
    /// Makes the files of an empty database server, replacing those of an
    /// earlier recording. `configs` holds its configuration files, `run` is
    /// where the recording keeps its own.
    pub(crate) fn make(
        configs: &Path,
        run_folder: &Path,
        port: u16,
        values: &[(&str, String)],
    ) -> Result<Self> {
        let user = rustix::process::geteuid().is_root().then_some("postgres");
        let data = data_folder(run_folder, user)?;
        let made = Self {
            programs: newest_version()?.join("bin"),
            apart: !data.starts_with(run_folder),
            data,
            user,
            port,
        };
        made.initialise()?;
        for name in ["postgresql.conf", "pg_hba.conf"] {
            let template = fs::read_to_string(configs.join(name))
                .with_context(|| format!("reading {name}"))?;
            let text = template::fill(&template, values).with_context(|| name.to_owned())?;
            fs::write(made.data.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(made)
    }

    fn initialise(&self) -> Result<()> {
        if self.data.exists() {
            fs::remove_dir_all(&self.data)
                .with_context(|| format!("removing {}", self.data.display()))?;
        }
        fs::create_dir(&self.data).with_context(|| format!("making {}", self.data.display()))?;
        fs::set_permissions(&self.data, fs::Permissions::from_mode(0o700))
            .context("closing PostgreSQL's folder to others")?;
        if let Some(user) = self.user {
            chown(&self.data, Some(user_id(user)?), None)
                .context("giving PostgreSQL its folder")?;
        }
        run(
            command(self.user, Signal::TERM, &self.programs.join("initdb"))
                .current_dir("/")
                .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
                .args(["--locale=C", "--no-instructions", "--pgdata"])
                .arg(&self.data),
        )
        .context("making a database")?;
        Ok(())
    }

    /// What to start.
    pub(crate) fn program(&self) -> Program {
        let data = self.data.to_string_lossy();
        let mut program = Program::new(
            "postgresql",
            self.programs.join("postgres"),
            &["-D", data.as_ref()],
        );
        program.user = self.user;
        program.stop_with = STOP;
        program
    }

    /// Waits for the server, makes the shop's database and fills it.
    pub(crate) fn fill(&self, processes: &mut Processes, schema: &Path) -> Result<()> {
        processes.wait_for("PostgreSQL", || {
            run(&mut self.client("pg_isready", "postgres")).map(|_| ())
        })?;
        run(self.client("psql", "postgres").args([
            "--no-psqlrc",
            "--command",
            "create database shop",
        ]))?;
        run(self
            .client("psql", "shop")
            .args([
                "--no-psqlrc",
                "--set",
                "ON_ERROR_STOP=1",
                "--quiet",
                "--file",
            ])
            .arg(schema))
        .context("filling the shop's database")?;
        Ok(())
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = command(None, Signal::TERM, &self.programs.join(program));
        command
            .args(["--host=127.0.0.1", "--username=postgres", "--dbname"])
            .arg(database)
            .arg(format!("--port={}", self.port));
        command
    }

    /// libpq's connection string for one of the shop's services.
    pub(crate) fn connection(&self, service: &str) -> String {
        format!(
            "host=127.0.0.1 port={} dbname=shop user={service} application_name={service} connect_timeout=2",
            self.port
        )
    }

    /// The log for the shipper. The name is `postgresql.conf`'s, with the
    /// ending that the format `jsonlog` has.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("log/postgresql.json")
    }
}

impl Drop for Postgresql {
    /// Leaves nothing outside of the recording's own folder.
    fn drop(&mut self) {
        if self.apart
            && let Err(error) = fs::remove_dir_all(&self.data)
        {
            say(format_args!(
                "cannot remove {}: {error}",
                self.data.display()
            ));
        }
    }
}

fn newest_version() -> Result<PathBuf> {
    let folders = fs::read_dir(VERSIONS).with_context(|| format!("reading {VERSIONS}"))?;
    folders
        .filter_map(|folder| {
            let path = folder.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/postgres")
                .exists()
                .then_some((version, path))
        })
        .max()
        .map(|(_, path)| path)
        .with_context(|| format!("there is no PostgreSQL in {VERSIONS}"))
}

fn data_folder(run_folder: &Path, user: Option<&str>) -> Result<PathBuf> {
    let Some(user) = user else {
        return Ok(run_folder.join("postgresql"));
    };
    let reachable = command(Some(user), Signal::TERM, Path::new("test"))
        .arg("-x")
        .arg(run_folder)
        .current_dir("/")
        .status()
        .with_context(|| format!("asking what {user} can reach"))?;
    Ok(if reachable.success() {
        run_folder.join("postgresql")
    } else {
        std::env::temp_dir().join("faultline-record-postgresql")
    })
}

fn user_id(user: &str) -> Result<u32> {
    let output = run(Command::new("id").args(["-u", user]))?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .with_context(|| format!("reading the number of the user {user}"))
}
