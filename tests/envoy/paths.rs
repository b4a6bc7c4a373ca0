//! One path for everybody: what the route, the rule, the auth service and the upstream go by.

mod closed;
mod normal;
mod raw;

/// `normalize_path` and `merge_slashes` of the listener.
const LISTENERS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];
