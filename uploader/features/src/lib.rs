//! Holds nothing: this crate is its `Cargo.toml`, as `unified-features` says.
