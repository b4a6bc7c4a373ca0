//! From rounds to figures. A ratio is taken within each round, and the median of the rounds counts.

use crate::load;
use crate::settings::Settings;
use crate::variants::{BASE, NATIVE, Variant};
use crate::world::Measured;
use serde_json::{Value, json};

pub struct Figures<'a> {
    variants: &'a [Variant],
    /// By variant, then by round.
    measured: Vec<Vec<Measured>>,
}

impl<'a> Figures<'a> {
    pub fn new(variants: &'a [Variant]) -> Self {
        Self {
            variants,
            measured: vec![Vec::new(); variants.len()],
        }
    }

    pub fn add(&mut self, variant: usize, measured: Measured) {
        self.measured[variant].push(measured);
    }

    pub fn report(&self, settings: &Settings, envoy: &str) -> Value {
        let rows: Vec<Value> = (0..self.variants.len()).map(|at| self.row(at)).collect();
        json!({
            "envoy": envoy,
            "settings": {
                "rounds": settings.rounds,
                "seconds": settings.seconds,
                "connections": load::CONNECTIONS,
                "workers": 1,
                "request_headers": load::HEADERS.len(),
                "cpus": std::thread::available_parallelism().map_or(0, usize::from),
            },
            "variants": rows,
        })
    }

    fn row(&self, at: usize) -> Value {
        let variant = &self.variants[at];
        let all = |of: fn(&Measured) -> f64| median(self.measured[at].iter().map(of).collect());
        let limits: Vec<Value> = variant
            .limits
            .iter()
            .map(|limit| {
                let ratio = median(self.ratios(at, limit.of));
                json!({"of": limit.of, "ratio": ratio, "at_most": limit.at_most, "met": ratio <= limit.at_most})
            })
            .collect();
        json!({
            "key": variant.key,
            "label": variant.label,
            "us_per_request": all(|m| m.us_per_request),
            "us_added": median(self.added(at)),
            "us_added_spread": spread(self.added(at)),
            "of_ext_authz": median(self.ratios(at, NATIVE)),
            "limits": limits,
            "grows": variant.grows.map(|(what, many)| json!({"what": what, "many": many})),
            "p50_ms": all(|m| m.load.p50_ms),
            "p99_ms": all(|m| m.load.p99_ms),
            "requests_per_second": all(|m| m.load.per_second),
            "rounds": self.measured[at].iter().map(|m| json!({
                "us_per_request": m.us_per_request,
                "requests": m.load.requests,
            })).collect::<Vec<_>>(),
        })
    }

    /// By round, over no filter at all.
    fn added(&self, at: usize) -> Vec<f64> {
        let rounds = self.measured[at].iter().zip(&self.measured[self.at(BASE)]);
        rounds
            .map(|(with, without)| with.us_per_request - without.us_per_request)
            .collect()
    }

    fn ratios(&self, at: usize, of: &str) -> Vec<f64> {
        let rounds = self.added(at).into_iter().zip(self.added(self.at(of)));
        rounds.map(|(this, other)| this / other).collect()
    }

    fn at(&self, key: &str) -> usize {
        let found = self.variants.iter().position(|variant| variant.key == key);
        found.unwrap_or_else(|| panic!("no variant {key}"))
    }
}

/// A line for each limit that is not met.
pub fn missed(report: &Value) -> Vec<String> {
    let rows = report["variants"].as_array().into_iter().flatten();
    let limits = rows.flat_map(|row| {
        row["limits"]
            .as_array()
            .into_iter()
            .flatten()
            .map(move |limit| (row, limit))
    });
    let missed = limits.filter(|(_, limit)| limit["met"] != true);
    missed
        .map(|(row, limit)| {
            format!(
                "{}: {:.2} of what {} adds, at most {}",
                row["label"].as_str().unwrap_or_default(),
                limit["ratio"].as_f64().unwrap_or(f64::NAN),
                limit["of"].as_str().unwrap_or_default(),
                limit["at_most"],
            )
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Half of the rounds lie closer to the median than this.
fn spread(values: Vec<f64>) -> f64 {
    let centre = median(values.clone());
    median(values.iter().map(|value| (value - centre).abs()).collect())
}
