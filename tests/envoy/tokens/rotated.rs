use super::*;
use crate::support::{Reply, Wrk};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ISSUERS: usize = 5;
const ROTATIONS: usize = 4;

fn issuer(number: usize) -> String {
    format!("https://id-{number}.example.com")
}

/// Each issuer publishes its next key, waits until it was fetched, signs with it, and takes the old one away. In the
/// shortest time between two fetches, five issuers turn five keys.
#[test]
fn twenty_new_keys_under_load_refuse_nobody() {
    let generations: Arc<Vec<AtomicUsize>> = Arc::new((0..ISSUERS).map(|_| AtomicUsize::new(0)).collect());
    let published = generations.clone();
    let authenticators = (0..ISSUERS).map(|number| {
        let jwt =
            json!({"issuer": issuer(number), "audiences": ["api"], "keys": {"remote": remote(&format!("/{number}"))}});
        (format!("id-{number}"), json!({"jwt": jwt}))
    });
    let authenticators: serde_json::Map<String, Value> = authenticators.collect();
    let names: Vec<&String> = authenticators.keys().collect();
    let policy = json!({
        "version": 1,
        "rules": [{"name": "r", "authenticate": names}],
        "authenticators": authenticators,
    });
    let gate = Gate::builder()
        .policy(&policy)
        .workers(2)
        .auth(move |request| {
            let number: usize = request.path()[1..].parse().expect("a number");
            let newest = published[number].load(Ordering::SeqCst);
            // The one in use until this is known, and the next.
            let kids: Vec<String> = (newest.saturating_sub(1)..=newest)
                .map(|key| format!("k{key}"))
                .collect();
            Reply::ok().json(jwks(&kids))
        })
        .start();
    let tokens = |generation: usize| -> Vec<String> {
        (0..ISSUERS)
            .map(|number| es256(&format!("k{generation}"), &issuer(number)))
            .collect()
    };
    for name in &names {
        all_hold(&gate, name, 1);
    }
    let load = Load::new(gate.envoy.dir().join("tokens"), &tokens(0));
    let wrk = load.start(&format!("http://{}/a", gate.addr()));
    for generation in 1..=ROTATIONS {
        for number in 0..ISSUERS {
            generations[number].store(generation, Ordering::SeqCst);
        }
        for name in &names {
            all_hold(&gate, name, generation as u64 + 1);
        }
        load.set(&tokens(generation));
    }
    let text = wrk.finish();
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests: u64 = requests.and_then(|(n, _)| n.parse().ok()).unwrap_or_default();
    assert!(requests > 1000, "{text}");
    assert!(!text.contains("Non-2xx"), "refused: {text}");
    let outcomes = gate.envoy.stats("wasmcustom.meshgate_requests_total");
    let refused: Vec<_> = outcomes.iter().filter(|(name, _)| name.contains("denied")).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// wrk, which takes its tokens from a file again and again.
pub struct Load {
    tokens: PathBuf,
}

impl Load {
    pub fn new(tokens: PathBuf, first: &[String]) -> Self {
        let load = Self { tokens };
        load.set(first);
        load
    }

    /// In one step, so that no half token is read.
    pub fn set(&self, tokens: &[String]) {
        let next = self.tokens.with_extension("next");
        std::fs::write(&next, tokens.join("\n")).expect("written");
        std::fs::rename(&next, &self.tokens).expect("renamed");
    }

    pub fn start(&self, url: &str) -> Wrk {
        let script = self.tokens.with_extension("lua");
        let path = self.tokens.display();
        let text = format!(
            r#"local tokens, n = {{}}, 0
request = function()
  if n % 50 == 0 then
    tokens = {{}}
    for line in io.lines("{path}") do tokens[#tokens + 1] = line end
  end
  n = n + 1
  return wrk.format("GET", nil, {{ ["authorization"] = "Bearer " .. tokens[n % #tokens + 1] }})
end
"#
        );
        std::fs::write(&script, text).expect("written");
        Wrk::start(url, 8, &script)
    }
}
