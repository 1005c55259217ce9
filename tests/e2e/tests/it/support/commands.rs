//! The command line, as a person or a script uses it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::server::bare_command;

/// The command line, for one data folder.
pub(crate) struct Commands {
    config: PathBuf,
    data: PathBuf,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Commands {
    pub(crate) fn new(config: &Path, data: &Path) -> Self {
        Self {
            config: config.to_owned(),
            data: data.to_owned(),
        }
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    /// Runs a command to its end, with something to read.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = bare_command()
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(&self.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that fails early need not read it.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().expect("it is our child");
        Outcome {
            line: format!("faultline {}", arguments.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("commands write UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("commands write UTF-8"),
        }
    }

    /// What a command that works prints for people.
    #[track_caller]
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_success().stdout
    }

    /// What a command that works prints for programs.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let outcome = self.run(&arguments).expect_success();
        serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error} in the output of {outcome}"))
    }

    /// What a command that does not work says about it.
    #[track_caller]
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert!(
            outcome.code.is_some_and(|code| code > 0),
            "should be refused: {outcome}"
        );
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
        outcome.stderr
    }
}

impl Outcome {
    /// Fails unless the command worked.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "should work: {self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {:?}\n{}{}",
            self.line, self.code, self.stdout, self.stderr
        )
    }
}
