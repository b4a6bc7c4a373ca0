//! The world of one module: just enough of a proxy to keep the filter going.

use super::headers::HeaderMap;
use super::hostile::Random;
use std::collections::{BTreeMap, BTreeSet};

pub struct World {
    pub configuration: Vec<u8>,
    pub env: Vec<String>,
    pub random: Random,
    /// Chances of a neighbour's or the host's odd answers; off for a run that must succeed.
    pub hostile: bool,
    pub now_ns: u64,
    pub current: u32,
    pub effective: u32,
    pub contexts: BTreeSet<u32>,
    pub streams: BTreeMap<u32, Stream>,
    pub callouts: Vec<Callout>,
    pub answer: Option<(Option<HeaderMap>, Vec<u8>)>,
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub metrics: u32,
    pub logs: Vec<String>,
    pub log_level: u32,
    pub calls: usize,
    next_id: u32,
}

#[derive(Default)]
pub struct Stream {
    pub request: HeaderMap,
    pub trailers: HeaderMap,
    pub response: HeaderMap,
    pub body: Vec<u8>,
    pub request_open: bool,
    pub trailers_open: bool,
    pub response_open: bool,
    pub paused: bool,
    pub replied: Option<u32>,
}

#[derive(Clone, Copy)]
pub struct Callout {
    pub token: u32,
    pub context: u32,
    pub grpc: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            configuration: Vec::new(),
            env: vec!["MESHGATE_CACHE_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into()],
            random: Random(seed),
            hostile: false,
            now_ns: 1_767_323_045_000_000_000, // 2026-01-02T03:04:05Z
            current: 0,
            effective: 0,
            contexts: BTreeSet::new(),
            streams: BTreeMap::new(),
            callouts: Vec::new(),
            answer: None,
            shared: BTreeMap::new(),
            metrics: 0,
            logs: Vec::new(),
            log_level: 2,
            calls: 0,
            next_id: 0,
        }
    }

    pub fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// The effective context if it still lives, else the one the proxy called.
    pub fn context(&self) -> u32 {
        match self.contexts.contains(&self.effective) {
            true => self.effective,
            false => self.current,
        }
    }

    pub fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    /// A header map, while the filter may touch it.
    pub fn map(&mut self, kind: u32) -> Option<&mut HeaderMap> {
        if kind == 6 {
            return self.answer.as_mut()?.0.as_mut();
        }
        let stream = self.stream()?;
        match kind {
            0 => stream.request_open.then_some(&mut stream.request),
            1 => stream.trailers_open.then_some(&mut stream.trailers),
            2 => stream.response_open.then_some(&mut stream.response),
            _ => None,
        }
    }

    pub fn buffer(&mut self, kind: u32) -> Option<Vec<u8>> {
        match kind {
            0 => self.stream().map(|s| s.body.clone()),
            4 | 5 => self.answer.as_ref().map(|(_, body)| body.clone()),
            6 => Some(Vec::new()),
            7 => Some(self.configuration.clone()),
            _ => None,
        }
    }

    /// One chance in `n`, if odd things may happen at all.
    pub fn oddly(&mut self, n: usize) -> bool {
        self.hostile && self.random.one_in(n)
    }
}
