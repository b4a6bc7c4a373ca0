//! Requests that go on while a test looks at what becomes of them.

use crate::support::{Request, Response, h1};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Some fifty a second at most: enough for a rate, and the machine is left to the tests beside.
const PAUSE: Duration = Duration::from_millis(20);

/// Ends when dropped.
pub struct Traffic {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// The n-th request is what `request` says. What comes back is looked at by metrics alone.
    pub fn start(addr: SocketAddr, request: impl Fn(usize) -> Request + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let run = move || {
            for n in 0.. {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let _: Result<Response, _> = h1(addr).try_send(&request(n));
                // A pause between requests; nothing is waited for.
                std::thread::sleep(PAUSE);
            }
        };
        Self {
            over,
            thread: Some(std::thread::spawn(run)),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
