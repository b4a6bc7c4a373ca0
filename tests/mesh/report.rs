//! Named checks, counted as cargo's own harness counts tests.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

pub struct Report {
    passed: usize,
    failed: Vec<String>,
    begin: Instant,
}

impl Report {
    pub fn begin() -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            begin: Instant::now(),
        }
    }

    pub fn say(&self, what: &str) {
        println!("{:>4} s  {what}", self.begin.elapsed().as_secs());
    }

    /// A check that fails ends itself and no other.
    pub fn check(&mut self, name: impl Into<String>, check: impl FnOnce()) {
        let name = name.into();
        let passed = catch_unwind(AssertUnwindSafe(check)).is_ok();
        self.say(&format!("{} {name}", if passed { "ok    " } else { "FAILED" }));
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(name);
        }
    }

    pub fn end(self) -> ! {
        for name in &self.failed {
            println!("failed: {name}");
        }
        let failed = self.failed.len();
        let result = if failed == 0 { "ok" } else { "FAILED" };
        println!(
            "test result: {result}. {} passed; {failed} failed; 0 ignored",
            self.passed
        );
        std::process::exit(i32::from(failed > 0));
    }
}
