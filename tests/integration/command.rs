//! Calls of the built command, away from the user's own settings.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, or none when a signal ended the process.
    pub code: Option<i32>,
    /// All that was written to stdout.
    pub stdout: String,
    /// All that was written to stderr.
    pub stderr: String,
}

/// No test needs longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

const BINARY: &str = env!("CARGO_BIN_EXE_millpond");

/// The command with an environment of its own.
pub fn millpond() -> Command {
    apart(Command::new(BINARY))
}

/// The command in a process in which the shell has run `prelude` first, to set limits that a test cannot set for itself.
pub fn millpond_after(prelude: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{prelude}\nexec \"$0\" \"$@\""), BINARY]);
    apart(command)
}

fn apart(mut command: Command) -> Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Calls the command with these arguments and waits for its end.
pub fn call<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    let mut command = millpond();
    command.args(arguments);
    wait(spawn(&mut command))
}

/// Starts a command; runs that say nothing about memory get the little that `MILLPOND_TEST_MEMORY` grants, if it is set.
pub fn spawn(command: &mut Command) -> Child {
    if let Some(memory) = std::env::var_os("MILLPOND_TEST_MEMORY") {
        let given: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
        let budgets = ["run", "apply"]
            .iter()
            .any(|name| given.iter().any(|argument| argument == name));
        if budgets && !given.iter().any(|argument| argument == "--memory") {
            command.arg("--memory").arg(memory);
        }
    }
    command.spawn().unwrap()
}

/// As [`call`], for calls that must succeed.
pub fn succeed<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    let ended = call(arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// Waits for the end of a process.
pub fn wait(child: Child) -> Ended {
    let id = child.id();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(PATIENCE) {
        Ok(output) => ended(output.unwrap()),
        Err(_) => {
            signal(id, "KILL");
            panic!("the command ran for more than {PATIENCE:?}");
        }
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends a signal, such as `TERM`, to a process.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), id.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
