//! Ten thousand requests of odd bytes: a panic would end this test's whole process.

use crate::gate::*;
use crate::host::{HeaderMap, Host};

/// SplitMix64
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a [u8] {
        from[self.below(from.len())].as_bytes()
    }

    /// Words, odd bytes and both together; Envoy lets everything through but CR, LF and NUL.
    fn value(&mut self, words: &[&str]) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..=self.below(3) {
            match self.below(3) {
                0 => value.extend((0..self.below(30)).map(|_| self.number().to_le_bytes()[0])),
                _ => value.extend(self.pick(words)),
            }
        }
        value.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
        value
    }

    /// Names as Envoy lets through, and a caller who tries every spelling of ours.
    fn name(&mut self) -> Vec<u8> {
        if self.below(2) == 0 {
            return self.pick(NAMES).to_vec();
        }
        let mut name = self.pick(OURS).to_vec();
        for byte in &mut name {
            if *byte == b'-' && self.below(2) == 0 {
                *byte = b"_.~!#$%&'*+^`|"[self.below(14)];
            }
        }
        name
    }
}

const OURS: &[&str] = &[
    "x-user-id",
    "x-user-groups",
    "x-authenticated-by",
    "x-auth-user",
    "x-internal-x",
    "x-envoy-retry-on",
];
const NAMES: &[&str] = &[
    "authorization",
    "cookie",
    "connection",
    "x-request-id",
    "traceparent",
    "b3",
    "content-type",
    "accept",
    "origin",
    "access-control-request-method",
    "sec-fetch-mode",
    "x-forwarded-host",
    "upgrade",
    "set-cookie",
    "location",
];
const WORDS: &[&str] = &[
    "FORGED",
    "Bearer ",
    "session=",
    "; ",
    ",",
    "=",
    "\"",
    "upgrade, x-user-id",
    "application/grpc",
    "é",
    "\u{202e}",
    "%00",
];
const PATHS: &[&str] = &[
    "/gate/",
    "/public/",
    "/maybe/",
    "/lenient/",
    "/read/",
    "/taste/",
    "/closed",
    "..",
    "//",
    "%2e",
    "%2f",
    ";",
    "?",
    "&",
    "#",
    "a",
    "*",
];
const METHODS: &[&str] = &["GET", "GET", "POST", "OPTIONS", "CONNECT", "", "G T"];
const STATUSES: &[&str] = &["200", "200", "200", "401", "302", "500", "", "-1", "99999"];

fn request(random: &mut Random) -> HeaderMap {
    let mut map = HeaderMap::default();
    let odd = |random: &mut Random| random.below(8) == 0;
    let method = if odd(random) { random.pick(METHODS) } else { b"GET" };
    map.add(b":method", method);
    let host = if odd(random) {
        random.value(WORDS)
    } else {
        b"shop.example.com".to_vec()
    };
    map.add(b":authority", &host);
    let mut path = random.pick(PATHS).to_vec();
    match random.below(3) {
        0 => path.extend(random.value(PATHS)),
        1 => path.extend(random.pick(PATHS)),
        _ => path.extend(b"a?b=c"),
    }
    map.add(b":path", &path);
    if !odd(random) {
        map.add(b"authorization", b"Bearer t0ken");
    }
    some(random, &mut map, "FORGED");
    map
}

fn some(random: &mut Random, map: &mut HeaderMap, mark: &str) {
    for _ in 0..random.below(12) {
        let (name, mut value) = (random.name(), random.value(WORDS));
        if random.below(2) == 0 {
            value = mark.into();
        }
        map.add(&name, &value);
    }
}

fn answer_oddly(random: &mut Random, host: &Host, token: u32) {
    let mut map = HeaderMap::of(&[(":status", random.pick(STATUSES))]);
    if random.below(2) == 0 {
        map.add(b"x-auth-user", b"u7");
    }
    let mut odd = HeaderMap::default();
    some(random, &mut odd, "SERVICE");
    for (name, value) in odd.pairs() {
        // What the service itself says of the caller is its word, not the caller's.
        let value = String::from_utf8_lossy(value).replace("FORGED", "").into_bytes();
        map.add(name.as_bytes(), &value);
    }
    match random.below(12) {
        0 => host.answer_failed(token),
        1 => host.answer_timed_out(token),
        _ => host.answer_map(token, map, random.value(WORDS), &[]),
    }
}

fn run(host: &Host, seed: u64, rounds: usize) -> (usize, usize) {
    let mut random = Random(seed);
    let (mut on, mut refused) = (0, 0);
    for _ in 0..rounds {
        let (headers, end) = (request(&mut random), random.below(2) == 0);
        let shown = format!("{headers:?}");
        let stream = host.request_map(headers, end);
        if !end {
            stream.body(random.value(WORDS), false);
            let mut trailers = HeaderMap::default();
            some(&mut random, &mut trailers, "FORGED");
            let trailers: Vec<(String, String)> = trailers
                .pairs()
                .iter()
                .map(|(n, v)| (n.clone(), String::from_utf8_lossy(v).into_owned()))
                .collect();
            let trailers: Vec<(&str, &str)> = trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            stream.trailers(&trailers);
        }
        for callout in host.callouts() {
            answer_oddly(&mut random, host, callout.token);
        }
        let both = [stream.upstream(), stream.upstream_trailers()];
        for seen in both.iter().flatten() {
            assert_unforged(seen, "FORGED");
        }
        on += usize::from(stream.upstream().is_some());
        refused += usize::from(stream.reply().is_some());
        if stream.upstream().is_none() {
            let held = stream.upstream_body().is_empty() && stream.upstream_trailers().is_none();
            assert!(held, "a body without its request: {shown}");
        }
        stream.done();
    }
    (on, refused)
}

#[test]
fn odd_bytes_neither_trap_nor_forge() {
    for (seed, start) in [(1, gate as fn() -> Host), (2, gate_with_flag)] {
        let host = start();
        let rounds = 5_000;
        let (on, refused) = run(&host, seed, rounds);
        assert!(
            on > rounds / 20 && refused > rounds / 20,
            "{on} went on, {refused} were refused"
        );
        let lines = decisions(&host);
        assert_eq!(lines.len(), on + refused, "one line each; held ones have none yet");
    }
}
