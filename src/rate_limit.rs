//! How many requests of one caller go on: token buckets, one for all workers of a proxy.

mod bucket;
mod slot;
mod table;

pub use bucket::{Plan, Short};
pub use slot::{ENTRIES, ENTRY_BYTES};
pub use table::{At, Buckets, Draw, Limited, SLOTS, TRIES, Taken};

use crate::authn::{Claim, ClaimPath};
use crate::authz::{Facts, Require};
use crate::cache::{Key, KeyHasher, Seed};
use crate::header::HeaderName;
use crate::request::Connection;
use std::net::IpAddr;
use std::sync::Arc;

/// A limit that rules name. Rules that name the same one share its buckets.
#[derive(Debug)]
pub struct RateLimit {
    pub name: Arc<str>,
    pub per: Per,
    /// Met before anybody is asked who calls; only [`Per::ClientIp`].
    pub before_auth: bool,
    pub plan: Plan,
    /// The first whose condition the caller meets stands in for `plan`.
    pub overrides: Vec<(Require, Plan)>,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Per {
    Subject,
    ClientIp,
    Claim(ClaimPath),
    Header(HeaderName),
}

impl Per {
    /// Whether somebody has to be known.
    pub fn needs_caller(&self) -> bool {
        matches!(self, Self::Subject | Self::Claim(_))
    }
}

impl RateLimit {
    /// How fast this caller may be.
    pub fn plan(&self, facts: &Facts) -> Plan {
        let met = |(when, _): &&(Require, Plan)| when.check(facts).is_ok();
        self.overrides.iter().find(met).map_or(self.plan, |(_, plan)| *plan)
    }

    /// The longest time after which every bucket of it is full again, whatever the plan.
    fn longest_ns(&self) -> u64 {
        let plans = self.overrides.iter().map(|(_, plan)| plan.capacity_ns());
        plans.fold(self.plan.capacity_ns(), u64::max)
    }

    /// Which bucket. None: what it goes by is not there.
    pub fn key(&self, seed: Seed, facts: &Facts) -> Option<Key> {
        let mut hasher = KeyHasher::new(seed);
        match &self.per {
            Per::Subject => {
                let principal = facts.principal?;
                hasher.part(b"subject");
                hasher.part(principal.authenticator.as_bytes());
                hasher.part(principal.subject.as_bytes());
            }
            Per::Claim(path) => {
                let principal = facts.principal?;
                hasher.part(b"claim");
                hasher.part(principal.authenticator.as_bytes());
                let values = principal.claim(path).and_then(Claim::texts)?;
                values.iter().for_each(|value| hasher.part(value.as_bytes()));
            }
            Per::ClientIp => address(&mut hasher, facts.connection)?,
            Per::Header(name) => {
                let mut values = facts.request.headers.all(name.as_str());
                hasher.part(b"header");
                hasher.part(values.next()?);
                values.for_each(|value| hasher.part(value));
            }
        }
        Some(hasher.finish())
    }
}

/// An IPv6 client has its whole /64 (RFC 6177), and could have a bucket for each address of it. An IPv4 client behind a
/// translator (RFC 6052) or 6to4 (RFC 3056) is the IPv4 client.
fn address(hasher: &mut KeyHasher, connection: &dyn Connection) -> Option<()> {
    let address = match connection.source_ip()?.to_canonical() {
        IpAddr::V6(v6) => match v6.octets() {
            [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] | [0x20, 0x02, a, b, c, d, ..] => {
                IpAddr::from([a, b, c, d])
            }
            _ => IpAddr::V6(v6),
        },
        v4 => v4,
    };
    match address {
        IpAddr::V4(v4) => hasher.part(&v4.octets()),
        IpAddr::V6(v6) => hasher.part(v6.octets().first_chunk::<8>()?),
    }
    Some(())
}
