//! What clients send and what the service answers.

use super::dice::Dice;
use crate::support::stub::End;
use crate::support::{self, Reply, Request};

const PREFIXES: [&str; 10] = [
    "/public/",
    "/closed/",
    "/raw/",
    "/t/acme/",
    "/anonymous/",
    "/lenient/",
    "/orders/",
    "/",
    "",
    "//",
];
/// The first five are harmless, the last four are not for Envoy's own eyes.
const PATH: [&[u8]; 24] = [
    b"a",
    b"orders",
    b"%41",
    b"?q=1",
    b"%C3%A9",
    b"/",
    b"//",
    b"..",
    b".",
    b"%2e",
    b"%2F",
    b"%5c",
    b"%00",
    b"%25",
    b"%",
    b"%zz",
    b";x=1",
    b"\\",
    b"&shown=%ff",
    b"\xc3\xa9",
    b"\xff",
    b"#",
    b" ",
    b"\x01",
];
const METHODS: [&str; 12] = [
    "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "get", "M-SEARCH",
];
const HOSTS: [&[u8]; 8] = [
    b"TEST.:80",
    b"test.",
    b"other",
    b"a,b",
    b"",
    b"\xff",
    b"[::1]",
    b"u@test",
];
const TOKEN: &[u8] = b"abcxyzUIDXYZ019-_.~!#$%&'*+^`|";
const NAMES: [&str; 40] = [
    "x-user-id",
    "X-User-Id",
    "x_user_id",
    "x.user.id",
    "x~user~id",
    "x-user-groups",
    "x_user_groups",
    "x-tenant-id",
    "x-auth-user",
    "x-auth-role",
    "x-internal-a",
    "x_internal_b",
    "authorization",
    "authorization",
    "Authorization",
    "cookie",
    "cookie",
    "x-original-url",
    "x-http-method-override",
    "x-envoy-retry-on",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-internal",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-request-id",
    "traceparent",
    "b3",
    "x-b3-traceid",
    "origin",
    "access-control-request-method",
    "accept",
    "sec-fetch-mode",
    "content-type",
    "user-agent",
    "x-sent-a",
    "x-sent-b",
    "x-more-a",
];
/// Over HTTP/2 Envoy ends the stream, or the whole connection.
const OF_THE_CONNECTION: [&str; 5] = ["te", "keep-alive", "proxy-connection", "host", "connection"];
/// The first is the clients' alone.
const VALUES: [&[u8]; 26] = [
    b"forged",
    b"",
    b"Bearer ",
    b"Bearer",
    b"Basic YTpi",
    b"Digest a=\"b,c\", d=e",
    b",",
    b", ",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"session=",
    b"session=a",
    b"; ",
    b"=",
    b"\"",
    b"\\",
    b"%00",
    b"\t",
    b" ",
    b"application/grpc",
    b"text/html",
    b"navigate",
    b"https://app.test",
    b"PUT",
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"{\"a\":\"b\"}",
];

pub fn request(dice: &mut Dice, case: usize) -> Request {
    let mut target = dice.one_of(&PREFIXES).as_bytes().to_vec();
    let pieces = match dice.below(20) {
        0 => &PATH[..],
        1..=6 => &PATH[..19],
        _ => &PATH[..5],
    };
    target.extend(dice.of_pieces(pieces, 4));
    let mut request = support::request(dice.one_of(&METHODS), target)
        .host(if dice.one_in(10) {
            dice.one_of(&HOSTS)
        } else {
            &b"test"[..]
        })
        .header("x-case", case.to_string());
    if dice.one_in(2) {
        request = request.header(
            "authorization",
            [
                b"Bearer ",
                &dice.bytes(if case.is_multiple_of(3) { 12 } else { 0 })[..],
                b"x",
            ]
            .concat(),
        );
    }
    for _ in 0..dice.below(9) {
        let name = match dice.below(80) {
            0 => dice.bytes(12),
            1 => dice.one_of(&OF_THE_CONNECTION).as_bytes().to_vec(),
            2..=10 => (0..=dice.below(12)).map(|_| *dice.one_of(TOKEN)).collect(),
            _ => dice.one_of(&NAMES).as_bytes().to_vec(),
        };
        request = request.header(name, dice.of_pieces(&VALUES, 4));
    }
    if dice.one_in(40) {
        request = request.header("x-sent-long", vec![b'a'; dice.below(9000)]);
    }
    if dice.one_in(6) {
        request = request.body(dice.bytes(200));
    }
    request
}

const ANSWERED: [&str; 20] = [
    "x-auth-groups",
    "x-auth-tenant",
    "x-auth-role",
    "x-user-id",
    "x_user_id",
    "x-more-a",
    "set-cookie",
    "x-client-a",
    "location",
    "www-authenticate",
    "content-type",
    "cache-control",
    "connection",
    "x-envoy-auth-headers-to-remove",
    "x-envoy-max-retries",
    "x-forwarded-for",
    "x-request-id",
    "retry-after",
    "grpc-status",
    "x-tenant-id",
];

/// The answer, and who calls where it says so in good order.
pub fn reply(dice: &mut Dice) -> (Reply, Option<String>) {
    let mut subject = None;
    let mut reply = match dice.below(20) {
        0..=9 => {
            let name = match dice.one_in(3) {
                true => String::from_utf8_lossy(&dice.bytes(20)).replace(|c: char| c.is_control(), ""),
                false => format!("user-{}", dice.below(1 << 40)),
            };
            let name = name.trim().to_owned();
            subject = Some(name.clone()).filter(|name| !name.is_empty());
            Reply::ok().header("x-auth-user", name)
        }
        10 => Reply::ok().header("x-auth-user", b"\xff\xfe"),
        11 => Reply::ok(),
        12 => Reply::ok()
            .header("x-auth-user", "two")
            .header("x-auth-user", "callers"),
        13 | 14 => Reply::status(*dice.one_of(&[401, 403, 400, 404, 429, 302, 204, 201, 307])),
        15 => Reply::status(*dice.one_of(&[500, 502, 503, 504, 599])),
        16 => return (Reply::close(), None),
        17 => return (Reply::reset(), None),
        18 => {
            return (
                Reply::raw([b"HTTP/1.1 200 OK\r\n", &dice.bytes(60)[..], b"\r\n\r\n"].concat()),
                None,
            );
        }
        _ => Reply::ok()
            .body(dice.bytes(200))
            .end(dice.one_of(&[End::HalfHeaders, End::ResetInBody]).clone()),
    };
    for _ in 0..dice.below(5) {
        reply = reply.header(dice.one_of(&ANSWERED), dice.of_pieces(&VALUES[1..], 4));
    }
    if dice.one_in(3) {
        reply = reply.body(dice.bytes(300));
    }
    (reply, subject)
}
