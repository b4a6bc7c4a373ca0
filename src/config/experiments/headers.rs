//! Headers that experiments set: removed from every request, and each of one experiment alone.

use crate::config::fault::Mark;
use crate::config::names;
use crate::config::node::{Entry, Node, Value, quoted};
use crate::config::read::all;
use crate::config::sink::{Checked, Sink};
use crate::header::{Folded, HeaderName};

/// Of one variant; each is set on every request of its callers.
const MOST_OF_A_VARIANT: usize = 16;
const LONGEST_VALUE: usize = 1024;
/// Of one variant, names and values: a request's headers are 60 KiB at most by Envoy's default.
const MOST_BYTES: usize = 4096;
/// Of all experiments: each is looked for among the headers of every request.
const MOST: usize = 1024;

/// `headers` of a variant.
pub fn read(sink: &Sink, node: &Node) -> Checked<Vec<(HeaderName, String)>> {
    sink.at_most(node, MOST_OF_A_VARIANT, "each is set on every request of the variant")?;
    let found = all(sink.entries(node)?.iter().map(|entry| {
        let name = names::identity(&entry.key).map_err(|message| sink.fault_at(&entry.node, entry.at, message));
        let value = sink.parsed(&entry.node, value);
        Ok((name?, value?))
    }))?;
    for (at, ((name, _), entry)) in found.iter().zip(sink.entries(node)?).enumerate() {
        if found.iter().take(at).any(|(other, _)| other == name) {
            let message = format!("{} is written twice, case does not tell headers apart", name.as_str());
            return Err(sink.fault_at(&entry.node, entry.at, message));
        }
    }
    let bytes: usize = found
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > MOST_BYTES {
        let message = format!("{bytes} bytes, at most {MOST_BYTES}: they are set on every request of the variant");
        return Err(sink.fault(node, message));
    }
    Ok(found)
}

/// What may stand in a header of ours.
pub fn value(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match plain && !text.is_empty() && text.trim() == text && text.len() <= LONGEST_VALUE {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no value of a header: up to {LONGEST_VALUE} printable ASCII characters, no space at the ends",
            quoted(text)
        )),
    }
}

/// One of them, and who has it.
struct Own<'a> {
    name: HeaderName,
    folded: Folded,
    experiment: &'a str,
    /// Of a variant: others of the same experiment may set it, too.
    shared: bool,
}

impl<'a> Own<'a> {
    fn of(experiment: &'a str, text: Option<&str>, shared: bool) -> Option<Self> {
        let name = HeaderName::parse(text?).ok()?;
        Some(Self {
            folded: names::fold(&name),
            name,
            experiment,
            shared,
        })
    }
}

/// The headers of every experiment, read before anything else is, as those of identity are. `taken`: the identity
/// header that a name is one with.
pub fn owned(sink: &Sink, root: &Node, taken: &dyn Fn(&Folded) -> bool) -> Vec<(HeaderName, Folded)> {
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    for entry in entries(field(root, "experiments")) {
        let experiment = &entry.node;
        let force = field(experiment, "force").and_then(|force| field(force, "header"));
        let single = [field(experiment, "header"), field(experiment, "bucket_header"), force];
        for node in single.into_iter().flatten() {
            let own = Own::of(&entry.key, node.text(), false);
            add(sink, taken, &mut requests, (node, node.at), own);
        }
        if let Some(node) = field(experiment, "response_header") {
            let own = Own::of(&entry.key, node.text(), false);
            add(sink, taken, &mut responses, (node, node.at), own);
        }
        let variants = match field(experiment, "variants").map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        for header in variants.iter().flat_map(|variant| entries(field(variant, "headers"))) {
            let own = Own::of(&entry.key, Some(&header.key), true);
            add(sink, taken, &mut requests, (&header.node, header.at), own);
        }
    }
    if requests.len() > MOST {
        let message = format!("more than {MOST} headers of experiments: each is removed from every request");
        sink.fault(root, message);
        requests.truncate(MOST);
    }
    requests.into_iter().map(|own| (own.name, own.folded)).collect()
}

fn add<'a>(
    sink: &Sink,
    taken: &dyn Fn(&Folded) -> bool,
    owned: &mut Vec<Own<'a>>,
    (node, at): (&Node, Option<Mark>),
    own: Option<Own<'a>>,
) {
    // What is no name has its fault where it is decoded.
    let Some(own) = own else { return };
    let text = own.name.as_str();
    if taken(&own.folded) {
        let message = format!("{text} tells who calls: choose another name");
        sink.fault_at(node, at, message);
        return;
    }
    let Some(other) = owned.iter().find(|other| other.folded == own.folded) else {
        // One more than fits says that it does not.
        if owned.len() <= MOST {
            owned.push(own);
        }
        return;
    };
    let message = if other.experiment != own.experiment {
        format!("{text} is a header of experiment {} already", other.experiment)
    } else if other.name != own.name {
        format!(
            "{text} and {} are one header to servers that fold names",
            other.name.as_str()
        )
    } else if !(own.shared && other.shared) {
        format!("{text} has another use in this experiment: choose another name")
    } else {
        return;
    };
    sink.fault_at(node, at, message);
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let entries = entries(Some(node)).iter();
    entries
        .into_iter()
        .find(|entry| entry.key == name)
        .map(|entry| &entry.node)
}

fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}
