//! The program that takes requests from the queue and makes AMIs of them: the converter's process,
//! wherever it runs. Its instances are [`crate::fleet`], their image is [`crate::converter_ami`].
//!
//! What to do is decided by [`machine`], which touches nothing; [`executor`] carries it out. That it
//! lives it says by its [`heartbeat`]; [`idle`] decides when it ends.

mod content;
pub mod dead;
pub mod executor;
pub mod heartbeat;
pub mod idle;
pub mod journal;
pub mod machine;
pub mod queue;
mod ready;
pub mod record;
mod run;
mod sweep;
mod tagged;
pub mod tags;

pub use ready::{AgentError, Ready, vault_key};
pub use run::{Notice, Until, run};

use std::sync::Arc;
use time::OffsetDateTime;

/// The time, as the command line passes it in.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;
