//! What the environment asks for, and where results are kept.

use crate::variants::{BASE, NATIVE, Variant};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Settings {
    pub rounds: usize,
    pub seconds: u64,
    pub no_limits: bool,
    pub soak: Option<u64>,
    pub wrk: PathBuf,
    pub module: PathBuf,
    only: Option<Vec<String>>,
    beside: Vec<String>,
}

impl Settings {
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &str, usual: u64| {
            text(name).map_or(usual, |text| match text.parse() {
                Ok(number) if number > 0 => number,
                _ => panic!("{name}={text} is no number above 0"),
            })
        };
        let list = |name: &str| text(name).map(|text| text.split(',').map(str::to_owned).collect());
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/meshgate.wasm");
        Self {
            rounds: number("MESHGATE_BENCH_ROUNDS", 12) as usize,
            seconds: number("MESHGATE_BENCH_SECONDS", 1),
            soak: text("MESHGATE_BENCH_SOAK").map(|_| number("MESHGATE_BENCH_SOAK", 0)),
            no_limits: text("MESHGATE_BENCH_NO_LIMITS").is_some_and(|text| text == "1"),
            wrk: text("MESHGATE_WRK").unwrap_or_else(|| "wrk".into()).into(),
            module: text("MESHGATE_WASM").map_or(module, PathBuf::from),
            only: list("MESHGATE_BENCH_ONLY"),
            beside: list("MESHGATE_BENCH_BESIDE").unwrap_or_default(),
        }
    }

    pub fn choose(&self, all: Vec<Variant>) -> Vec<Variant> {
        for key in self.only.iter().flatten() {
            let known: Vec<&str> = all.iter().map(|variant| &*variant.key).collect();
            assert!(
                known.contains(&&**key),
                "MESHGATE_BENCH_ONLY: {key} is none of {known:?}"
            );
        }
        let wanted = |key: &str| self.only.as_ref().is_none_or(|only| only.iter().any(|k| k == key));
        // What a wanted one has a limit against is needed, too.
        let compared = |key: &str| {
            let limits = all.iter().filter(|v| wanted(&v.key)).flat_map(|v| &v.limits);
            limits.into_iter().any(|limit| limit.of == key)
        };
        let needed = |key: &str| key == BASE || key == NATIVE || wanted(key) || compared(key);
        let mut chosen = Vec::new();
        for variant in all.iter().filter(|variant| needed(&variant.key)) {
            chosen.push(variant.clone());
            chosen.extend(self.beside.iter().filter_map(|module| variant.beside(module)));
        }
        chosen
    }

    /// The last results, and all results by their time. Names what was written.
    pub fn keep(&self, name: &str, report: &Value, charts: &[(&str, String)]) -> Vec<String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let dir = target.join("bench");
        std::fs::create_dir_all(&dir).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let json = serde_json::to_string_pretty(report).unwrap() + "\n";
        let mut files = vec![
            (format!("{name}.json"), json.as_str()),
            (format!("{name}-{now}.json"), json.as_str()),
        ];
        files.extend(charts.iter().map(|(chart, svg)| (format!("{chart}.svg"), svg.as_str())));
        let written = files.into_iter().map(|(name, text)| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        });
        written.collect()
    }
}
