//! Which rule a request meets, as the requests really come out of Envoy.

mod client_ip;
mod connect;
mod matches;
mod preflight;
