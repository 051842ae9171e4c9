//! `CreateTags`, `DeleteTags`, `DescribeTags`: of our own resources, and of LocalStack's in the
//! same request.

mod change;
mod describe;
mod resource;
#[cfg(test)]
mod tests;

use crate::ec2::call::{Answer, Call};

/// Answers an action that is this module's; `None` for any other, and for tags of nothing but
/// resources that are LocalStack's.
pub(super) async fn handle(call: &Call<'_>, action: &str) -> Option<Answer> {
    match action {
        "CreateTags" | "DeleteTags" if resource::foreign_only(call.params) => None,
        "CreateTags" => Some(change::create(call).await),
        "DeleteTags" => Some(change::delete(call).await),
        "DescribeTags" => Some(describe::describe(call).await),
        _ => None,
    }
}
