//! What a process has taken of the CPU, in nanoseconds.

use std::fs;
use std::time::Duration;

/// Of all threads that live. From the scheduler's own account where the kernel keeps one; /proc/PID/stat
/// counts in steps of 10 ms.
pub fn time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("Envoy runs");
    let spent = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    match spent.sum() {
        0 => ticks(pid),
        nanoseconds => Duration::from_nanos(nanoseconds),
    }
}

fn ticks(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("Envoy runs");
    // The second field is the program's name in parentheses, and may hold spaces.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // SAFETY: sysconf only reads a constant of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Duration::from_nanos(ticks * 1_000_000_000 / per_second)
}

/// Keeps all threads of a process on one core, and its children with them: what is measured and what makes
/// the load then do not push each other out of the caches. On one core there is nothing to choose.
pub fn pin(pid: u32, core: usize) {
    if std::thread::available_parallelism().map_or(1, usize::from) <= core {
        return;
    }
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    for task in tasks.flatten() {
        let Ok(id) = task.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        // SAFETY: a CPU set is plain bits, and the call only reads it. A thread that is gone by now needs no core.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut set);
            libc::sched_setaffinity(id, size_of::<libc::cpu_set_t>(), &set);
        }
    }
}
