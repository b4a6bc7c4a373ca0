//! Hostile tokens and the word each is refused with; RFC 8725 point by point. And a few that are taken.

#[path = "tokens/accepted.rs"]
mod accepted;
#[path = "tokens/algorithms.rs"]
mod algorithms;
#[path = "tokens/claims.rs"]
mod claims;
#[path = "tokens/forms.rs"]
mod forms;
#[path = "tokens/headers.rs"]
mod headers;
#[path = "tokens/key_choice.rs"]
mod key_choice;
#[path = "tokens/key_sets.rs"]
mod key_sets;
#[path = "tokens/mint.rs"]
mod mint;
#[path = "tokens/properties.rs"]
mod properties;
#[path = "tokens/signatures.rs"]
mod signatures;
#[path = "tokens/times.rs"]
mod times;
#[path = "tokens/world.rs"]
mod world;

use meshgate::authn::jwt::TokenFault;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use world::Case;

static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
    [
        forms::cases(),
        headers::cases(),
        algorithms::cases(),
        signatures::cases(),
        key_choice::cases(),
        times::cases(),
        claims::cases(),
    ]
    .concat()
});

#[test]
fn each_is_refused_with_its_word() {
    let wrong: Vec<String> = ALL.iter().filter_map(Case::wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_word_is_met() {
    let met: BTreeSet<&str> = ALL.iter().map(|case| case.word).collect();
    let words: BTreeSet<&str> = TokenFault::ALL.iter().map(|fault| fault.word()).collect();
    assert_eq!(met, words);
    assert_eq!(words.len(), TokenFault::ALL.len());
}

#[test]
fn the_table_is_long() {
    let names: BTreeSet<&str> = ALL.iter().map(|case| case.name.as_str()).collect();
    assert!(names.len() >= 400, "{} tokens", names.len());
    assert_eq!(names.len(), ALL.len(), "a name twice");
}
