//! The undertaker: a process that ends the others when the tests are over, however they ended.
//!
//! The tests write to its standard input what is to be ended and removed. When that closes, which it does even if the tests are killed, it
//! does so. Nothing is ended but what the tests started and name here by its id.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::Trouble;

/// The argument by which this program becomes the undertaker.
pub(crate) const ARGUMENT: &str = "undertaker";

/// The tests' end of the line.
pub(crate) struct Undertaker {
    line: Mutex<Option<ChildStdin>>,
    process: Mutex<Child>,
}

impl Undertaker {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, Trouble> {
        let program = std::env::current_exe()?;
        // A group of its own: ctrl-C at the terminal is for the tests.
        let mut process = Command::new(program).arg(ARGUMENT).stdin(Stdio::piped()).process_group(0).spawn()?;
        let line = process.stdin.take();
        Ok(Self { line: Mutex::new(line), process: Mutex::new(process) })
    }

    /// A process that must not outlive the tests.
    pub(crate) fn watch(&self, process: u32) {
        self.say(&format!("watch {process}"));
    }

    /// A process that has ended: its id may soon be another's.
    pub(crate) fn forget(&self, process: u32) {
        self.say(&format!("forget {process}"));
    }

    /// A folder that is removed in the end.
    pub(crate) fn remove(&self, folder: &Path) {
        self.say(&format!("remove {}", folder.display()));
    }

    /// A folder that stays after all.
    pub(crate) fn keep(&self, folder: &Path) {
        self.say(&format!("keep {}", folder.display()));
    }

    /// Lets it do its work, and waits until that is done.
    pub(crate) fn finish(&self) {
        drop(self.line.lock().unwrap_or_else(PoisonError::into_inner).take());
        // That it ended badly changes nothing for the tests.
        let _ = self.process.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }

    fn say(&self, what: &str) {
        if let Some(line) = self.line.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // Without an undertaker the tests are no worse off.
            let _ = writeln!(line, "{what}");
        }
    }
}

/// What the process itself does: listens until the line closes, then ends and removes.
pub(crate) fn work() {
    let (mut processes, mut folders) = (Vec::new(), BTreeSet::new());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (order, subject) = line.split_once(' ').unwrap_or((&line, ""));
        let process = || subject.parse::<i32>().ok().and_then(Pid::from_raw);
        match order {
            "watch" => processes.extend(process()),
            "forget" => processes.retain(|known| Some(*known) != process()),
            "remove" => drop(folders.insert(PathBuf::from(subject))),
            "keep" => drop(folders.remove(Path::new(subject))),
            _ => (),
        }
    }
    for process in processes {
        // kube-apiserver would wait for open watches for a minute if it were asked; there is nothing to save.
        let _ = kill_process(process, Signal::KILL);
    }
    for folder in folders {
        let _ = std::fs::remove_dir_all(folder);
    }
}
