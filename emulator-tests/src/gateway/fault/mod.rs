//! Faults by rule: what goes wrong on AWS now and then goes wrong here when it is told to.

mod body;
mod book;
mod cut;
mod rule;

pub(crate) use body::{corrupt, cut, slow};
pub use book::Counted;
pub(crate) use book::{Book, Subject};
pub(crate) use cut::Cut;
pub use rule::{Fault, Refused, Rule, Side, When};
