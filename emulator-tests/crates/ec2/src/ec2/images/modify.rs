//! `ModifyImageAttribute`: launch permissions, description, IMDS support.

use super::name;
use super::permission::Grantee;
use super::unavailable;
use crate::ec2::call::{Answer, Call};
use crate::ec2::{lookup, settings};
use crate::encryption::DEFAULT_KEY;
use emulator_protocol::{AwsError, Caller, Params, Xml};
use emulator_state::world::{Change, Image, World};

/// What changes. One call changes one attribute.
enum Modification {
    Permissions {
        add: Vec<Grantee>,
        remove: Vec<Grantee>,
    },
    Description(String),
    Imds,
}

/// Changes one attribute of an image of the caller's.
pub async fn modify(call: &Call<'_>) -> Answer {
    let id = call.params.required("ImageId")?;
    let modification = Modification::parse(call.params)?;
    // Whether a snapshot may be shared depends on whether its key is AWS's own.
    let managed_key = match &modification {
        Modification::Permissions { add, .. } if !add.is_empty() => {
            managed_key(call, call.caller).await?
        }
        _ => None,
    };
    call.services.store.write(|world, changes| {
        let found = lookup::own_image(world, call.caller, id)?;
        if found.state.name(call.now) != "available" {
            return Err(unavailable(found, call, "modified"));
        }
        let mut image = found.clone();
        match modification {
            Modification::Permissions { add, remove } => {
                if add.contains(&Grantee::Everybody) {
                    settings::refuse_public_image(world, call.caller)?;
                }
                check_sharing(world, found, &add, managed_key.as_deref())?;
                for grantee in add {
                    grantee.add(&mut image.permissions);
                }
                for grantee in remove {
                    grantee.remove(&mut image.permissions);
                }
            }
            Modification::Description(text) => {
                image.description = Some(text).filter(|text| !text.is_empty());
            }
            Modification::Imds => image.imds = Some("v2.0".to_owned()),
        }
        call.dry_run()?;
        changes.push(Change::Image(Box::new(image)));
        Ok(Xml::done())
    })
}

/// The ARN of the caller's `aws/ebs` key.
async fn managed_key(call: &Call<'_>, caller: &Caller) -> Result<Option<String>, AwsError> {
    let key = call.services.keys.find(caller, DEFAULT_KEY).await?;
    Ok(key.map(|key| key.arn))
}

/// Refuses what can't be shared: encrypted snapshots with everybody, and with anybody if their key
/// is AWS's own, which nobody else may be given.
fn check_sharing(
    world: &World,
    image: &Image,
    add: &[Grantee],
    managed_key: Option<&str>,
) -> Result<(), AwsError> {
    let mut encrypted = image
        .snapshots()
        .filter_map(|id| world.snapshots.get(id))
        .filter(|snapshot| snapshot.encrypted)
        .peekable();
    if add.contains(&Grantee::Everybody) && encrypted.peek().is_some() {
        return Err(AwsError::new(
            "UnsupportedOperation",
            "Encrypted snapshots can't be shared publicly. Specify another snapshot.",
        ));
    }
    if !add.is_empty()
        && managed_key.is_some()
        && encrypted.any(|snapshot| snapshot.kms_key.as_deref() == managed_key)
    {
        return Err(AwsError::new(
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another \
             snapshot.",
        ));
    }
    Ok(())
}

impl Modification {
    fn parse(params: &Params) -> Result<Self, AwsError> {
        if !params.list("ProductCode").is_empty() {
            return Err(AwsError::new(
                "InvalidParameter",
                "Product codes can't be modified",
            ));
        }
        let permission = params.structure("LaunchPermission");
        let description = params.get("Description.Value");
        let imds = params.get("ImdsSupport.Value");
        let structures = [
            (!permission.is_empty()).then_some("launchPermission"),
            description.map(|_| "description"),
            imds.map(|_| "imdsSupport"),
        ];
        let mut named = structures.into_iter().flatten();
        let (first, second) = (named.next(), named.next());
        let attribute = params.get("Attribute");
        let attribute = match (attribute, first, second) {
            (_, Some(_), Some(_)) => return Err(one_at_a_time()),
            (Some(attribute), Some(named), None) if attribute != named => {
                return Err(one_at_a_time());
            }
            (Some(attribute), _, None) => attribute,
            (None, Some(named), None) => named,
            // The old form for permissions works without its `Attribute`, as clients send it.
            (None, None, None) if params.get("OperationType").is_some() => "launchPermission",
            (_, None, _) => {
                return Err(AwsError::new(
                    "MissingParameter",
                    "The request must contain the parameter Attribute",
                ));
            }
        };
        match attribute {
            "launchPermission" if permission.is_empty() => Self::parse_lists(params),
            "launchPermission" => Self::parse_structure(params, &permission),
            "description" => {
                let text = description.map_or_else(|| value(params), Ok)?;
                name::check_description(text)?;
                Ok(Self::Description(text.to_owned()))
            }
            "imdsSupport" => match imds.map_or_else(|| value(params), Ok)? {
                "v2.0" => Ok(Self::Imds),
                other => Err(params.invalid("ImdsSupport", other, "expecting v2.0")),
            },
            other => Err(params.invalid(
                "Attribute",
                other,
                "expecting description, imdsSupport or launchPermission",
            )),
        }
    }

    /// `LaunchPermission.Add.N.…`, `LaunchPermission.Remove.N.…`.
    fn parse_structure(params: &Params, permission: &Params) -> Result<Self, AwsError> {
        if params.get("OperationType").is_some() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "LaunchPermission and OperationType can't be used together",
            ));
        }
        let grantees = |name| -> Result<Vec<Grantee>, AwsError> {
            permission
                .structs(name)
                .iter()
                .map(Grantee::parse)
                .collect()
        };
        let (add, remove) = (grantees("Add")?, grantees("Remove")?);
        if add.is_empty() && remove.is_empty() {
            return Err(no_grantee());
        }
        Ok(Self::Permissions { add, remove })
    }

    /// `OperationType` with `UserId.N`, `UserGroup.N`, `OrganizationArn.N` and
    /// `OrganizationalUnitArn.N`.
    fn parse_lists(params: &Params) -> Result<Self, AwsError> {
        type Parse = fn(&str) -> Result<Grantee, AwsError>;
        let lists: [(&str, Parse); 4] = [
            ("UserId", Grantee::account),
            ("UserGroup", Grantee::group),
            ("OrganizationArn", Grantee::organization),
            ("OrganizationalUnitArn", Grantee::organizational_unit),
        ];
        let operation = params.required("OperationType")?;
        let mut grantees = Vec::new();
        for (name, parse) in lists {
            for text in params.list(name) {
                grantees.push(parse(text)?);
            }
        }
        if grantees.is_empty() {
            return Err(no_grantee());
        }
        match operation {
            "add" => Ok(Self::Permissions {
                add: grantees,
                remove: Vec::new(),
            }),
            "remove" => Ok(Self::Permissions {
                add: Vec::new(),
                remove: grantees,
            }),
            other => Err(params.invalid("OperationType", other, "expecting add or remove")),
        }
    }
}

/// `Value`, which may be empty.
fn value(params: &Params) -> Result<&str, AwsError> {
    params.get("Value").ok_or_else(|| {
        AwsError::new(
            "MissingParameter",
            "The request must contain the parameter Value",
        )
    })
}

fn one_at_a_time() -> AwsError {
    AwsError::new(
        "InvalidParameterCombination",
        "Only one attribute can be modified at a time",
    )
}

fn no_grantee() -> AwsError {
    AwsError::new(
        "MissingParameter",
        "The request must contain an account, group, organization or organizational unit",
    )
}
