//! The command line: `meshgate check`, `meshgate build`, `meshgate jwks`, `meshgate key new`.
//!
//! Four commands and two options are read by hand: an argument parser would be a larger dependency
//! than all the others of this binary together.

use meshgate::assertion;
use meshgate::cache::SealKey;
use meshgate::config::yaml;
use meshgate::config::{self, Fault, Faults};
use meshgate::policy::{Action, Policy};
use std::io::{Read, Write};
use std::process::ExitCode;

const USAGE: &str = "\
usage: meshgate check FILE [--into BOOTSTRAP]
       meshgate build FILE [--into BOOTSTRAP]
       meshgate jwks FILE
       meshgate key new [--signing]
       meshgate --help | --version

check   prints every fault of a policy as FILE:LINE:COLUMN: PATH: MESSAGE, and as
        a warning what is likely a mistake; --into BOOTSTRAP also each cluster
        that the policy names and that bootstrap does not have
build   prints the policy as the one JSON document that Envoy is given;
        --into BOOTSTRAP prints that bootstrap as JSON instead, with the policy
        where it says exactly \"${MESHGATE_POLICY}\", with the warnings of check
jwks    prints the public keys that others check this policy's assertions with;
        the private ones are read from the variables that identity.assertion names
key new prints a new random key, for the variable that cache.shared names;
        with --signing a new private key, for one that identity.assertion names

FILE and BOOTSTRAP are YAML or JSON; - is standard input.
exit status: 0 fine, 1 faults, 2 wrong usage or a file that cannot be read
";

/// What ends the program early.
enum Stop {
    /// Printed already, or to be printed as they are.
    Faults(Vec<String>),
    /// A file, standard input or output.
    Unusable(String),
    Usage(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).and_then(|output| print(&output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Faults(lines)) => {
            lines.iter().for_each(|line| complain(line));
            ExitCode::from(1)
        }
        Err(Stop::Unusable(message)) => {
            complain(&format!("meshgate: {message}"));
            ExitCode::from(2)
        }
        Err(Stop::Usage(message)) => {
            complain(&format!("meshgate: {message}\n{USAGE}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Stop> {
    match arguments {
        ["--help" | "-h"] => Ok(USAGE.into()),
        ["--version" | "-V"] => Ok(format!("meshgate {}\n", env!("CARGO_PKG_VERSION"))),
        ["check", file] if is_file(file) => check(file, None),
        ["check", file, "--into", bootstrap] | ["check", "--into", bootstrap, file]
            if is_file(file) && is_file(bootstrap) =>
        {
            check(file, Some(bootstrap))
        }
        ["build", file] if is_file(file) => build(file, &read(file)?).map(|policy| policy + "\n"),
        ["build", file, "--into", bootstrap] | ["build", "--into", bootstrap, file]
            if is_file(file) && is_file(bootstrap) =>
        {
            build_into(file, bootstrap)
        }
        ["jwks", file] if is_file(file) => jwks(file),
        ["key", "new"] => new_key(),
        ["key", "new", "--signing"] => new_signing_key(),
        [] => Err(Stop::Usage("no command".into())),
        [command @ ("check" | "build" | "jwks" | "key"), ..] => {
            Err(Stop::Usage(format!("{command}: unexpected or missing arguments")))
        }
        [command, ..] => Err(Stop::Usage(format!("unknown command {command:?}"))),
    }
}

fn is_file(argument: &str) -> bool {
    argument == "-" || !argument.starts_with('-')
}

fn check(file: &str, bootstrap: Option<&str>) -> Result<String, Stop> {
    one_is_a_file(file, bootstrap)?;
    let text = read(file)?;
    let parsed = yaml::parse(&text).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed.warnings);
    if let Some(bootstrap) = bootstrap {
        let into = read(bootstrap)?;
        warn_of_clusters((file, &text), (bootstrap, &into))?;
    }
    Ok(format!("{file}: {}\n", summary(&parsed.policy)))
}

fn build(file: &str, text: &str) -> Result<String, Stop> {
    let parsed = yaml::parse(text).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed.warnings);
    yaml::to_json(text).map_err(|faults| listed(file, &faults))
}

fn build_into(file: &str, bootstrap: &str) -> Result<String, Stop> {
    one_is_a_file(file, Some(bootstrap))?;
    let text = read(file)?;
    let policy = build(file, &text)?;
    let into = read(bootstrap)?;
    let built = yaml::bootstrap(&into, &policy).map_err(|faults| listed(bootstrap, &faults))?;
    warn_of_clusters((file, &text), (bootstrap, &into))?;
    Ok(built + "\n")
}

fn one_is_a_file(file: &str, bootstrap: Option<&str>) -> Result<(), Stop> {
    match (file, bootstrap) {
        ("-", Some("-")) => Err(Stop::Usage("standard input can be one of the two".into())),
        _ => Ok(()),
    }
}

fn warn_of_clusters(policy: (&str, &str), bootstrap: (&str, &str)) -> Result<(), Stop> {
    let unknown = yaml::unknown_clusters(policy.1, bootstrap.1).map_err(|faults| listed(bootstrap.0, &faults))?;
    warn(policy.0, &unknown);
    Ok(())
}

fn new_key() -> Result<String, Stop> {
    let key = SealKey::random().ok_or_else(|| Stop::Unusable("the system gives no random bytes".into()))?;
    Ok(key.reveal() + "\n")
}

fn jwks(file: &str) -> Result<String, Stop> {
    let parsed = yaml::parse(&read(file)?).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed.warnings);
    match config::signing(&parsed.policy, environment).map_err(|faults| listed(file, &faults))? {
        Some(assertions) => Ok(assertions.jwks() + "\n"),
        None => Err(Stop::Faults(vec![format!("{file}: there is no identity.assertion")])),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge where it is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn new_signing_key() -> Result<String, Stop> {
    // One number in four thousand million is none of a key.
    for _ in 0..8 {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Stop::Unusable(format!("the system gives no random bytes: {error}")))?;
        if let Some(pem) = assertion::p256_pem(&secret) {
            return Ok(pem);
        }
    }
    Err(Stop::Unusable("the system's random bytes are none".into()))
}

fn summary(policy: &Policy) -> String {
    let (mut asking, mut public, mut refusing) = (0_usize, 0_usize, 0_usize);
    for rule in &policy.rules {
        match rule.action {
            Action::Authenticate(_) => asking += 1,
            Action::Public => public += 1,
            Action::Refuse(_) => refusing += 1,
        }
    }
    let rules = policy.rules.len();
    format!("fine: {rules} rules, {asking} authenticate, {public} public, {refusing} refuse")
}

fn warn(file: &str, warnings: &[Fault]) {
    for warning in warnings {
        complain(&format!("{}warning: {warning}", place(file, warning)));
    }
}

fn listed(file: &str, faults: &Faults) -> Stop {
    let line = |fault: &Fault| format!("{}{fault}", place(file, fault));
    Stop::Faults(faults.iter().map(line).collect())
}

fn place(file: &str, fault: &Fault) -> String {
    match fault.at {
        Some(at) => format!("{file}:{}:{}: ", at.line, at.column),
        None => format!("{file}: "),
    }
}

fn read(file: &str) -> Result<String, Stop> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        _ => std::fs::read(file),
    };
    let bytes = bytes.map_err(|error| Stop::Unusable(format!("{file}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| Stop::Faults(vec![format!("{file}: not UTF-8: {error}")]))
}

fn print(text: &str) -> Result<(), Stop> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Stop::Unusable(format!("standard output: {error}")))
}

/// A closed standard error is nobody's concern.
fn complain(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}
