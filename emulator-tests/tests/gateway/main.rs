//! The gateway as its clients see it, with a small HTTP server in LocalStack's place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod entrance;
mod faults;
mod gone;
mod host;
mod proxy;
mod routing;
