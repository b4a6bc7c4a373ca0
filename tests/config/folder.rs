//! Policies of many teams.

use crate::command::meshgate;
use meshgate::config::folder::{File, Folder, NotBuilt};
use meshgate::config::{Built, Fault};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policy");
const TEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/ten");

const PLATFORM: &str = r#"version: 1
teams:
  orders: { owns: [{ hosts: [shop.test], paths: ["/orders/**"] }] }
  pay: { owns: [{ hosts: ["*.pay.test", pay.test], paths: ["/**"] }], may: [anonymous, identity, rate_limits] }
authenticators:
  account:
    callout: { protocol: ext_authz_http, cluster: auth, timeout: 1s, principal: { subject: x-user }, on_failure: deny }
defaults: { authenticate: [account] }
rules:
- { name: closed, match: { hosts: ["*"], paths: ["/internal/**"] }, refuse: 404 }
"#;
const ORDERS: &str = r#"rules:
- { name: read, match: { hosts: [shop.test], paths: ["/orders/**"], methods: [GET] } }
- { name: rest, match: { hosts: [shop.test], paths: ["/orders/**"] } }
"#;

fn folder(files: &[(&str, &str)]) -> Folder {
    let file = |(name, text): &(&str, &str)| File {
        name: (*name).into(),
        text: (*text).into(),
    };
    Folder::new(files.iter().map(file).collect())
}

#[track_caller]
fn built(files: &[(&str, &str)], environment: Option<&str>) -> Built {
    match folder(files).build(environment, &[]) {
        Ok(built) => built,
        Err(NotBuilt::Asked(message)) => panic!("{message}"),
        Err(NotBuilt::Faults(faults)) => panic!("{faults}"),
    }
}

/// `FILE:LINE:COLUMN: PATH: MESSAGE`
#[track_caller]
fn faults(files: &[(&str, &str)], environment: Option<&str>) -> Vec<String> {
    let folder = folder(files);
    match folder.build(environment, &[]) {
        Err(NotBuilt::Faults(faults)) => faults.iter().map(|fault| shown(&folder, fault)).collect(),
        Err(NotBuilt::Asked(message)) => vec![message],
        Ok(_) => vec![],
    }
}

fn shown(folder: &Folder, fault: &Fault) -> String {
    let at = fault.at.expect("a place");
    let name = &folder.files()[at.file()].name;
    format!("{name}:{}:{}: {fault}", at.line(), at.column())
}

fn names(json: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(json).expect("JSON");
    let rules = document["rules"].as_array().expect("rules").iter();
    rules
        .map(|rule| rule["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// The files of a folder, named as the library names them.
fn read(folder: &str) -> Vec<File> {
    let mut files = vec![];
    let mut open = vec![PathBuf::from(folder)];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path
                .strip_prefix(folder)
                .expect("within")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).expect("text");
            files.push(File { name, text });
        }
    }
    files
}

/// Of each fault its place, and what the marks under its line stand under.
fn marked(told: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = told.lines().collect();
    let faults = lines.windows(3).filter(|three| three[2].trim_start().starts_with("| "));
    let of = |three: &[&str]| {
        let (head, line, marks) = (three[0], three[1], three[2]);
        let place: Vec<&str> = head.splitn(4, ':').take(3).collect();
        let marked = line.chars().zip(marks.chars()).filter(|(_, mark)| *mark == '^');
        (place.join(":"), marked.map(|(c, _)| c).collect())
    };
    faults.map(of).collect()
}

#[test]
fn ten_faults_in_four_files_each_at_its_character() {
    let (status, output, told) = meshgate(&["check", TEN], "");
    assert_eq!((status, output.as_str()), (1, ""), "{told}");
    let expected = [
        ("platform.yaml:2:7", "enforced"),
        ("platform.yaml:5:73", "\"/orders/old/**\""),
        ("platform.yaml:11:16", "500"),
        ("teams/catalog.yaml:3:24", "stagin"),
        ("teams/catalog.yaml:4:69", "methodes"),
        ("teams/catalog.yaml:7:14", "allow_missing"),
        ("teams/orders.yaml:3:59", "\"/basket/**\""),
        ("teams/orders.yaml:4:18", "acount"),
        ("teams/orders.yaml:6:20", "\"${shop_hots}\""),
        ("env/prod.yaml:2:1", "old_host"),
    ];
    let expected = expected.map(|(place, marked)| (format!("{TEN}/{place}"), marked.to_owned()));
    assert_eq!(marked(&told), expected, "{told}");
    assert!(told.ends_with("\n10 faults\n"), "{told}");
    for hint in [
        "did you mean account?",
        "did you mean shop_host?",
        "did you mean methods?",
    ] {
        assert!(told.contains(hint), "{hint}: {told}");
    }
}

#[test]
fn the_example_is_fine_everywhere_and_differs() {
    let (status, output, told) = meshgate(&["check", EXAMPLE], "");
    assert_eq!((status, told.as_str()), (0, ""));
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        matches!(lines.as_slice(), [pre, prod, test]
            if pre.contains("(pre): fine: 13 rules") && prod.contains("(prod): fine: 12 rules") && test.contains("(test): fine: 14 rules")),
        "{output}"
    );
    let build = |environment: &str| {
        let (status, json, told) = meshgate(&["build", EXAMPLE, "--env", environment], "");
        assert_eq!((status, told.as_str()), (0, ""));
        json
    };
    let [test, prod] = ["test", "prod"].map(build);
    assert_eq!(
        names(&prod),
        [
            "health",
            "internal",
            "catalog/static",
            "catalog/edit",
            "catalog/browse",
            "orders/support",
            "orders/read",
            "orders/write",
            "orders/carts",
            "payments/webhook",
            "payments/refund",
            "payments/pay",
        ]
    );
    assert!(prod.contains("\"shop.example.com\"") && !prod.contains("loadtest") && !prod.contains("environments"));
    assert!(
        test.contains("\"shop.test.example.com\"") && test.contains("loadtest") && test.contains("catalog/preview")
    );
    assert!(!prod.contains("teams") && !prod.contains("${"));
    // What Envoy is given is a policy of its own.
    meshgate::config::parse(prod.trim_end().as_bytes()).expect("a policy");
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let files = read(EXAMPLE);
    let build = |files: Vec<File>| {
        Folder::new(files)
            .build(Some("prod"), &[])
            .expect("fine")
            .document
            .json()
    };
    let mut backwards = files.clone();
    backwards.sort_by(|one, other| other.name.cmp(&one.name));
    let json = build(files.clone());
    assert_eq!(json, build(backwards));
    let revision = |json: &str| {
        let document: Value = serde_json::from_str(json).expect("JSON");
        document["revision"].as_str().expect("a revision").to_owned()
    };
    assert!(revision(&json).len() == "sha256-0123456789ab".len() && revision(&json).starts_with("sha256-"));
    // A comment is no change, a rule is one.
    let mut commented = files.clone();
    commented[0].text.push_str("# again\n");
    assert_eq!(json, build(commented));
    let mut changed = files;
    for file in &mut changed {
        file.text = file.text.replace("auth_timeout: 500ms", "auth_timeout: 400ms");
    }
    assert_ne!(revision(&json), revision(&build(changed)));
    // One's own word stays.
    let own = PLATFORM.replace("version: 1", "version: 1\nrevision: mine");
    assert_eq!(
        revision(&built(&[("platform.yaml", &own)], None).document.json()),
        "mine"
    );
    let built = built(&[("platform.yaml", PLATFORM)], None);
    assert_eq!(&*built.parsed.policy.revision, revision(&built.document.json()));
}

#[test]
fn a_team_stays_within_what_it_owns() {
    for (rule, expected) in [
        (
            r#"{ name: a, match: { hosts: [shop.test], paths: ["/orders/**"] } }"#,
            &[][..],
        ),
        (
            r#"{ name: a, match: { hosts: [shop.test], paths: [/orders, /orders/, "/orders/{id}"] } }"#,
            &[],
        ),
        (
            r#"{ name: a, match: { hosts: [shop.test], paths: ["/orders/**", "/ordersx"] } }"#,
            &[
                r#"2:65: rules[0].match.paths[1]: path "/ordersx" of shop.test is outside what team orders owns (platform.yaml:3:50)"#,
            ],
        ),
        (
            r#"{ name: a, match: { hosts: ["*.shop.test"], paths: ["/orders/**"] } }"#,
            &[
                r#"2:31: rules[0].match.hosts[0]: host "*.shop.test" is outside what team orders owns (platform.yaml:3:20)"#,
            ],
        ),
        (
            r#"{ name: a, match: { hosts: ["*"], paths: ["/orders/1"] } }"#,
            &[r#"2:31: rules[0].match.hosts[0]: host "*" is outside what team orders owns (platform.yaml:3:20)"#],
        ),
        (
            r#"{ name: a, match: { paths: ["/orders/1"] } }"#,
            &[
                "2:3: rules[0] (a): takes more than team orders owns (platform.yaml:3:20): match.hosts is missing, and a team's rule names both",
            ],
        ),
        (
            "{ name: a }",
            &[
                "2:3: rules[0] (a): takes more than team orders owns (platform.yaml:3:20): match.hosts is missing, and a team's rule names both",
                "2:3: rules[0] (a): takes more than team orders owns (platform.yaml:3:20): match.paths is missing, and a team's rule names both",
            ],
        ),
        (
            r#"{ name: a, match: { hosts: [pay.test], paths: ["/orders/**"] } }"#,
            &[
                r#"2:31: rules[0].match.hosts[0]: host "pay.test" is outside what team orders owns (platform.yaml:3:20)"#,
            ],
        ),
    ] {
        let team = format!("rules:\n- {rule}\n");
        let found = faults(&[("platform.yaml", PLATFORM), ("teams/orders.yaml", &team)], None);
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("teams/orders.yaml:{line}"))
            .collect();
        assert_eq!(found, expected, "{rule}");
    }
    // Where another team owns it, that is told.
    let platform = PLATFORM.replace(
        "hosts: [\"*.pay.test\", pay.test], paths: [\"/**\"]",
        "hosts: [shop.test], paths: [\"/pay/**\"]",
    );
    let team = "rules:\n- { name: a, match: { hosts: [shop.test], paths: [\"/pay/x\"] } }\n";
    assert_eq!(
        faults(&[("platform.yaml", &platform), ("teams/orders.yaml", team)], None),
        [
            "teams/orders.yaml:2:51: rules[0].match.paths[0]: path \"/pay/x\" of shop.test is outside what team orders owns \
             (platform.yaml:3:50), and is team pay's (platform.yaml:4:17)"
        ]
    );
}

#[test]
fn what_is_owned_is_owned_by_one() {
    let platform = |owns: &str| PLATFORM.replace("hosts: [\"*.pay.test\", pay.test], paths: [\"/**\"]", owns);
    for (owns, shared) in [
        (r#"hosts: [pay.test], paths: ["/**"]"#, None),
        (
            r#"hosts: ["*.test"], paths: ["/pay/**", "/orders/x"]"#,
            Some("paths[1]"),
        ),
        (r#"hosts: ["*"], paths: ["/*/x"]"#, Some("paths[0]")),
        (r#"hosts: [shop.test], paths: ["/**"]"#, Some("paths[0]")),
        (r#"hosts: [shop.test], paths: ["/o*"]"#, Some("paths[0]")),
        (r#"hosts: [shop.test], paths: ["/ordersx/**", "/p*/**"]"#, None),
    ] {
        let found = faults(&[("platform.yaml", &platform(owns))], None);
        match shared {
            None => assert_eq!(found, [""; 0], "{owns}"),
            Some(item) => {
                let path = format!("teams.pay.owns[0].{item}: ");
                let message = "team pay and team orders (platform.yaml:3:50) both own some of it";
                let told = found
                    .iter()
                    .all(|fault| fault.contains(&path) && fault.ends_with(message));
                assert!(found.len() == 1 && told, "{owns}: {found:?}");
            }
        }
    }
}

#[test]
fn what_others_would_notice_needs_the_platforms_word() {
    let limits = "rate_limits: { few: { per: client_ip, requests: 10, window: 1s } }\ndefaults:";
    let platform = PLATFORM.replace("defaults:", limits);
    let rule = |more: &str| {
        format!(
            "rules:\n- {{ name: a, match: {{ hosts: [HOST], paths: [\"/orders/**\"], methods: [POST] }}, {more} }}\n"
        )
    };
    for (more, word) in [
        ("authenticate: none", Some("anonymous")),
        ("anonymous: allow_missing", Some("anonymous")),
        ("anonymous: deny", None),
        ("identity: { headers: { x-own: \"{subject}\" } }", Some("identity")),
        ("rate_limit: [few]", Some("rate_limits")),
        ("mode: shadow", None),
        ("require: { groups: { any_of: [a] } }", None),
    ] {
        let text = rule(more).replace("HOST", "shop.test");
        let found = faults(
            &[("platform.yaml", platform.as_str()), ("teams/orders.yaml", &text)],
            None,
        );
        let of_may: Vec<&String> = found.iter().filter(|fault| fault.contains("may not")).collect();
        match word {
            None => assert_eq!(found, [""; 0], "{more}"),
            Some(word) => {
                let remedy = format!("may: [{word}] at platform.yaml:3:11 would let it");
                assert!(of_may.len() == 1 && of_may[0].contains(&remedy), "{more}: {found:?}");
            }
        }
        // Another team has the word.
        let text = rule(more).replace("HOST", "pay.test");
        assert_eq!(
            faults(&[("platform.yaml", platform.as_str()), ("teams/pay.yaml", &text)], None),
            [""; 0],
            "{more}"
        );
    }
    let text = rule("forget: requested, require: { groups: { any_of: [a] } }").replace("HOST", "pay.test");
    let found = faults(&[("platform.yaml", platform.as_str()), ("teams/pay.yaml", &text)], None);
    assert!(
        found.len() == 1 && found[0].contains("stands in platform.yaml"),
        "{found:?}"
    );
}

#[test]
fn the_platform_comes_first_and_hides_what_it_takes() {
    let platform = format!("{PLATFORM}- {{ name: all, match: {{ hosts: [\"*\"], paths: [\"/**\"] }} }}\n");
    assert_eq!(
        faults(&[("teams/orders.yaml", ORDERS), ("platform.yaml", &platform)], None),
        [
            "teams/orders.yaml:2:3: rules[0] (orders/read): unreachable: rules[1] (all) of platform.yaml:11:3 takes every request it could match",
            "teams/orders.yaml:3:3: rules[1] (orders/rest): unreachable: rules[1] (all) of platform.yaml:11:3 takes every request it could match",
        ]
    );
    // The same name in two teams is two names, and once more in one team is a fault.
    let pay = "rules:\n- { name: read, match: { hosts: [pay.test], paths: [\"/**\"] } }\n";
    let files = [
        ("platform.yaml", PLATFORM),
        ("teams/orders.yaml", ORDERS),
        ("teams/pay.yaml", pay),
    ];
    assert_eq!(
        names(&built(&files, None).document.json()),
        ["closed", "orders/read", "orders/rest", "pay/read"]
    );
    let twice = ORDERS.replace("name: rest", "name: read");
    assert_eq!(
        faults(&[("platform.yaml", PLATFORM), ("teams/orders.yaml", &twice)], None),
        ["teams/orders.yaml:3:11: rules[1].name: another rule is named \"orders/read\""]
    );
}

#[test]
fn values() {
    let platform = |host: &str| PLATFORM.replace("hosts: [shop.test]", host);
    let files = |platform: &str, values: &str| {
        let built = folder(&[("platform.yaml", platform), ("env/prod.yaml", values)]).build(Some("prod"), &[]);
        built.map(|built| built.document.json()).map_err(|not| match not {
            NotBuilt::Faults(faults) => faults.to_string(),
            NotBuilt::Asked(message) => message,
        })
    };
    // Types stay, within a text they are written out, and `$${` is itself.
    let typed = PLATFORM
        .replace("refuse: 404", "refuse: \"${status}\"")
        .replace("cluster: auth", "cluster: \"a-${n}-$${n}\"");
    let json = files(&typed, "status: 410\nn: 7\n").expect("fine");
    assert!(
        json.contains("\"refuse\":410") && json.contains("\"cluster\":\"a-7-${n}\""),
        "{json}"
    );
    let json = files(
        &PLATFORM.replace("hosts: [\"*\"]", "hosts: \"${all}\""),
        "all: [a.test, b.test]\n",
    )
    .expect("fine");
    assert!(json.contains("\"hosts\":[\"a.test\",\"b.test\"]"), "{json}");
    for (host, values, expected) in [
        (r#"hosts: ["${shop}"]"#, "shop: shop.test\n", &[][..]),
        (
            r#"hosts: ["${shop}"]"#,
            "shop: a b\n",
            &["platform.yaml:3:30: teams.orders.owns[0].hosts[0]: \"a b\" is no host name or IP address"],
        ),
        (
            r#"hosts: ["${shpo}"]"#,
            "shop: shop.test\n",
            &[
                "platform.yaml:3:30: teams.orders.owns[0].hosts[0]: env/prod.yaml has no value \"shpo\": did you mean shop?",
                "env/prod.yaml:1:1: shop: nothing in this environment uses ${shop}",
            ],
        ),
        (
            r#"hosts: ["${shop.x}"]"#,
            "",
            &[
                "platform.yaml:3:30: teams.orders.owns[0].hosts[0]: ${ begins the name of a value, as ${name}; write $${ for the text itself",
            ],
        ),
        (
            r#"hosts: ["x${shop}"]"#,
            "shop: [a]\n",
            &[
                "platform.yaml:3:30: teams.orders.owns[0].hosts[0]: ${shop} is a list: it stands alone, and not within text",
            ],
        ),
        (
            r#"hosts: [shop.test]"#,
            "a: { b: 1 }\n",
            &["env/prod.yaml:1:4: a: expected text, a number, true or false, or a list of them, found an object"],
        ),
        (
            r#"hosts: [shop.test]"#,
            "a: x\n",
            &["env/prod.yaml:1:1: a: nothing in this environment uses ${a}"],
        ),
        (
            r#"hosts: [shop.test]"#,
            "[a]\n",
            &["env/prod.yaml:1:1: expected an object, found a list"],
        ),
        (
            r#"hosts: ["${shop}"]"#,
            "a: [\n",
            &["env/prod.yaml:2:1: not YAML: while parsing a node, did not find expected node content"],
        ),
    ] {
        let found = faults(
            &[("platform.yaml", &platform(host)), ("env/prod.yaml", values)],
            Some("prod"),
        );
        assert_eq!(found, expected, "{host} {values}");
    }
    // A fault of a value says whose it is.
    let found = faults(
        &[
            (
                "platform.yaml",
                &PLATFORM.replace("timeout: 1s", "timeout: \"${wait}\""),
            ),
            ("env/prod.yaml", "wait: 90s\n"),
        ],
        Some("prod"),
    );
    assert!(
        found.len() == 1 && found[0].ends_with("90s is outside 1ms to 60s (${wait} of env/prod.yaml:1)"),
        "{found:?}"
    );
}

#[test]
fn environments() {
    let platform = PLATFORM.replace("refuse: 404", "refuse: 404, environments: [test]");
    let files = [
        ("platform.yaml", platform.as_str()),
        ("teams/orders.yaml", ORDERS),
        ("env/prod.yaml", "# none\n"),
        ("env/test.yaml", ""),
    ];
    assert_eq!(
        names(&built(&files, Some("test")).document.json()),
        ["closed", "orders/read", "orders/rest"]
    );
    assert_eq!(
        names(&built(&files, Some("prod")).document.json()),
        ["orders/read", "orders/rest"]
    );
    assert_eq!(faults(&files, None), ["for which environment? --env prod or test"]);
    assert_eq!(
        faults(&files, Some("tst")),
        ["there is no env/tst.yaml: did you mean test?"]
    );
    let without = [("platform.yaml", platform.as_str()), ("teams/orders.yaml", ORDERS)];
    assert_eq!(
        faults(&without, None),
        [
            "platform.yaml:10:82: rules[0].environments: there are no environments: write env/NAME.yaml, which may be empty"
        ]
    );
    // A rule of production that asks an authenticator of the test alone.
    let dropped = PLATFORM.replace("  account:\n", "  account:\n    environments: [test]\n");
    let files = [
        ("platform.yaml", dropped.as_str()),
        ("env/prod.yaml", ""),
        ("env/test.yaml", ""),
    ];
    assert_eq!(faults(&files, Some("test")), [""; 0]);
    assert_eq!(
        faults(&files, Some("prod")),
        ["platform.yaml:9:28: defaults.authenticate[0]: no authenticator is named \"account\""]
    );
}

#[test]
fn files_of_nobody() {
    let found = faults(&[("platform.yaml", PLATFORM), ("teams/order.yaml", ORDERS)], None);
    assert_eq!(
        found,
        ["teams/order.yaml:1:1: teams of platform.yaml names no \"order\": did you mean orders?"]
    );
    assert_eq!(
        faults(&[("teams/orders.yaml", ORDERS)], None),
        ["a folder without platform.yaml"]
    );
    let team = "identity: {}\nrules: []\n";
    let found = faults(&[("platform.yaml", PLATFORM), ("teams/orders.yaml", team)], None);
    assert_eq!(found, ["teams/orders.yaml:1:1: unknown field \"identity\""]);
    // One that is no YAML hides no fault of the others, and causes none.
    let found = faults(
        &[
            ("platform.yaml", &PLATFORM.replace("refuse: 404", "refuse: 402")),
            ("teams/orders.yaml", "rules: [\n"),
            ("teams/pay.yaml", "# later\n"),
        ],
        None,
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("platform.yaml:10:") && found[1].starts_with("teams/orders.yaml:2:1: not YAML"),
        "{found:?}"
    );
}

#[test]
fn no_text_panics() {
    let odd = [
        "",
        "a",
        "[]",
        "{}",
        "- - -",
        "rules: 1",
        "rules: [1, {}, {match: 1}, {match: {hosts: 1, paths: {}}}]",
        "teams: 1",
        "teams: { orders: 1, a/b: {}, c: { owns: 1 }, d: { owns: [{ hosts: [], paths: 1 }], may: x } }",
        "rules: { }",
        "\u{0}",
        "${a}: ${b}",
    ];
    for (platform, team) in odd.iter().flat_map(|one| odd.map(|other| (*one, other))) {
        let files = [
            ("platform.yaml", platform),
            ("teams/orders.yaml", team),
            ("env/a.yaml", team),
        ];
        assert!(!faults(&files, Some("a")).is_empty(), "{platform} {team}");
        let files = [
            ("platform.yaml", PLATFORM),
            ("teams/orders.yaml", team),
            ("env/a.yaml", platform),
        ];
        faults(&files, Some("a"));
    }
}

const COLOURS: &str = r#"experiments:
  colour: { unit: [subject], header: x-variant-colour, variants: [{ name: red, weight: 50% }, { name: blue, weight: 50% }] }
rules:
- { name: all, match: { hosts: [shop.test], paths: ["/orders/**"] }, experiments: [colour, sizes] }
"#;

/// A team's own come first, under its name; the platform's are everybody's.
#[test]
fn experiments_of_a_team() {
    let sizes = "experiments:\n  sizes: { unit: [subject], bucket_header: x-bucket-sizes }\n  colour: { unit: [subject], bucket_header: x-bucket-colour }\nrules:\n";
    let platform = PLATFORM.replace("rules:\n", sizes).replace(
        "paths: [\"/orders/**\"] }] }",
        "paths: [\"/orders/**\"] }], may: [experiments] }",
    );
    let built = built(&[("platform.yaml", &platform), ("teams/orders.yaml", COLOURS)], None);
    let policy = &built.parsed.policy;
    let all = policy
        .rules
        .iter()
        .find(|rule| &*rule.name == "orders/all")
        .expect("a rule");
    let named: Vec<&str> = all.experiments.iter().map(|experiment| &*experiment.name).collect();
    assert_eq!(named, ["orders/colour", "sizes"]);
    assert_eq!(all.experiments[0].seed, "orders/colour");
    assert_eq!(policy.experiments.len(), 3);
    assert!(policy.strip.takes(b"x-variant-colour"));
}

/// Production gives nobody a way to choose a variant.
#[test]
fn a_force_of_some_environments() {
    let sizes = "experiments:\n  sizes: { unit: [subject], variants: [{ name: a, weight: 100% }], header: x-sizes, \
                 force: { header: x-force-sizes, require: { groups: { any_of: [qa] } }, environments: [test] } }\nrules:\n";
    let platform = PLATFORM.replace("rules:\n", sizes);
    let files = [
        ("platform.yaml", platform.as_str()),
        ("env/prod.yaml", ""),
        ("env/test.yaml", ""),
    ];
    let force = |environment| {
        let document = built(&files, Some(environment)).document.json();
        let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        document["experiments"]["sizes"]["force"].clone()
    };
    assert_eq!(
        force("test"),
        serde_json::json!({ "header": "x-force-sizes", "require": { "groups": { "any_of": ["qa"] } } })
    );
    assert_eq!(force("prod"), serde_json::Value::Null);
    let misspelt = platform.replace("environments: [test]", "environments: [tst]");
    let files = [("platform.yaml", misspelt.as_str()), ("env/test.yaml", "")];
    let found = faults(&files, Some("test"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .ends_with("experiments.sizes.force.environments[0]: there is no environment \"tst\": did you mean test?"),
        "{found:?}"
    );
}

#[test]
fn only_a_team_that_may_has_experiments() {
    assert_eq!(
        faults(&[("platform.yaml", PLATFORM), ("teams/orders.yaml", COLOURS)], None),
        [
            "teams/orders.yaml:2:3: experiments: defines experiments, and team orders may not: may: [experiments] at platform.yaml:3:11 would let it",
            "teams/orders.yaml:4:83: rules[0].experiments: takes part in experiments, and team orders may not: may: [experiments] at platform.yaml:3:11 would let it",
            "teams/orders.yaml:4:92: rules[0].experiments[1]: no experiment is named \"sizes\"",
        ]
    );
    let may = PLATFORM.replace(
        "paths: [\"/orders/**\"] }] }",
        "paths: [\"/orders/**\"] }], may: [experiments] }",
    );
    let faulty = COLOURS
        .replace("weight: 50% }, {", "weight: 40% }, {")
        .replace(", sizes", "");
    assert_eq!(
        faults(&[("platform.yaml", &may), ("teams/orders.yaml", &faulty)], None),
        ["teams/orders.yaml:2:66: experiments.orders/colour.variants: the weights are 90% together, not 100%"]
    );
}
