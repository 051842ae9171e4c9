//! What command lines take from people and from the host: `imgtool`'s and, for its `--build`,
//! `uploader`'s. With `cli/` the one place that looks at the environment.

pub mod host;
mod spec_args;

pub use spec_args::SpecArgs;
