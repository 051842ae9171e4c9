//! What every operation is given.

use crate::aws::Caller;
use crate::services::Services;
use time::OffsetDateTime;

/// One call of an operation.
pub(super) struct Call<'a> {
    pub(super) services: &'a Services,
    pub(super) caller: &'a Caller,
    pub(super) now: OffsetDateTime,
}
