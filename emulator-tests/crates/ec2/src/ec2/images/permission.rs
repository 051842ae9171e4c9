//! Launch permissions: who else may launch an image.

use emulator_protocol::{Account, AwsError, Params};
use emulator_state::world::Permissions;

/// Somebody who may launch an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// An account.
    Account(Account),
    /// The group `all`.
    Everybody,
    /// An organisation's ARN.
    Organization(String),
    /// An organisational unit's ARN.
    OrganizationalUnit(String),
}

impl Grantee {
    /// `UserId`.
    ///
    /// # Errors
    /// `InvalidAMIAttributeItemValue` unless it is an account's number.
    pub fn account(text: &str) -> Result<Self, AwsError> {
        Account::parse(text)
            .map(Self::Account)
            .ok_or_else(|| bad(text, "userId"))
    }

    /// `Group`.
    ///
    /// # Errors
    /// `InvalidAMIAttributeItemValue` for anything but `all`.
    pub fn group(text: &str) -> Result<Self, AwsError> {
        if text == "all" {
            Ok(Self::Everybody)
        } else {
            Err(bad(text, "userGroup"))
        }
    }

    /// `OrganizationArn`.
    ///
    /// # Errors
    /// `InvalidAMIAttributeItemValue` for what is no such ARN.
    pub fn organization(text: &str) -> Result<Self, AwsError> {
        if is_arn(text, "organization", &["o-"]) {
            Ok(Self::Organization(text.to_owned()))
        } else {
            Err(bad(text, "organizationArn"))
        }
    }

    /// `OrganizationalUnitArn`.
    ///
    /// # Errors
    /// `InvalidAMIAttributeItemValue` for what is no such ARN.
    pub fn organizational_unit(text: &str) -> Result<Self, AwsError> {
        if is_arn(text, "ou", &["o-", "ou-"]) {
            Ok(Self::OrganizationalUnit(text.to_owned()))
        } else {
            Err(bad(text, "organizationalUnitArn"))
        }
    }

    /// A `LaunchPermission` structure: it has one of the four members.
    ///
    /// # Errors
    /// `InvalidAMIAttributeItemValue`; `InvalidParameterCombination` unless there is just one.
    pub fn parse(permission: &Params) -> Result<Self, AwsError> {
        let mut members = permission.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                format!(
                    "{} takes one of UserId, Group, OrganizationArn and OrganizationalUnitArn",
                    permission.full_name("").trim_end_matches('.')
                ),
            ));
        };
        match name {
            "UserId" => Self::account(value),
            "Group" => Self::group(value),
            "OrganizationArn" => Self::organization(value),
            "OrganizationalUnitArn" => Self::organizational_unit(value),
            _ => Err(AwsError::new(
                "UnknownParameter",
                format!(
                    "The parameter {} is not recognized",
                    permission.full_name(name)
                ),
            )),
        }
    }

    /// Lets them launch the image.
    pub fn add(self, permissions: &mut Permissions) {
        match self {
            Self::Account(account) => {
                permissions.accounts.insert(account);
            }
            Self::Everybody => permissions.public = true,
            Self::Organization(arn) => {
                permissions.organizations.insert(arn);
            }
            Self::OrganizationalUnit(arn) => {
                permissions.organizational_units.insert(arn);
            }
        }
    }

    /// Does so no more. Who was not let is no error.
    pub fn remove(self, permissions: &mut Permissions) {
        match self {
            Self::Account(account) => {
                permissions.accounts.remove(&account);
            }
            Self::Everybody => permissions.public = false,
            Self::Organization(arn) => {
                permissions.organizations.remove(&arn);
            }
            Self::OrganizationalUnit(arn) => {
                permissions.organizational_units.remove(&arn);
            }
        }
    }
}

/// `arn:aws:organizations::ACCOUNT:KIND/PART/PART`, each part with its prefix.
fn is_arn(text: &str, kind: &str, prefixes: &[&str]) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [
        "arn",
        "aws" | "aws-cn" | "aws-us-gov",
        "organizations",
        "",
        account,
        resource,
    ] = parts[..]
    else {
        return false;
    };
    let mut resource = resource.split('/');
    Account::parse(account).is_some()
        && resource.next() == Some(kind)
        && prefixes.iter().all(|prefix| {
            resource
                .next()
                .and_then(|part| part.strip_prefix(prefix))
                .is_some_and(|rest| {
                    !rest.is_empty()
                        && rest.bytes().all(|byte| {
                            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
                        })
                })
        })
        && resource.next().is_none()
}

fn bad(value: &str, item: &str) -> AwsError {
    AwsError::new(
        "InvalidAMIAttributeItemValue",
        format!("Invalid attribute item value \"{value}\" for {item} item type."),
    )
}

#[cfg(test)]
mod tests {
    use super::Grantee;

    #[test]
    fn arns() {
        for (text, organization, unit) in [
            (
                "arn:aws:organizations::123456789012:organization/o-abc123def4",
                true,
                false,
            ),
            (
                "arn:aws:organizations::123456789012:ou/o-abc123def4/ou-ab12-cdef3456",
                false,
                true,
            ),
            (
                "arn:aws:organizations::123456789012:ou/o-abc123def4",
                false,
                false,
            ),
            (
                "arn:aws:organizations::123456789012:organization/abc",
                false,
                false,
            ),
            (
                "arn:aws:organizations::12345:organization/o-abc123def4",
                false,
                false,
            ),
            (
                "arn:aws:iam::123456789012:organization/o-abc123def4",
                false,
                false,
            ),
            ("o-abc123def4", false, false),
            ("", false, false),
        ] {
            assert_eq!(Grantee::organization(text).is_ok(), organization, "{text}");
            assert_eq!(Grantee::organizational_unit(text).is_ok(), unit, "{text}");
        }
    }
}
