//! What every operation is given.

use crate::services::Services;
use emulator_protocol::Caller;
use time::OffsetDateTime;

/// One call of an operation.
pub(super) struct Call<'a> {
    pub(super) services: &'a Services,
    pub(super) caller: &'a Caller,
    pub(super) now: OffsetDateTime,
}
