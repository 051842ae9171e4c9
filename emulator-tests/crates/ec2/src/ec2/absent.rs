//! Actions that name images, snapshots, volumes or instances and are not here: LocalStack has none
//! of these, and would answer out of a world of its own.

use super::call::Call;
use super::lookup::well_formed;
use emulator_protocol::model::names_ours;
use emulator_protocol::{AwsError, Params};

/// Actions of LocalStack's that may name an instance beside what they are about: passed on
/// without.
const MAY_NAME_ONE: [&str; 3] = ["AssociateAddress", "CreateRoute", "ReplaceRoute"];

/// Actions that keep what they are given as text: a template names an image that need not be there,
/// and nothing here launches from one.
const KEEP_TEXT: [&str; 2] = ["CreateLaunchTemplate", "CreateLaunchTemplateVersion"];

/// Actions of ours that pass on what has nothing of ours in it.
const SHARED: [&str; 2] = ["CreateTags", "DeleteTags"];

/// Refuses an action that LocalStack must not be asked.
pub(super) fn check(call: &Call<'_>, action: &str) -> Result<(), AwsError> {
    let pass = !names_ours(action)?
        || KEEP_TEXT.contains(&action)
        || SHARED.contains(&action)
        || MAY_NAME_ONE.contains(&action) && !names_any(call.params);
    if pass {
        return Ok(());
    }
    Err(AwsError::new(
        "UnsupportedOperation",
        format!("The emulator does not have this action: {action}"),
    ))
}

fn names_any(params: &Params) -> bool {
    params.iter().any(|(_, value)| {
        ["ami", "snap", "vol", "i"]
            .iter()
            .any(|it| well_formed(it, value))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{World, world};
    use emulator_protocol::model::{own_actions, strange_actions};
    use emulator_testing::caller;

    /// An answer's code; nothing if the action is LocalStack's.
    async fn code(world: &World, form: &str) -> Option<String> {
        let params = Params::parse(form.as_bytes()).unwrap();
        let answer = crate::ec2::handle(&world.services, &caller(), &params).await?;
        Some(answer.map_or_else(|error| error.code.into_owned(), |_| "ok".to_owned()))
    }

    #[tokio::test]
    async fn no_action_that_names_ours_reaches_localstack() {
        let world = world();
        for action in own_actions() {
            let code = code(&world, &format!("Action={action}")).await;
            assert!(code.is_some(), "{action}");
        }
        let mut strange = 0;
        for action in strange_actions() {
            let form = format!("Action={action}&InstanceId=i-01111111111111111");
            let expected =
                (!KEEP_TEXT.contains(&action)).then(|| "UnsupportedOperation".to_owned());
            assert_eq!(code(&world, &form).await, expected, "{action}");
            strange += 1;
        }
        assert!(strange > 50, "{strange}");
        for action in MAY_NAME_ONE.iter().chain(&KEEP_TEXT) {
            assert!(strange_actions().any(|it| it == *action), "{action}");
        }
    }

    #[tokio::test]
    async fn what_names_none_of_ours_is_localstacks() {
        let world = world();
        for (form, is) in [
            ("Action=DescribeVpcs", None),
            ("Action=CreateRoute&GatewayId=igw-01111111111111111", None),
            (
                "Action=AssociateAddress&NetworkInterfaceId=eni-01111111111111111",
                None,
            ),
            ("Action=MonitorInstances", Some("UnsupportedOperation")),
            (
                "Action=ResetInstanceAttribute",
                Some("UnsupportedOperation"),
            ),
            ("Action=EnableFastLaunch", Some("UnsupportedOperation")),
        ] {
            assert_eq!(code(&world, form).await.as_deref(), is, "{form}");
        }
    }
}
