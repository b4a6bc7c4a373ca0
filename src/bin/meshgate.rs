//! The command line: `meshgate check`, `meshgate build`, `meshgate jwks`, `meshgate key new`.
//!
//! Four commands and two options are read by hand: an argument parser would be a larger dependency
//! than all the others of this binary together.

use meshgate::assertion;
use meshgate::cache::SealKey;
use meshgate::config::yaml;
use meshgate::config::{self, Fault, Faults, Parsed};
use meshgate::policy::{Action, Policy};
use std::io::{Read, Write};
use std::process::ExitCode;

const USAGE: &str = "\
usage: meshgate check FILE
       meshgate build FILE [--into BOOTSTRAP]
       meshgate jwks FILE
       meshgate key new [--signing]
       meshgate --help | --version

check   prints every fault of a policy as FILE:LINE:COLUMN: PATH: MESSAGE
build   prints the policy as the one JSON document that Envoy is given;
        --into BOOTSTRAP prints that bootstrap as JSON instead, with the policy
        where it says exactly \"${MESHGATE_POLICY}\"
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
        ["check", file] if is_file(file) => check(file),
        ["build", file] if is_file(file) => build(file).map(|policy| policy + "\n"),
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

fn check(file: &str) -> Result<String, Stop> {
    let parsed = yaml::parse(&read(file)?).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed);
    Ok(format!("{file}: {}\n", summary(&parsed.policy)))
}

fn build(file: &str) -> Result<String, Stop> {
    let text = read(file)?;
    let parsed = yaml::parse(&text).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed);
    yaml::to_json(&text).map_err(|faults| listed(file, &faults))
}

fn build_into(file: &str, bootstrap: &str) -> Result<String, Stop> {
    if file == "-" && bootstrap == "-" {
        return Err(Stop::Usage("standard input can be one of the two".into()));
    }
    let policy = build(file)?;
    let built = yaml::bootstrap(&read(bootstrap)?, &policy);
    built
        .map(|json| json + "\n")
        .map_err(|faults| listed(bootstrap, &faults))
}

fn new_key() -> Result<String, Stop> {
    let key = SealKey::random().ok_or_else(|| Stop::Unusable("the system gives no random bytes".into()))?;
    Ok(key.reveal() + "\n")
}

fn jwks(file: &str) -> Result<String, Stop> {
    let parsed = yaml::parse(&read(file)?).map_err(|faults| listed(file, &faults))?;
    warn(file, &parsed);
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

fn warn(file: &str, parsed: &Parsed) {
    for warning in &parsed.warnings {
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
