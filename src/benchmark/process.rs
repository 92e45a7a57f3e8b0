//! A question to a process: a document on its standard input, one from its standard output, an end in time.
//!
//! The process leads a group of its own, and the whole group is ended: a solver that starts others leaves nobody behind to disturb the next
//! run.

use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::benchmark::machine;

/// How often the process is looked at. Its end is noticed so much too late at most.
const LOOK: Duration = Duration::from_millis(2);
/// How often its memory is looked at; more often would take time from it.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(40);
/// An answer of more bytes is none.
const LARGEST_ANSWER: u64 = 1 << 30;
/// So many of the last bytes of standard error are kept.
const TAIL: usize = 2_000;
/// How long the pipes of an ended process may take to be read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The exit code by which a program, like a shell, says that something that it needs is not installed.
const NOT_FOUND: i32 = 127;

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// What it wrote to standard output.
    pub output: Vec<u8>,
    /// The last of what it wrote to standard error.
    pub complaint: String,
    /// From its start to its end.
    pub seconds: f64,
    /// Most memory that it and those that it started were seen to hold, in bytes; where the system tells.
    pub peak_bytes: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with exit code 0.
    Well,
    /// It, or something that it needs, is not there.
    NotThere,
    /// With another exit code or by a signal, in words.
    Badly(String),
    /// It was ended when its time was over.
    Late,
}

/// Runs `program` on `question`, for `limit` at most.
#[must_use]
pub fn ask(program: &Program, question: Vec<u8>, limit: Duration) -> Ended {
    let start = Instant::now();
    let failed = |end: End, complaint: String| Ended {
        end,
        output: Vec::new(),
        complaint,
        seconds: start.elapsed().as_secs_f64(),
        peak_bytes: None,
    };
    let Some((name, arguments)) = program.command.split_first() else {
        return failed(End::NotThere, "there is no command".to_owned());
    };
    let mut command = Command::new(name);
    command.args(arguments).current_dir(&program.folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(problem) if problem.kind() == ErrorKind::NotFound => return failed(End::NotThere, problem.to_string()),
        Err(problem) => return failed(End::Badly(format!("{name} cannot be started: {problem}")), String::new()),
    };
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read to the end has its reasons, and says them by other means.
        thread::spawn(move || input.write_all(&question));
    }
    let output = child.stdout.take().map(|pipe| reading(pipe, usize::MAX));
    let complaint = child.stderr.take().map(|pipe| reading(pipe, TAIL));
    let (status, peak_bytes) = watch(&mut child, start + limit);
    let seconds = start.elapsed().as_secs_f64();
    let received =
        |reader: Option<mpsc::Receiver<Vec<u8>>>| reader.and_then(|of| of.recv_timeout(PATIENCE).ok()).unwrap_or_default();
    let output = received(output);
    let complaint = String::from_utf8_lossy(&received(complaint)).trim().to_owned();
    Ended { end: end_of(status), output, complaint, seconds, peak_bytes }
}

/// Waits for the end, or makes one; what is left of the group goes with it.
fn watch(child: &mut Child, until: Instant) -> (Option<ExitStatus>, Option<u64>) {
    let mut peak: Option<u64> = None;
    let mut looked: Option<Instant> = None;
    let status = loop {
        if let Ok(Some(status)) = child.try_wait() {
            break Some(status);
        }
        let now = Instant::now();
        if now >= until {
            break None;
        }
        if looked.is_none_or(|before| now - before >= LOOK_AT_MEMORY) {
            looked = Some(now);
            peak = peak.max(held_by(child.id()));
        }
        thread::sleep(LOOK);
    };
    end_group(child.id());
    if status.is_none() {
        // It has just been killed, so this does not wait for long.
        let _status = child.wait();
    }
    (status, peak)
}

/// Memory of a process and of those that it has started, each at its peak.
fn held_by(id: u32) -> Option<u64> {
    let own = machine::peak_of_process(id)?;
    let others: u64 = machine::children(id).into_iter().filter_map(held_by).sum();
    Some(own + others)
}

fn end_group(leader: u32) {
    let group = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // There is nobody left in most groups.
        let _nobody = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn end_of(status: Option<ExitStatus>) -> End {
    match status {
        None => End::Late,
        Some(status) if status.success() => End::Well,
        Some(status) => match (status.code(), status.signal()) {
            (Some(NOT_FOUND), _) => End::NotThere,
            (Some(code), _) => End::Badly(format!("exit code {code}")),
            (None, Some(signal)) => End::Badly(format!("signal {signal}")),
            (None, None) => End::Badly("no exit code".to_owned()),
        },
    }
}

/// The last `keep` bytes of a pipe, once it is closed.
fn reading(pipe: impl Read + Send + 'static, keep: usize) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut pipe = pipe.take(LARGEST_ANSWER);
        let mut piece = [0_u8; 65_536];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            kept.extend_from_slice(&piece[..read]);
            if kept.len() > keep {
                kept.drain(..kept.len() - keep);
            }
        }
        // Whoever waited may have given up.
        let _sent = send.send(kept);
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        ask(&Program { command, folder: std::env::temp_dir() }, b"question".to_vec(), limit)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_goes_in_comes_out() {
        let ended = shell("cat; echo beside >&2", LONG);
        assert_eq!((ended.end, ended.output.as_slice(), ended.complaint.as_str()), (End::Well, &b"question"[..], "beside"));
    }

    #[test]
    fn a_bad_end_is_told_with_its_last_words() {
        let ended = shell("head -c 9000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 3", LONG);
        assert_eq!(ended.end, End::Badly("exit code 3".to_owned()));
        assert!(ended.complaint.ends_with("last") && ended.complaint.len() <= TAIL, "{}", ended.complaint.len());
        assert_eq!(shell("kill -9 $$", LONG).end, End::Badly("signal 9".to_owned()));
        assert_eq!(shell("exit 127", LONG).end, End::NotThere);
    }

    #[test]
    fn who_hangs_is_ended_with_everybody_that_it_started() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display();
        let ended = shell(&format!("(sleep 2; echo alive > {path}) & sleep 60"), Duration::from_millis(300));
        assert_eq!(ended.end, End::Late);
        assert!(ended.seconds < 5.0, "{}", ended.seconds);
        thread::sleep(Duration::from_millis(2_500));
        assert_eq!(std::fs::read_to_string(file.path()).expect("it is there"), "");
    }

    #[test]
    fn a_program_that_is_not_there_is_no_failure() {
        let program = Program { command: vec!["./no-such-program".to_owned()], folder: std::env::temp_dir() };
        assert_eq!(ask(&program, Vec::new(), LONG).end, End::NotThere);
    }

    #[test]
    fn memory_of_those_that_it_starts_counts() {
        let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 0.3; exit ${#x}";
        let ended = shell(&format!("sh -c '{}'; exit 0", script.replace('\'', "'\\''")), LONG);
        if cfg!(target_os = "linux") {
            assert!(ended.peak_bytes.is_some_and(|bytes| bytes > 20_000_000), "{ended:?}");
        }
    }
}
