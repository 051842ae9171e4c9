//! The calls that make an AMI out of blocks, for an agent's requests and for the converter's own AMI.

pub(crate) mod failed_call;
pub(crate) mod images;
