//! Where a run happens and by which program: processor, memory, commit, time. Figures of one machine say little about another.

use std::fs;
use std::process::Command;

use crate::benchmark::record::Machine;

impl Machine {
    /// This machine, as far as it tells.
    #[must_use]
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let processor = first_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Self { processor, cores, memory_bytes: memory(), system }
    }
}

/// Commit of the checkout in the folder that the command runs in, with `-dirty` behind it where files differ; `unknown` outside of one.
#[must_use]
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let differs = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if differs { head + "-dirty" } else { head }
}

/// The time in UTC, to the second: `2026-11-27T20:00:00Z`.
#[must_use]
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Most memory that this process has held, in bytes; where the system tells.
#[must_use]
pub fn peak() -> Option<u64> {
    peak_of("/proc/self/status")
}

/// The same of process `id`.
#[must_use]
pub fn peak_of_process(id: u32) -> Option<u64> {
    peak_of(&format!("/proc/{id}/status"))
}

/// The processes that process `id` has started and that run.
#[must_use]
pub fn children(id: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Lets the system forget the peak so far, so that what was read does not count; where it does not, the peak is no less.
pub fn forget_peak() {
    let _not_everywhere = fs::write("/proc/self/clear_refs", "5");
}

fn peak_of(status: &str) -> Option<u64> {
    kib(&first_of(status, "VmHWM")?)
}

/// Bytes of memory: what the system has, or the container's limit where that is less; 0 where nobody tells.
fn memory() -> u64 {
    let installed = first_of("/proc/meminfo", "MemTotal").and_then(|text| kib(&text)).unwrap_or(0);
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(installed, |limit| limit.min(installed))
}

/// `1024 kB` in bytes.
fn kib(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What stands behind `key:` in the first line of `file` that begins so.
fn first_of(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_what_a_record_asks_for() {
        let machine = Machine::here();
        assert!(machine.cores >= 1 && machine.system.contains(' '), "{machine:?}");
        if cfg!(target_os = "linux") {
            assert!(machine.memory_bytes > 1 << 20, "{machine:?}");
            assert!(peak().is_some_and(|bytes| bytes > 1 << 16));
            assert_eq!(peak_of_process(std::process::id()).is_some(), peak().is_some());
        }
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        let now = now();
        assert!(now.ends_with('Z') && !now.contains('.') && now.parse::<jiff::Timestamp>().is_ok(), "{now}");
    }

    #[test]
    fn sizes_are_read_in_kib() {
        assert_eq!(kib("   16 kB"), Some(16_384));
        assert_eq!(kib("16"), None);
    }
}
