//! The program, run as somebody at a terminal or a script runs it.
use super::gateway_process::GatewayProcess;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use tempfile::TempDir;

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The standard output of a command that did what it was told.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// The standard error of a command that ended with `code` and printed no data.
    #[track_caller]
    pub(crate) fn badly(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:#?}");
        self.err
    }
}

/// A run of `dbforge` in which no setting of the surroundings counts.
pub(crate) struct Dbforge(Command);

impl Dbforge {
    pub(crate) fn with(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbforge"));
        command.args(args).current_dir(env!("CARGO_TARGET_TMPDIR"));
        for (variable, _) in std::env::vars() {
            if variable.starts_with("DBFORGE_") {
                command.env_remove(variable);
            }
        }
        Self(command)
    }

    pub(crate) fn setting(mut self, variable: &str, value: &str) -> Self {
        self.0.env(variable, value);
        self
    }

    pub(crate) fn data_dir(self, folder: &Path) -> Self {
        self.setting("DBFORGE_DATA_DIR", folder.to_str().unwrap())
    }

    pub(crate) fn run(self) -> Ended {
        self.fed("")
    }

    /// Starts it, with an input that stays open.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            input: child.stdin.take(),
            errors: BufReader::new(child.stderr.take().unwrap()),
            err: String::new(),
            child,
        }
    }

    /// Runs it with `input` on its standard input.
    pub(crate) fn fed(mut self, input: &str) -> Ended {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A program that does not want its input closes the pipe, which is not this one's fault.
        let feeding = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    /// Dropped, it ends the command's input.
    pub(crate) input: Option<ChildStdin>,
    errors: BufReader<ChildStderr>,
    err: String,
}

impl Running {
    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    }

    /// Waits until its standard error says this.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str) {
        let mut line = String::new();
        while self.errors.read_line(&mut line).unwrap() > 0 {
            self.err.push_str(&line);
            if line.contains(words) {
                return;
            }
            line.clear();
        }
        panic!("it ended without `{words}`: {}", self.err);
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        self.errors.read_to_string(&mut self.err).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: self.err,
        }
    }
}

/// Runs `dbforge` to its end.
pub(crate) fn dbforge(args: &[&str]) -> Ended {
    Dbforge::with(args).run()
}

/// A gateway on a folder of its own, and commands that talk to it.
pub(crate) struct CliForge {
    pub(crate) folder: TempDir,
    pub(crate) gateway: GatewayProcess,
}

impl CliForge {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let gateway = GatewayProcess::start(folder.path());
        Self { folder, gateway }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Dbforge {
        Dbforge::with(args)
            .setting("DBFORGE_URL", &self.gateway.url)
            .setting("DBFORGE_TOKEN", &self.gateway.token)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.command(args).run()
    }

    /// The JSON lines that a command prints.
    pub(crate) fn json_lines(&self, args: &[&str]) -> Vec<Value> {
        let out = self.run(&[args, &["--json"]].concat()).well();
        let lines = out.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    /// The one of a command that prints one.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut lines = self.json_lines(args);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}
