//! Asks the decoder.

use crate::config::document;
use crate::config::expected::Expected;
use crate::config::node::{Entry, Node, Value};
use crate::config::sink::Sink;
use serde_json::{Map, Value as Json, json};

/// One step into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Field(&'static str),
    /// A name that the policy's author chooses.
    AnyName,
    Item,
}

/// What is read, and what has to stand beside a place so that it is read.
struct Decoder {
    inspect: fn(&Sink, &Node),
    beside: &'static [Beside],
}

struct Beside {
    /// To an object.
    path: &'static [Step],
    field: &'static str,
    value: fn() -> Value,
}

/// A rule asks somebody, or what it asks of callers is not read; a deadline has a timeout; and peers are somebody.
const POLICY: Decoder = Decoder {
    inspect: document::inspect,
    beside: &[
        Beside {
            path: &[Step::Field("rules"), Step::Item],
            field: "authenticate",
            value: || Value::List(vec![Node::new(Value::Text("somebody".into()), None)]),
        },
        Beside {
            path: &[Step::Field("rules"), Step::Item, Step::Field("upstream")],
            field: "timeout",
            value: || Value::Text("2s".into()),
        },
        Beside {
            path: &[Step::Field("defaults"), Step::Field("upstream")],
            field: "timeout",
            value: || Value::Text("2s".into()),
        },
        Beside {
            path: &[],
            field: "listener",
            value: || Value::Map(vec![entry("verified_peers", Value::Bool(true))]),
        },
    ],
};

const NAME: &str = "name";
/// Fixed words that stand for what is otherwise no text.
const WORDS: [&str; 3] = ["none", "any", "all"];

pub fn policy() -> Json {
    place(&POLICY, &mut vec![])
}

/// Any object that is read as it stands.
pub fn object(inspect: fn(&Sink, &Node)) -> Json {
    let decoder = Decoder { inspect, beside: &[] };
    place(&decoder, &mut vec![])
}

/// What the decoder said of one value at one place.
struct Answer {
    notes: Vec<Expected>,
    messages: Vec<String>,
}

impl Answer {
    /// Nothing is known of the value, and nothing is wrong with it.
    fn is_silent(&self) -> bool {
        self.notes.is_empty() && self.messages.is_empty()
    }

    fn is_measured(&self) -> bool {
        let measured = |note: &Expected| matches!(note, Expected::Duration | Expected::Size);
        self.notes.iter().any(measured)
    }

    fn faults_as(&self, other: &Self) -> bool {
        !self.messages.is_empty() && self.messages == other.messages
    }

    /// Whether the value is of a kind that may stand there, whatever else is wrong with it.
    fn takes(&self) -> bool {
        !self.messages.iter().any(|message| message.starts_with("expected "))
    }
}

fn place(decoder: &Decoder, path: &mut Vec<Step>) -> Json {
    // Claims of claims of claims.
    if path.ends_with(&[Step::AnyName, Step::AnyName]) {
        return json!({});
    }
    let ask = |value: Value| ask(decoder, path, value);
    let text = ask(Value::Text("text".into()));
    let number = ask(Value::Number(5.into()));
    let flag = ask(Value::Bool(true));
    let list = ask(Value::List(vec![]));
    let object = ask(Value::Map(vec![]));
    if ask(Value::Null).is_silent() && object.is_silent() {
        return json!({});
    }
    // What is said of every value alike is said of a text that is none of those that may stand there.
    if [&number, &flag, &list, &object]
        .iter()
        .all(|answer| answer.faults_as(&text))
    {
        return json!({ "type": "string" });
    }
    let words: Vec<&str> = WORDS
        .into_iter()
        .filter(|word| {
            let answer = ask(Value::Text((*word).into()));
            (!text.takes() || text.is_measured()) && answer.takes() && !answer.is_measured()
        })
        .collect();
    let mut kinds = vec![];
    kinds.extend(of_text(&text));
    if !words.is_empty() {
        kinds.push(json!({ "enum": words }));
    }
    kinds.extend(of_number(&number));
    if flag.takes() {
        kinds.push(json!({ "type": "boolean" }));
    }
    if list.takes() {
        let items = within(decoder, path, Step::Item);
        kinds.push(json!({ "type": "array", "items": items }));
    }
    if object.takes() {
        kinds.push(of_object(decoder, path, &object));
    }
    match <[Json; 1]>::try_from(kinds) {
        Ok([kind]) => kind,
        Err(kinds) => json!({ "anyOf": kinds }),
    }
}

fn within(decoder: &Decoder, path: &mut Vec<Step>, step: Step) -> Json {
    path.push(step);
    let schema = place(decoder, path);
    path.pop();
    schema
}

fn of_text(answer: &Answer) -> Option<Json> {
    let words = answer.notes.iter().find_map(|note| match note {
        Expected::Words(words) => Some(json!({ "enum": words })),
        _ => None,
    });
    if words.is_some() {
        return words;
    }
    if answer.notes.contains(&Expected::Duration) {
        return Some(json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$" }));
    }
    if answer.notes.contains(&Expected::Size) {
        return Some(json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }));
    }
    answer.takes().then(|| json!({ "type": "string" }))
}

fn of_number(answer: &Answer) -> Option<Json> {
    let whole = answer.notes.iter().find_map(|note| match note {
        Expected::Whole(from, to) => Some(json!({ "type": "integer", "minimum": from, "maximum": to })),
        _ => None,
    });
    if whole.is_some() {
        return whole;
    }
    if answer.is_measured() {
        return None;
    }
    // `expected the number 403, 404 or 410`
    let named = answer.messages.iter().find_map(|message| {
        let (named, _) = message.strip_prefix("expected the number ")?.split_once(", found")?;
        let numbers = named.split(|c: char| !c.is_ascii_digit());
        Some(numbers.filter_map(|number| number.parse().ok()).collect::<Vec<u64>>())
    });
    match named {
        Some(numbers) => Some(json!({ "enum": numbers })),
        None => answer.takes().then(|| json!({ "type": "number" })),
    }
}

fn of_object(decoder: &Decoder, path: &mut Vec<Step>, empty: &Answer) -> Json {
    // Where an empty object is refused before its fields are looked for, one with any field is not.
    let some = ask(decoder, path, Value::Map(vec![entry(NAME, Value::Null)]));
    let fields = |answer: &Answer| {
        let mut notes = answer.notes.iter();
        notes.find_map(|note| match note {
            Expected::Fields(fields) => Some(*fields),
            _ => None,
        })
    };
    let Some(fields) = fields(empty).or_else(|| fields(&some)) else {
        let values = within(decoder, path, Step::AnyName);
        return json!({ "type": "object", "additionalProperties": values });
    };
    let mut properties = Map::new();
    let mut required = required(empty);
    for field in fields {
        // What only some objects need, as where one of two fields has to be there, is needed by none.
        let with_it = ask(decoder, path, Value::Map(vec![entry(field, Value::Null)]));
        let needed = self::required(&with_it);
        required.retain(|name| needed.contains(name));
        properties.insert((*field).into(), within(decoder, path, Step::Field(field)));
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let Some(schema) = schema.as_object_mut().filter(|_| !required.is_empty()) {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn required(answer: &Answer) -> Vec<String> {
    let names = answer.notes.iter().filter_map(|note| match note {
        Expected::Required(name) => Some(name.clone()),
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What the decoder says where `value` stands at `path`.
fn ask(decoder: &Decoder, path: &[Step], value: Value) -> Answer {
    let root = document(decoder, &mut vec![], path, value).numbered();
    let sink = Sink::default().noting();
    (decoder.inspect)(&sink, &root);
    let Some(node) = find(&root, path) else {
        return Answer {
            notes: vec![],
            messages: vec!["expected to be found".into()],
        };
    };
    Answer {
        notes: sink.noted(node.id),
        messages: sink.messages_of(node.id),
    }
}

/// The smallest document with `value` at the end of `rest`, which follows `before`.
fn document(decoder: &Decoder, before: &mut Vec<Step>, rest: &[Step], value: Value) -> Node {
    let Some((step, rest)) = rest.split_first() else {
        return Node::new(value, None);
    };
    let beside = decoder.beside.iter().filter(|beside| beside.path == before.as_slice());
    let beside: Vec<&Beside> = beside.filter(|beside| *step != Step::Field(beside.field)).collect();
    before.push(*step);
    let inner = document(decoder, before, rest, value);
    let held = match step {
        Step::Item => Value::List(vec![inner]),
        Step::Field(_) | Step::AnyName => {
            let mut entries: Vec<Entry> = beside
                .into_iter()
                .map(|beside| entry(beside.field, (beside.value)()))
                .collect();
            entries.push(Entry {
                key: name(*step).into(),
                at: None,
                node: inner,
            });
            Value::Map(entries)
        }
    };
    Node::new(held, None)
}

fn find<'a>(node: &'a Node, path: &[Step]) -> Option<&'a Node> {
    let Some((step, rest)) = path.split_first() else {
        return Some(node);
    };
    let inner = match &node.value {
        Value::List(items) => items.first()?,
        Value::Map(entries) => &entries.iter().find(|entry| entry.key == name(*step))?.node,
        _ => return None,
    };
    find(inner, rest)
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Field(field) => field,
        Step::AnyName | Step::Item => NAME,
    }
}

fn entry(key: &str, value: Value) -> Entry {
    Entry {
        key: key.into(),
        at: None,
        node: Node::new(value, None),
    }
}
