//! Credentials are printed nowhere.

use crate::random::{for_all, policy};
use meshgate::config::yaml;
use meshgate::explain::{Asked, Known, Local, Replied, Who, World, explain, json, text};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestCaseError;

const SECRET: &str = "s3cr3t";

#[test]
fn wherever_they_stand() {
    let headers = subsequence(
        vec![
            "authorization: Bearer s3cr3t",
            "Authorization: Basic s3cr3t, s3cr3t",
            "cookie: session=s3cr3t; s3cr3t; other=s3cr3t",
            "x-api-key: s3cr3t",
            "X_Api.Key: s3cr3t",
            "proxy-authorization: s3cr3t",
            "x-access-token: s3cr3t",
            "referer: https://a/?key=s3cr3t",
            "content-type: application/grpc",
        ],
        1..9,
    );
    let query = select(vec![
        "",
        "?key=s3cr3t",
        "?%6bey=s3cr3t&page=1",
        "?page=1&access_token=s3cr3t",
        "?key=a;b=s3cr3t",
    ]);
    let path = select(vec!["/a", "/a/b", "/acme/b", "/x", "/a//b", "/a/../b"]);
    let reply = select(vec![
        "200\nx-auth-user: ann\nx-auth-access-token: s3cr3t\nset-cookie: session=s3cr3t; Path=/\n",
        "401\nset-cookie: session=s3cr3t\nwww-authenticate: Bearer\n",
        "",
    ]);
    for_all(
        400,
        (policy(), headers, query, path, reply),
        |(policy, headers, query, path, reply)| {
            let parsed = yaml::parse(&policy).map_err(|faults| TestCaseError::fail(faults.to_string()))?;
            let world = World::new(parsed.policy, Local::default()).map_err(TestCaseError::fail)?;
            let line = format!("GET https://a.example.com{path}{query}");
            let asked = Asked::parse(&line, headers.iter().copied()).map_err(TestCaseError::fail)?;
            let who = match reply {
                "" => Who::Shown,
                reply => Who::Answered(Replied::parse(reply.as_bytes()).map_err(TestCaseError::fail)?),
            };
            let known = Known::parse("subject=ann").map_err(TestCaseError::fail)?;
            for who in [who, Who::Known(known)] {
                let explanation = explain(&world, &asked, &who).map_err(TestCaseError::fail)?;
                for shown in [json(&explanation), text(&explanation, true)] {
                    prop_assert!(!shown.contains(SECRET), "{}", shown);
                }
            }
            Ok(())
        },
    );
}
