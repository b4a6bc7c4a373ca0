//! The process side: started so that it cannot outlive the test binary, measured from /proc.
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts the command from a thread that lives as long as the test binary: the kernel sends the
/// parent-death signal when the *thread* that started a child ends, and a test is a thread.
pub fn spawn(command: Command) -> Child {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (send, jobs) = mpsc::channel::<Job>();
        let run = move || {
            for (mut command, answer) in jobs {
                let _ = answer.send(die_with_parent(&mut command).spawn());
            }
        };
        std::thread::Builder::new()
            .name("envoy-starter".into())
            .spawn(run)
            .unwrap();
        Mutex::new(send)
    });
    let (send, answer) = mpsc::channel();
    starter.lock().unwrap().send((command, send)).unwrap();
    answer.recv().unwrap().expect("starting it")
}

/// User plus system time.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Envoy runs");
    // The second field is the program's name in parentheses, and may hold spaces.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // SAFETY: sysconf only reads a constant of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Duration::from_nanos(ticks * 1_000_000_000 / per_second)
}

pub(super) fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Envoy runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: prctl and getppid are async-signal-safe and touch no memory of ours.
    unsafe {
        let parent = std::process::id() as libc::pid_t;
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The test binary may have ended before the signal was armed.
            if libc::getppid() != parent {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(())
            }
        })
    }
}
