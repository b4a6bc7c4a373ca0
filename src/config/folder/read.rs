//! The files as trees. Several are read at a time: of forty teams that is most of what a command waits for.

use super::{File, Kind, kind};
use crate::config::fault::{Fault, Mark};
use crate::config::node::{Entry, Node, Value};
use crate::config::yaml;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A millisecond of reading; a thread is begun in a tenth of that.
const WORTH_A_THREAD: usize = 32 << 10;
/// Where files are read in ten milliseconds, more would not be noticed.
const MOST_THREADS: usize = 4;

/// The trees of all files as one, and by file what kept it from being read.
pub fn all(files: &[File]) -> (Node, Vec<Vec<Fault>>) {
    let mut read: Vec<(usize, Entry, Vec<Fault>)> = Vec::with_capacity(files.len());
    let next = AtomicUsize::new(0);
    let some = || {
        let mut some = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return some };
            let (node, faults) = one(file, index);
            let key = index.to_string();
            some.push((index, Entry { key, at: None, node }, faults));
        }
    };
    thread::scope(|scope| {
        let bytes: usize = files.iter().map(|file| file.text.len()).sum();
        let others = match bytes >= WORTH_A_THREAD {
            true => thread::available_parallelism().map_or(0, |all| all.get().min(MOST_THREADS) - 1),
            false => 0,
        };
        let others: Vec<_> = (0..others)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, some).ok())
            .collect();
        read.extend(some());
        for other in others {
            // What another one took and did not read would be missing from the policy.
            match other.join() {
                Ok(some) => read.extend(some),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    read.sort_unstable_by_key(|(index, _, _)| *index);
    let (trees, unread) = read.into_iter().map(|(_, entry, faults)| (entry, faults)).unzip();
    (Node::new(Value::Map(trees), None).numbered(), unread)
}

fn one(file: &File, index: usize) -> (Node, Vec<Fault>) {
    if is_empty(file) {
        return (Node::new(Value::Map(vec![]), Some(start(index))), vec![]);
    }
    match yaml::read_file(&file.text, index) {
        Ok(node) => (node, vec![]),
        Err(faults) => {
            let faults = faults.iter().map(|fault| placed(fault, index));
            (Node::new(Value::Null, None), faults.collect())
        }
    }
}

/// A file of comments is an empty one; the platform's is not, since a policy without a version is none.
fn is_empty(file: &File) -> bool {
    let says_nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    kind(file) != Some(Kind::Platform) && file.text.lines().all(says_nothing)
}

/// A fault of a whole file is at its start.
fn placed(fault: &Fault, file: usize) -> Fault {
    Fault {
        at: fault.at.or(Some(start(file))),
        ..fault.clone()
    }
}

fn start(file: usize) -> Mark {
    Mark::new(file, 1, 1)
}
