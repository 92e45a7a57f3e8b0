//! Processes of the test bed: each on the loopback interface, with a log of its own, and gone when the tests are.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Trouble;
use crate::undertaker::Undertaker;

/// How many lines of a log are shown when something went wrong.
const TAIL: usize = 40;

/// The folder of one test bed, and who clears up after it.
pub(crate) struct Processes {
    folder: PathBuf,
    undertaker: Undertaker,
}

/// A process that runs until it is ended or dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    processes: Arc<Processes>,
}

impl Processes {
    /// A new folder below the system's for temporary files.
    pub(crate) fn new() -> Result<Arc<Self>, Trouble> {
        let undertaker = Undertaker::start()?;
        let folder = TempDir::with_prefix("supercargo-e2e-")?.keep();
        undertaker.remove(&folder);
        Ok(Arc::new(Self { folder, undertaker }))
    }

    /// Where configuration and logs are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder in memory where there is one: what is written there need not last. Removed in the end.
    pub(crate) fn fleeting_folder(&self) -> Result<PathBuf, Trouble> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory } else { &self.folder };
        let folder = tempfile::Builder::new().prefix("supercargo-e2e-").tempdir_in(parent)?.keep();
        self.undertaker.remove(&folder);
        Ok(folder)
    }

    /// Lets the logs stay when all is over, for somebody to read.
    pub(crate) fn keep_logs(&self) {
        self.undertaker.keep(&self.folder);
    }

    /// Starts `command`; what it prints goes to `name.log`, after what an earlier process of the name printed.
    ///
    /// Its standard input stays open as long as the process is wanted.
    pub(crate) fn start(self: &Arc<Self>, name: &str, command: &mut Command) -> Result<Process, Trouble> {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::options().append(true).create(true).open(&log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        // A group of its own: ctrl-C at the terminal is for the tests.
        let child = command.process_group(0).spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        self.undertaker.watch(child.id());
        Ok(Process { name: name.to_owned(), child, log, processes: Arc::clone(self) })
    }

    /// Ends every process, removes the folders.
    pub(crate) fn finish(&self) {
        self.undertaker.finish();
    }
}

impl Process {
    /// Whether it still runs; if not, an error with the end of its log.
    pub(crate) fn check(&mut self) -> Result<(), Trouble> {
        match self.child.try_wait()? {
            Some(status) => Err(format!("{} ended ({status}); its log ends:\n{}", self.name, self.tail()).into()),
            None => Ok(()),
        }
    }

    /// The last lines that it printed.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log)
    }

    /// Everything that it printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The most memory that it ever had, in MiB, and the processor time that it used, in seconds.
    pub(crate) fn use_of_resources(&self) -> Result<(u64, f64), Trouble> {
        let folder = Path::new("/proc").join(self.child.id().to_string());
        let status = std::fs::read_to_string(folder.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system says what a process uses")?;
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        // Fields 14 and 15, after the name in brackets, in hundredths of a second (proc(5)).
        let times = std::fs::read_to_string(folder.join("stat"))?;
        let after_name = times.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok((kibibytes / 1_024, ticks / 100.0))
    }

    /// Ends it without a warning, as a lost machine would.
    pub(crate) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.processes.undertaker.forget(self.child.id());
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<ExitStatus, Trouble> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a process has an id")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.processes.undertaker.forget(self.child.id());
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("{} did not end in {patience:?}; its log ends:\n{}", self.name, self.tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// Ports that nobody listens on. Held together, so that no two are the same.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], Trouble> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
