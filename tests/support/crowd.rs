//! Many at once.
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

/// Runs `n` times `what` on threads that start together; the results in the order of their index.
pub fn all_at_once<T: Send>(n: usize, what: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(n);
    std::thread::scope(|scope| {
        let (barrier, what) = (&barrier, &what);
        let threads: Vec<_> = (0..n)
            .map(|i| {
                // Small stacks: a thousand of them are wanted on a small machine.
                std::thread::Builder::new()
                    .stack_size(512 * 1024)
                    .spawn_scoped(scope, move || {
                        barrier.wait();
                        what(i)
                    })
                    .unwrap()
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
            .collect()
    })
}

/// A gate for handlers: whoever waits goes on when it is opened, or after the bound.
#[derive(Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Whether it was opened within the bound.
    pub fn wait(&self, bound: Duration) -> bool {
        let open = self.0.0.lock().unwrap();
        *self.0.1.wait_timeout_while(open, bound, |open| !*open).unwrap().0
    }
}

/// A body that is larger than any buffer on the way, and not the same everywhere.
pub fn five_megabytes() -> Vec<u8> {
    (0..5 << 20).map(|i: u32| (i % 251) as u8).collect()
}
