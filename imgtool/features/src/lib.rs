//! Holds nothing: this crate is its `Cargo.toml`.
//!
//! Cargo compiles a crate anew for each set of features. Built alone, `imgtool` would need `syn`,
//! `serde_core` and others with fewer features than they have in a build of the whole workspace, so
//! that `cargo build -p imgtool` after `cargo test --workspace` compiled all that stands on them, nearly
//! everything, a second time. This crate asks for the larger sets, and names only crates that `imgtool`
//! depends on anyway. `unified-service-features` does the same for `uploader` and the local AWS.
//!
//! `.ci/features`, part of `just lint`, says when a set has come apart, and what to add here.
