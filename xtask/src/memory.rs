//! Peak memory and processor time of a worker's agent and of the programs it starts, seen from the host while they run.
//!
//! Other clouds may run on the same machine, so an agent counts only where it descends from the cloud in question.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

/// The kernel's unit in `/proc/*/stat`; the same on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Between two looks. The kernel keeps the peak itself, so only the last moment of a process can be missed.
const LOOK: Duration = Duration::from_millis(150);

/// The agent's name, as the kernel shortens it.
const AGENT: &str = "haulier-worker";

/// What was seen of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Bytes the agent had resident at most.
    pub(crate) agent: u64,
    /// Bytes its children had resident at most: the sum of the peaks of those that lived at once.
    pub(crate) children: u64,
    /// Names of those children.
    pub(crate) names: Vec<String>,
    /// Processor seconds of the agent.
    pub(crate) processor: f64,
    /// Processor seconds of its children.
    pub(crate) children_processor: f64,
}

/// A thread that looks at the workers of one cloud.
pub(crate) struct Watch {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    /// Begins to look for the workers of the cloud with this process id.
    pub(crate) fn begin(cloud: u32) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !until.load(Ordering::Relaxed) {
                look(cloud, &mut seen);
                thread::sleep(LOOK);
            }
            seen
        });
        Self { done, thread }
    }

    /// Ends it and gives what was seen.
    pub(crate) fn end(self) -> Result<Seen> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread that watches memory panicked"))
    }
}

/// Bytes that a process has had resident at most, while it lives.
pub(crate) fn peak(id: u32) -> Option<u64> {
    bytes(id, "VmHWM:")
}

/// Bytes that a process has resident now.
pub(crate) fn resident(id: u32) -> Option<u64> {
    bytes(id, "VmRSS:")
}

fn bytes(id: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

struct Process {
    name: String,
    parent: u32,
}

fn look(cloud: u32, seen: &mut Seen) {
    let all = processes();
    let Some(agent) = all.iter().find(|(id, process)| process.name == AGENT && descends(&all, **id, cloud)) else {
        return;
    };
    let agent = *agent.0;
    seen.agent = seen.agent.max(peak(agent).unwrap_or(0));
    let times = std::fs::read_to_string(format!("/proc/{agent}/stat")).ok();
    if let Some((own, children)) = times.as_deref().and_then(processor_seconds) {
        (seen.processor, seen.children_processor) = (seen.processor.max(own), seen.children_processor.max(children));
    }
    let mut together = 0;
    for (id, process) in &all {
        // Between fork and exec a child is the agent's own copy, which would count the agent twice.
        let is_program = !same_program(*id, agent);
        if *id != agent && is_program && descends(&all, *id, agent) {
            together += peak(*id).unwrap_or(0);
            if !seen.names.contains(&process.name) {
                seen.names.push(process.name.clone());
            }
        }
    }
    seen.children = seen.children.max(together);
}

fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| Some((id, process(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?))).collect()
}

fn process(stat: &str) -> Option<Process> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let parent = stat.get(end + 1..)?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Process { name: stat.get(begin + 1..end)?.to_owned(), parent })
}

/// Processor seconds of a process, and of its children that have ended, from its `stat`.
pub(crate) fn processor_seconds(stat: &str) -> Option<(f64, f64)> {
    // The name, which may hold anything, ends with the last parenthesis; what follows begins with the third field.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let seconds = |user: usize, system: usize| Some((ticks(user)? + ticks(system)?) / TICKS_PER_SECOND);
    Some((seconds(14, 15)?, seconds(16, 17)?))
}

fn descends(all: &BTreeMap<u32, Process>, id: u32, ancestor: u32) -> bool {
    let parents = std::iter::successors(Some(id), |id| all.get(id).map(|process| process.parent));
    // A listing that is not taken in one moment may hold a circle.
    parents.take(64).any(|id| id == ancestor)
}

fn same_program(one: u32, other: u32) -> bool {
    let program = |id: u32| std::fs::read_link(format!("/proc/{id}/exe")).ok();
    program(one) == program(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grandchild_descends_and_a_stranger_does_not() {
        let all = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 1)].map(|(id, parent)| {
            let stat = format!("{id} (a (b) c) S {parent} 0");
            (id, process(&stat).unwrap())
        }));
        assert!(descends(&all, 4, 2));
        assert!(!descends(&all, 9, 2));
        assert_eq!(all[&4].name, "a (b) c");
    }

    #[test]
    fn a_process_may_be_named_like_a_stat() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 150 50 20 5 20 0 4 0";
        assert_eq!(processor_seconds(stat), Some((2.0, 0.25)));
        assert_eq!(processor_seconds("7 (a) S 1"), None);
    }
}
