use super::Envoy;

/// What Envoy logs when a Wasm call ends in a trap, and what the filter logs when it panics.
const SIGNS: [&str; 4] = ["[critical]", "panicked", "Function: proxy_", "Uncaught RuntimeError"];
/// Logged as critical for a policy that the filter refuses in good order.
const REFUSAL: &str = "failed to load";

impl Envoy {
    /// The filter's VM neither trapped nor was replaced, and the process lives.
    #[track_caller]
    pub fn assert_no_trap(&self) {
        if let Some(sign) = self.trap() {
            panic!("the filter trapped: {sign}");
        }
    }

    /// The first sign of a trap.
    pub fn trap(&self) -> Option<String> {
        if let Some(status) = self.exited() {
            return Some(format!("Envoy ended ({status})"));
        }
        let tells = |line: &String| SIGNS.iter().any(|sign| line.contains(sign)) && !line.contains(REFUSAL);
        let line = self.log_lines().into_iter().find(tells);
        line.or_else(|| {
            let reloaded = |name: &str| name.contains(".vm_reload_");
            let stats = self.stats("wasm.").into_iter();
            stats
                .filter(|(name, n)| reloaded(name) && *n > 0)
                .map(|(name, n)| format!("{name}: {n}"))
                .next()
        })
    }
}
