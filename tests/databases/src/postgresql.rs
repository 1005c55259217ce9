//! A PostgreSQL server for tests, from the programs that Debian's package
//! `postgresql` installs.
//!
//! It listens on a socket in a folder of its own and nowhere else. PostgreSQL
//! refuses to run as root: if we are root it runs as `postgres`, the user that
//! the package made. A shell watches over it that reads from a pipe whose other
//! end only we hold: when the pipe closes, because the server is dropped or
//! because we are gone, the shell ends the server and removes the folder.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OnceCell;

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Whom the server runs as if we are root.
const USER: &str = "postgres";

/// How long anything may take. Only ever waited for when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Starts its arguments, waits for its input to end, stops them and removes the
/// folder.
const WATCH: &str = r#"
folder=$1; shift
"$@" &
read -r _
kill -QUIT $! 2>/dev/null
wait $!
rm -rf "$folder"
"#;

/// For servers whose durability is not what is tested.
const FAST: &[&str] = &["fsync=off", "full_page_writes=off"];

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    settings: &'static [&'static str],
    /// None while it does not run.
    watch: Mutex<Option<Child>>,
    databases: AtomicU64,
    template: OnceCell<String>,
}

impl Server {
    /// The server that the tests of this process share. It does not care for
    /// what a power cut would do.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::make(FAST))
    }

    /// A server of the caller's own, which may be stopped and started and is as
    /// durable as PostgreSQL is.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> Self {
        Self::make(&[])
    }

    fn make(settings: &'static [&'static str]) -> Self {
        let programs = programs();
        // Kept: the shell removes it.
        let folder = tempfile::Builder::new()
            .prefix("faultline-pg-")
            .tempdir()
            .expect("a folder")
            .keep();
        if let Some(user) = user() {
            chown(&folder, Some(user), None).expect("root may give it away");
        }
        let server = Self {
            programs,
            folder,
            settings,
            watch: Mutex::new(None),
            databases: AtomicU64::new(0),
            template: OnceCell::new(),
        };
        let initdb = server
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            // Not the locale that we need the order of: that must not matter.
            .args(["--locale=C.UTF-8", "--no-instructions", "--no-sync"])
            .arg("--pgdata")
            .arg(server.data())
            .output();
        expect(initdb, "initdb");
        server.start_again();
        server
    }

    /// Starts it after it was stopped, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&self) {
        let log = self.folder.join("log");
        let mut command = self.bare("sh");
        command
            .args(["-c", WATCH, "watch"])
            .arg(&self.folder)
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c", "max_connections=300"])
            .args(["-c", "shared_buffers=64MB", "-c", "autovacuum=off"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()));
        for setting in self.settings {
            command.args(["-c", setting]);
        }
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        command
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            // A Ctrl-C is for the tests; the shell must live to clean up.
            .process_group(0);
        *self.watch.lock().expect("nobody panicked") = Some(command.spawn().expect("a shell"));
        let began = Instant::now();
        loop {
            let ready = self.command("pg_isready").arg("-q").status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "PostgreSQL does not start:\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it as a crash would, connections and all. What was committed is
    /// there when it is started again.
    ///
    /// # Panics
    /// If it does not run.
    pub fn crash(&self) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().and_then(|line| line.trim().parse().ok());
        let pid = pid.and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::QUIT).expect("it runs");
        let began = Instant::now();
        while self.data().join("postmaster.pid").exists() {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not end");
            std::thread::sleep(PAUSE);
        }
        // The shell must not remove the folder: it goes without a word.
        if let Some(mut watch) = self.watch.lock().expect("nobody panicked").take() {
            watch.kill().expect("it is our child");
            watch.wait().expect("it is our child");
        }
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        let host = self.folder.display();
        format!("postgres://postgres@localhost/{database}?host={host}")
    }

    /// Makes an empty database, and gives its URL.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn create(&self) -> String {
        self.create_from("template1")
    }

    /// A copy of the database that `prepare` fills at the first call, given its
    /// URL.
    pub(crate) async fn copy(&self, prepare: impl AsyncFnOnce(String)) -> String {
        let template = self
            .template
            .get_or_init(async || {
                self.run("postgres", "create database prepared");
                prepare(self.url("prepared")).await;
                "prepared".to_owned()
            })
            .await;
        self.create_from(template)
    }

    fn create_from(&self, template: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.run(
            "postgres",
            &format!("create database {name} template {template}"),
        );
        self.url(&name)
    }

    /// Runs a statement in a database and gives what it answers, a line a row,
    /// as `psql` prints it.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn run(&self, database: &str, sql: &str) -> String {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "-qAt", "--set", "ON_ERROR_STOP=1"])
            .args(["--dbname", database, "--command", sql])
            .output();
        expect(output, sql)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of PostgreSQL's programs, which finds the server by itself.
    fn command(&self, program: &str) -> Command {
        let mut command = self.bare(self.programs.join(program));
        command
            .env("PGHOST", &self.folder)
            .env("PGUSER", "postgres");
        command
    }

    /// A program that runs as the server does, and sees nothing of our
    /// environment.
    fn bare(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", USER, "--regid", USER, "--init-groups", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().map(Option::take);
        if let Ok(Some(mut watch)) = watch {
            drop(watch.stdin.take());
            let _ = watch.wait();
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The programs of the newest version.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten();
    let newest = versions
        .filter_map(|folder| {
            let path = folder.ok()?.path();
            let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
            let programs = path.join("bin");
            programs
                .join("postgres")
                .exists()
                .then_some((version, programs))
        })
        .max();
    let (_, programs) = newest.unwrap_or_else(|| {
        panic!(
            "there is no PostgreSQL in {VERSIONS}, which these tests need: `cargo xtask test \
             --only peers` installs it, as does `apt-get install postgresql`"
        )
    });
    programs
}

/// Whom the server's files belong to, if not to us.
fn user() -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let output = Command::new("id").args(["-u", USER]).output();
    let id = expect(output, "asking for the user `postgres`");
    Some(id.trim().parse().expect("a number"))
}

#[track_caller]
fn expect(output: std::io::Result<Output>, what: &str) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
