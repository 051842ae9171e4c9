//! Many calls of a service at a time, each again and again until it goes through: how many at a time
//! ([`Pace`]), and how long that is tried ([`Retries`]). Blocks and parts are put by it, and read.

mod calls;
mod limit;
mod retry;

pub(crate) use calls::{Calls, Failed, Verdict, by_kind};
pub(crate) use retry::{Fault, Patience, Retries};
