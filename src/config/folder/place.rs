//! Faults of the built policy, told of the files that somebody wrote.

use super::merge::Origin;
use super::{Folder, shown_place};
use crate::config::fault::Fault;

/// `rules[17]` is the third rule of a file.
pub fn within_file(folder: &Folder, origins: &[Origin], fault: &mut Fault) {
    if let Some((before, index, after)) = rule_in(&fault.path).filter(|(before, _, _)| before.is_empty())
        && let Some(origin) = origins.get(index)
    {
        fault.path = format!("{before}rules[{}]{after}", origin.index);
    }
    let file = fault.at.map(|at| at.file());
    let mut message = String::new();
    let mut rest = fault.message.as_str();
    while let Some((before, index, after)) = rule_in(rest) {
        message.push_str(before);
        // `rules[17] (orders/all)`
        let named = after.split_inclusive(')').next().filter(|name| name.starts_with(" ("));
        let (name, behind) = after.split_at(named.map_or(0, str::len));
        match origins.get(index) {
            Some(origin) => {
                message.push_str(&format!("rules[{}]{name}", origin.index));
                if file != Some(origin.file) {
                    message.push_str(&format!(" of {}", shown_place(folder, origin.at)));
                }
            }
            None => message.push_str(&format!("rules[{index}]{name}")),
        }
        rest = behind;
    }
    message.push_str(rest);
    fault.message = message;
}

/// What stands before the first `rules[N]`, `N`, and what stands behind it.
fn rule_in(text: &str) -> Option<(&str, usize, &str)> {
    let (before, behind) = text.split_once("rules[")?;
    let (index, after) = behind.split_once(']')?;
    Some((before, index.parse().ok()?, after))
}
