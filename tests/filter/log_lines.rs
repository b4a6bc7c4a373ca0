//! Log lines: one JSON object for each decision, whatever came in, and no secret in any.

use crate::gate::*;
use crate::host::{HeaderMap, Host, HostOptions};
use proxy_wasm::types::LogLevel;

const KEYS: [&str; 15] = [
    "time",
    "level",
    "msg",
    "module",
    "file",
    "line",
    "request_id",
    "trace_id",
    "username",
    "requestURL",
    "rule",
    "revision",
    "outcome",
    "cause",
    "duration_ms",
];

#[test]
fn a_line_says_what_became_of_the_request() {
    let host = gate();
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    host.request(&headers("/gate/a?page=2&token=s", &[CREDENTIAL, trace]));
    host.advance(std::time::Duration::from_micros(12_345));
    answer(&host, YES);
    let line = &decisions(&host)[0];
    let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key}: {line}"));
    assert_eq!(
        text("time"),
        "2026-01-02T03:04:05.012345Z"
            .get(..text("time").len() - 1)
            .unwrap()
            .to_owned()
            + "Z"
    );
    assert_eq!(
        (text("level"), text("msg"), text("module")),
        ("info", "allowed", "meshgate::filter::report")
    );
    assert!(text("file").ends_with("report.rs") && line["line"].as_u64() > Some(0));
    assert_eq!(
        (text("request_id"), text("trace_id")),
        ("req-1", "4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!((text("username"), text("authenticator")), ("u7", "account"));
    assert_eq!(
        text("requestURL"),
        "https://shop.example.com/gate/a?page=2&token=******"
    );
    assert_eq!((text("rule"), text("revision")), ("gate", "r1"));
    assert_eq!((text("outcome"), text("cause")), ("allowed", ""));
    assert_eq!(line["duration_ms"].as_f64(), Some(12.345));
}

#[test]
fn a_secret_may_stand_where_a_name_does() {
    let host = gate();
    for query in ["c2VjcmV0", "c2VjcmV0cw=", "c2VjcmV0czE==", "a=1&c2VjcmV0cw=="] {
        host.request(&headers(&format!("/public/a?{query}"), &[])).done();
    }
    let lines = decisions(&host);
    let urls: Vec<_> = lines.iter().filter_map(|line| line["requestURL"].as_str()).collect();
    assert_eq!(urls.len(), 4);
    assert!(urls.iter().all(|url| !url.contains("c2Vj")), "{urls:?}");
    assert!(urls[3].ends_with("/public/a?a=******&******"), "{urls:?}");
}

/// One request for each end that a request can have.
fn every_end(host: &Host, more: &[(&str, &str)]) -> usize {
    let ends: [(&str, &[(&str, &str)]); 7] = [
        ("/gate/a", YES),
        ("/gate/a", NO),
        ("/gate/a", &[(":status", "500")]),
        ("/gate/a", &[(":status", "200")]),
        ("/gate/staff", YES),
        ("/lenient/a", &[(":status", "503")]),
        ("/gate/shadowed", YES),
    ];
    for (path, reply) in ends {
        let mut all = headers(path, more);
        all.push(CREDENTIAL);
        let stream = host.request(&all);
        if let [callout] = host.callouts().as_slice() {
            host.answer(callout.token, reply, "page");
        }
        stream.done();
    }
    let at_once = [
        "/public/a",
        "/closed",
        "/gate/a",
        "/maybe/a",
        "/nowhere",
        "/public/%2f",
        "/public/../gate/a",
        "x",
    ];
    for path in at_once {
        host.request(&headers(path, more)).done();
    }
    host.request(&[(":method", "GET"), (":path", "/public/a"), (":authority", "a,b")])
        .done();
    ends.len() + at_once.len() + 1
}

#[test]
fn every_decision_has_one_line_with_every_key() {
    let host = gate();
    let count = every_end(&host, &[]);
    let lines = decisions(&host);
    assert_eq!(lines.len(), count);
    for line in &lines {
        for key in KEYS {
            assert!(line.get(key).is_some(), "{key} is missing: {line}");
        }
    }
    let of = |outcome: &str| lines.iter().filter(|line| line["outcome"] == outcome).count();
    assert_eq!(
        (of("allowed"), of("denied"), of("auth_unavailable"), of("forbidden")),
        (2, 1, 2, 1)
    );
    assert_eq!(
        (
            of("failed_open"),
            of("public"),
            of("closed"),
            of("anonymous"),
            of("no_rule")
        ),
        (1, 1, 1, 1, 1)
    );
    assert_eq!((of("unauthenticated"), of("bad_request")), (1, 4));
    // Also where the service refused, or is the one that could not be asked.
    for line in &lines {
        let asked = match line["outcome"].as_str() {
            Some("allowed" | "denied" | "auth_unavailable" | "forbidden") => Some("account"),
            Some("failed_open") => Some("lenient"),
            _ => None,
        };
        assert_eq!(
            line.get("authenticator").and_then(|name| name.as_str()),
            asked,
            "{line}"
        );
    }
    let shadowed = lines.iter().find(|line| line.get("shadow").is_some()).unwrap();
    assert_eq!(shadowed["shadow"], "trial=closed");
}

#[test]
fn a_line_that_the_host_would_drop_is_not_made() {
    for (level, made) in [(LogLevel::Trace, true), (LogLevel::Info, true), (LogLevel::Warn, false)] {
        let host = Host::start(
            POLICY,
            HostOptions {
                log_level: level,
                ..options()
            },
        );
        assert_eq!(host.count("log info") > 0, made, "of the policy at {level:?}");
        host.take_calls();
        host.request(&headers("/public/a", &[]));
        assert_eq!(host.count("log info") > 0, made, "of a request at {level:?}");
        known(&host, "/gate/a");
        answer(&host, &[(":status", "500")]);
        assert_eq!(host.count("log error"), 1, "{level:?}");
    }
}

#[test]
fn the_level_follows_the_host_with_the_tick() {
    let host = gate();
    host.set_log_level(LogLevel::Warn);
    host.tick();
    host.take_calls();
    host.request(&headers("/public/a", &[]));
    assert_eq!(host.count("log"), 0);
    host.set_log_level(LogLevel::Info);
    host.tick();
    host.request(&headers("/public/a", &[]));
    assert_eq!(host.count("log info"), 1);
    host.set_log_level(LogLevel::Critical);
    host.tick();
    known(&host, "/gate/a");
    answer(&host, &[(":status", "500")]);
    assert_eq!((host.count("log info"), host.count("log error")), (1, 0));
}

const SECRET: &str = "S3CRET";

/// Everything that leaves the filter for people to read.
fn told(host: &Host) -> String {
    let properties = host.properties_set();
    let state: Vec<String> = properties
        .iter()
        .map(|(k, v)| format!("{k}={}", v.escape_ascii()))
        .collect();
    format!("{:#?}\n{:#?}\n{state:#?}", host.logs(), host.metrics())
}

#[test]
fn no_secret_is_told() {
    let host = gate();
    let planted = [
        ("authorization", "Bearer S3CRET"),
        ("cookie", "session=S3CRET; other=S3CRET"),
        ("x-api-key", "S3CRET"),
        ("x-user-id", "S3CRET"),
        ("referer", "https://shop.example.com/?token=S3CRET"),
    ];
    let hosts = ["shop.example.com", "user:S3CRET@shop.example.com"];
    let queries = [
        "?access_token=S3CRET",
        "?S3CRET",
        "?a=1&&b=S3CRET&c",
        "?page=1&%70=S3CRET",
        "?page=1;token=S3CRET",
        "#t=S3CRET",
        "?a#t=S3CRET",
    ];
    for authority in hosts {
        for query in queries {
            for path in [
                "/public/a",
                "/closed",
                "/gate/a",
                "/maybe/a",
                "/lenient/a",
                "/nowhere",
                "/public//a",
            ] {
                let target = format!("{path}{query}");
                let mut all = vec![
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", authority),
                    (":path", &target),
                ];
                all.extend(planted);
                let stream = host.request(&all);
                for callout in host.callouts() {
                    let answer = [
                        (":status", "401"),
                        ("set-cookie", "session=S3CRET"),
                        ("x-token", "S3CRET"),
                    ];
                    host.answer(callout.token, &answer, "S3CRET");
                }
                stream.done();
            }
        }
    }
    let stream = host
        .request_with_body(&headers("/read/a", &planted))
        .body("S3CRET", true);
    host.advance(std::time::Duration::from_secs(1));
    host.tick();
    stream.done();
    let told = told(&host);
    let leak = told.lines().find(|line| line.contains(SECRET));
    assert_eq!(leak, None);
    assert!(decisions(&host).len() > 80);
}

#[test]
fn hostile_bytes_still_make_one_line_of_json() {
    let host = gate();
    let bytes: Vec<u8> = (1..=255u8).filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    let hostile = [
        &bytes[..],
        b"\",\"outcome\":\"allowed",
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\\u000a\\",
        &[b'\xc3'; 3000],
    ];
    for bad in hostile {
        for path in [&b"/gate/a"[..], &[b"/gate/", bad].concat()] {
            let map = HeaderMap::of(&[
                (&b":method"[..], &b"GET"[..]),
                (b":scheme", bad),
                (b":authority", b"shop.example.com"),
                (b":path", path),
                (b"x-request-id", bad),
                (b"traceparent", &[b"00-", bad].concat()),
                (b"authorization", b"Bearer x"),
            ]);
            host.request_map(map, true);
            for callout in host.callouts() {
                let answer = HeaderMap::of(&[(&b":status"[..], &b"200"[..]), (b"x-auth-user", bad)]);
                host.answer_map(callout.token, answer, bad, &[]);
            }
        }
    }
    let lines = decisions(&host);
    assert_eq!(lines.len(), hostile.len() * 2);
    for line in lines {
        assert_eq!(
            line.as_object().unwrap().keys().filter(|key| *key == "outcome").count(),
            1
        );
    }
}

#[test]
fn filter_state_says_it_to_access_logs() {
    let host = gate();
    let state = |host: &Host| -> Vec<String> {
        let all = host.properties_set();
        all.iter().map(|(k, v)| format!("{k}={}", v.escape_ascii())).collect()
    };
    known(&host, "/gate/a");
    answer(&host, YES);
    assert_eq!(
        state(&host),
        ["meshgate_rule=gate", "meshgate_outcome=allowed", "meshgate_subject=u7"]
    );
    host.request(&headers("/nowhere", &[]));
    assert_eq!(
        state(&host)[3..],
        [
            "meshgate_rule=none",
            "meshgate_outcome=no_rule",
            "meshgate_cause=no_rule"
        ]
    );
}

#[test]
fn filter_state_says_whose_word_it_was_and_how_long_it_took() {
    let access = r#""access": ["rule", "outcome", "cause", "subject"]"#;
    assert!(POLICY.contains(access));
    let host = serving(
        &POLICY.replace(access, r#""access": ["answer", "duration"]"#),
        options(),
    );
    known(&host, "/gate/a");
    host.advance(std::time::Duration::from_millis(40));
    answer(&host, YES);
    host.request(&headers("/nowhere", &[]));
    let all = host.properties_set();
    let state: Vec<_> = all.iter().map(|(k, v)| format!("{k}={}", v.escape_ascii())).collect();
    assert_eq!(
        state,
        [
            "meshgate_answer=asked",
            "meshgate_duration=40.000",
            "meshgate_duration=0.000"
        ]
    );
}
