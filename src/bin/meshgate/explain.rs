//! `meshgate explain`

use crate::source::{self, Loaded, PolicyArguments};
use crate::stop::{Done, Stop};
use clap::Args;
use meshgate::explain::{self, Asked, Decision, Known, Local, Replied, Who, World};
use meshgate::policy::Policy;
use meshgate::time::UnixTime;
use std::mem::ManuallyDrop;
use std::net::IpAddr;

/// Say what becomes of a request, and why
///
/// Nothing is sent anywhere: where a service would be asked, its reply is given or the verdict is undecided. Credentials
/// are printed nowhere.
#[derive(Args)]
#[command(after_help = "\
Example:
  meshgate explain envoy/policy.yaml 'POST https://localhost/orders/1' -H 'Cookie: session=a' --as subject=alice,groups=ops

Exit status: 0 it goes on, 1 faults of the policy, 2 wrong usage, 3 refused, 4 undecided.")]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,

    /// 'METHOD URL', or a URL for GET
    request: String,

    /// A header of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The caller, known beforehand: subject=alice,groups=ops,sales,scopes=a,claims.tenant=acme,authenticator=account
    #[arg(long = "as", value_name = "CALLER", conflicts_with = "auth_reply")]
    caller: Option<String>,

    /// What the auth service answers, as curl -i prints it, or the word of a failure, as timeout
    #[arg(long, value_name = "FILE")]
    auth_reply: Option<String>,

    #[command(flatten)]
    local: Here,

    /// The address of the client
    #[arg(long, value_name = "ADDRESS", default_value = "192.0.2.1")]
    client_ip: IpAddr,

    /// The URI SAN of the client's certificate, as spiffe://cluster.local/ns/shop/sa/cart
    #[arg(long, value_name = "URI")]
    peer: Option<String>,

    /// A body of so many bytes follows
    #[arg(long, value_name = "BYTES")]
    body: Option<usize>,

    /// Also name each rule of other hosts
    #[arg(long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What this machine has of what the proxy would have.
#[derive(Args)]
pub struct Here {
    /// What the proxy would fetch: a key set of a jwt or gate, a list of API keys
    #[arg(long = "keys", value_name = "AUTHENTICATOR=FILE")]
    keys: Vec<String>,

    /// The time, as 2026-12-01T00:00:00Z; now, where it is not given
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

const REFUSED: u8 = 3;
const UNDECIDED: u8 = 4;

pub fn run(arguments: &Arguments) -> Result<Done, Stop> {
    let who = match (&arguments.caller, &arguments.auth_reply) {
        (Some(caller), _) => Who::Known(Known::parse(caller).map_err(|fault| Stop::Usage(format!("--as: {fault}")))?),
        (None, Some(file)) => {
            let reply = source::bytes(file, explain::MAX_REPLY_BYTES)?;
            Who::Answered(Replied::parse(&reply).map_err(|fault| Stop::Told(format!("{file}: {fault}")))?)
        }
        (None, None) => Who::Shown,
    };
    let headers = arguments.headers.iter().map(String::as_str);
    let mut asked = Asked::parse(&arguments.request, headers).map_err(Stop::Usage)?;
    asked.body_bytes = arguments.body;
    asked.from.ip = Some(arguments.client_ip);
    asked.from.peer.clone_from(&arguments.peer);
    let Loaded { policy, document, .. } = arguments.policy.load()?;
    // This process ends with its answer: taking thousands of rules apart piece by piece would only delay it.
    std::mem::forget(document);
    let world = ManuallyDrop::new(arguments.local.world_of(&arguments.policy, policy)?);
    let explanation = explain::explain(&world, &asked, &who).map_err(Stop::Usage)?;
    let output = match arguments.json {
        true => explain::json(&explanation) + "\n",
        false => explain::text(&explanation, arguments.all),
    };
    Ok(match explanation.verdict.decision {
        Decision::FORWARD => Done::fine(output),
        Decision::REFUSE => Done::ending(output, REFUSED),
        _ => Done::ending(output, UNDECIDED),
    })
}

impl Here {
    pub fn world(&self, policy: &PolicyArguments) -> Result<World, Stop> {
        self.world_of(policy, policy.load()?.policy)
    }

    /// `at`: where `--at` does not say it.
    pub fn now(&self, at: Option<UnixTime>) -> Result<UnixTime, Stop> {
        let given = match &self.at {
            Some(text) => Some(UnixTime::parse(text).map_err(|fault| Stop::Usage(format!("--at: {fault}")))?),
            None => at,
        };
        Ok(given.unwrap_or_else(now))
    }

    /// `read`: what `policy` is.
    pub fn world_of(&self, policy: &PolicyArguments, read: Policy) -> Result<World, Stop> {
        let documents = self.keys.iter().map(|given| {
            let (name, file) = given
                .split_once('=')
                .ok_or_else(|| Stop::Usage("--keys: write AUTHENTICATOR=FILE".into()))?;
            Ok((name.to_owned(), source::bytes(file, meshgate::config::MAX_BYTES)?))
        });
        let documents = documents.collect::<Result<Vec<_>, Stop>>()?;
        let local = Local {
            environment: &environment,
            documents,
            now: self.now(None)?,
        };
        World::new(read, local).map_err(|fault| Stop::Told(format!("{}: {fault}", policy.policy)))
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge where it is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the edge where the clock is read")]
pub fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_secs(since.map_or(0, |since| since.as_secs()))
}
