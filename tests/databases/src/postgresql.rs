//! A PostgreSQL server for tests, from the programs that Debian's package
//! `postgresql` installs.
//!
//! It listens on a socket in a folder of its own and nowhere else; one that a
//! test has for itself listens on the loopback address, too. PostgreSQL refuses
//! to run as root: if we are root it runs as `postgres`, the user that the
//! package made. A shell watches over it that reads from a pipe whose other end
//! only we hold: when the pipe closes, because the server is dropped or because
//! we are gone, the shell ends the server and removes the folder.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::authority::Identity;

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Whom the server runs as if we are root.
const USER: &str = "postgres";

/// How long anything may take. Only ever waited for when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Starts its arguments and waits for a word: the signal that stops them. If its
/// input ends without one, it stops them and removes the folder.
const WATCH: &str = r#"
folder=$1; shift
"$@" &
read -r signal
kill -"${signal:-QUIT}" $! 2>/dev/null
wait $!
[ -n "$signal" ] || rm -rf "$folder"
"#;

/// Where the socket is if it is nobody else's.
const PORT: u16 = 5432;

/// The role whose members need a password; all others are let in as they are.
pub const WITH_PASSWORD: &str = "with_password";

/// Who is let in by whom, before what `initdb` says.
const ADMISSION: &str = "\
local all +with_password scram-sha-256
host all +with_password all scram-sha-256
";

/// Goes before that where there is TLS.
const NOTHING_WITHOUT_TLS: &str = "hostnossl all all all reject\n";

/// For servers whose durability is not what is tested.
const FAST: &[&str] = &["fsync=off", "full_page_writes=off"];

/// For servers that show who they are.
const TLS: &[&str] = &[
    "ssl=on",
    "ssl_cert_file=server.pem",
    "ssl_key_file=server.key",
];

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: it tells those who are connected, and writes everything down.
    InOrder,
    /// At once. What was committed is there when it is started again.
    Crash,
    /// Its first process is gone from one moment to the next, and the others
    /// find out.
    Kill,
}

impl End {
    /// What PostgreSQL does so at.
    const fn signal(self) -> &'static str {
        match self {
            End::InOrder => "INT",
            End::Crash => "QUIT",
            End::Kill => "KILL",
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    settings: Vec<String>,
    /// Of the loopback address, if it listens there; part of the socket's name.
    port: u16,
    listens: bool,
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
        SHARED.get_or_init(|| {
            let settings = FAST.iter().map(|setting| (*setting).to_owned());
            let server = Self::prepare(settings.collect(), None, "");
            server.start_again();
            server
        })
    }

    /// A server of the caller's own on the loopback address, which may be ended
    /// and started, and is as durable as PostgreSQL is.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn start() -> Self {
        let server = Self::prepare(Vec::new(), Some(free_port()), "");
        server.start_again();
        server
    }

    /// One that shows who it is, and takes nobody on the loopback address who
    /// does not use TLS.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub fn start_with_tls(identity: &Identity) -> Self {
        let settings = TLS.iter().map(|setting| (*setting).to_owned());
        let server = Self::prepare(settings.collect(), Some(free_port()), NOTHING_WITHOUT_TLS);
        server.write("server.pem", &identity.certificate);
        server.write("server.key", &identity.key);
        server.start_again();
        server
    }

    /// One that has everything it needs, and was not started.
    fn prepare(settings: Vec<String>, port: Option<u16>, admission: &str) -> Self {
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
            port: port.unwrap_or(PORT),
            listens: port.is_some(),
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
        let usual = fs::read_to_string(server.data().join("pg_hba.conf"));
        let usual = usual.expect("initdb wrote it");
        server.write("pg_hba.conf", &format!("{admission}{ADMISSION}{usual}"));
        server
    }

    /// Writes one of the server's files, which only the server may read.
    fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        if let Some(user) = user() {
            chown(&path, Some(user), None).expect("root may give it away");
        }
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
            .args(["-c", "max_connections=300", "-p", &self.port.to_string()])
            .arg("-c")
            .arg(format!("listen_addresses={}", self.address()))
            .args(["-c", "shared_buffers=64MB", "-c", "autovacuum=off"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()));
        for setting in &self.settings {
            command.args(["-c", setting.as_str()]);
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

    /// Ends it, and waits until all of its processes are gone.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub fn end(&self, end: End) {
        let watch = self.watch.lock().expect("nobody panicked").take();
        let mut watch = watch.expect("it runs");
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().and_then(|line| line.trim().parse().ok());
        let others = children(pid.expect("a process id"));
        let mut word = watch.stdin.take().expect("it is piped");
        writeln!(word, "{}", end.signal()).expect("it listens");
        drop(word);
        watch.wait().expect("it is our child");
        let began = Instant::now();
        while others.iter().any(|pid| !is_over(*pid)) {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not end");
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes a server that has ended one that follows another, which never says
    /// anything: it can be read, and not written to.
    ///
    /// # Panics
    /// If its folder cannot be written to.
    pub fn become_standby(&self) {
        self.write("standby.signal", "");
    }

    /// The URL of a database of this server: at the loopback address if it
    /// listens there, and otherwise by its socket.
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// The same, for a user: a name, or a name and a password.
    pub fn url_of(&self, user: &str, database: &str) -> String {
        if self.listens {
            return self.url_at(&format!("{user}@{}", self.address()), database);
        }
        let host = self.folder.display();
        format!("postgres://{user}@localhost/{database}?host={host}")
    }

    /// The URL of a database for a user at a name of the loopback address.
    pub fn url_at(&self, authority: &str, database: &str) -> String {
        format!("postgres://{authority}:{}/{database}", self.port)
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

    /// What it listens on beside its socket; nothing, as a rule.
    const fn address(&self) -> &'static str {
        if self.listens { "127.0.0.1" } else { "" }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of PostgreSQL's programs, which finds the server by itself.
    fn command(&self, program: &str) -> Command {
        let mut command = self.bare(self.programs.join(program));
        command
            .env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
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

/// A port of the loopback address that nobody uses.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The processes that a process has started and not waited for.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| state(*pid).is_some_and(|(_, its_parent)| its_parent == parent))
        .collect()
}

/// Whether a process has ended; whoever is to wait for it may take its time.
fn is_over(pid: u32) -> bool {
    state(pid).is_none_or(|(state, _)| state == 'Z')
}

/// What a process does, and who has started it (proc(5)); none if there is no
/// such process.
fn state(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name stands in parentheses, and may hold some.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
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
