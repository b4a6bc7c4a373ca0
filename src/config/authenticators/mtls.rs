//! `authenticators.NAME.mtls`

use crate::config::matching;
use crate::config::node::{Node, Value};
use crate::config::read::{Fields, Known};
use crate::config::sink::{Checked, Sink};
use crate::policy::Mtls;

const FIELDS: Known = Known {
    now: &["peers", "verified_by_listener"],
    later: &[],
};

/// `verified_peers`: the same word, given for the whole policy.
pub fn read(sink: &Sink, node: &Node, verified_peers: bool) -> Checked<Mtls> {
    let fields = Fields::of(sink, node, &FIELDS)?;
    let verified = match fields.get("verified_by_listener").map(|node| (node, &node.value)) {
        Some((_, Value::Bool(true))) => Ok(()),
        Some((node, Value::Bool(false))) => {
            let message = "a certificate that nobody validates is nobody's word: write true where the listener \
                           validates client certificates";
            Err(sink.fault(node, message))
        }
        Some((node, _)) => sink.flag(node).map(drop),
        None if verified_peers => Ok(()),
        None => {
            let message = "missing field verified_by_listener: write true where the listener validates client \
                           certificates, or listener: { verified_peers: true } for the whole policy";
            Err(sink.fault(fields.node, message))
        }
    };
    let peers = fields
        .required("peers", ": list who may call, as cluster.local/ns/shop/sa/*")
        .and_then(|node| matching::peers(sink, node, true));
    verified?;
    Ok(Mtls { peers: peers? })
}
