//! `ModifySnapshotAttribute`, `DescribeSnapshotAttribute`, `ResetSnapshotAttribute`: who may make
//! volumes of a snapshot.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use crate::ec2::settings::refuse_public_snapshot;
use crate::encryption;
use emulator_protocol::{Account, AwsError, Params, Xml};
use emulator_state::world::{Change, Permissions, Snapshot};

/// Most accounts and groups of one request.
const MOST_CHANGES: usize = 500;

/// `ModifySnapshotAttribute`.
pub(super) async fn modify(call: &Call<'_>) -> Answer {
    let id = call.params.required("SnapshotId")?;
    if call.params.get("Attribute").is_some() {
        attribute(call, &["createVolumePermission"])?;
    }
    let edit = Edit::parse(call.params)?;
    let snapshot = call
        .services
        .store
        .read(|world| lookup::own_snapshot(world, call.caller, id).cloned())?;
    // A snapshot's key is the same for as long as the snapshot is there.
    let aws_key = edit.adds && encryption::has_aws_key(call.services, &snapshot).await?;
    call.services.store.write(|world, changes| {
        let snapshot = lookup::own_snapshot(world, call.caller, id)?;
        if edit.adds && edit.all {
            if snapshot.encrypted {
                return Err(not_permitted(
                    "Encrypted snapshots cannot be shared publicly",
                ));
            }
            if !snapshot.permissions.public {
                refuse_public_snapshot(world, call.caller)?;
            }
        }
        if aws_key {
            return Err(not_permitted(
                "Encrypted snapshots with EBS default key cannot be shared",
            ));
        }
        let mut permissions = snapshot.permissions.clone();
        edit.apply(&mut permissions);
        changes.push(Change::Snapshot(Snapshot {
            permissions,
            ..snapshot.clone()
        }));
        Ok(Xml::done())
    })
}

/// `DescribeSnapshotAttribute`.
pub(super) fn describe(call: &Call<'_>) -> Answer {
    let id = call.params.required("SnapshotId")?;
    let what = attribute(call, &["createVolumePermission", "productCodes"])?;
    call.services.store.read(|world| {
        let snapshot = lookup::own_snapshot(world, call.caller, id)?;
        let mut xml = Xml::new();
        xml.leaf("snapshotId", id);
        if what == "productCodes" {
            // Nothing here is from the Marketplace.
            xml.node("productCodes", |_| {});
            return Ok(xml);
        }
        xml.node("createVolumePermission", |list| {
            if snapshot.permissions.public {
                list.node("item", |xml| {
                    xml.leaf("group", "all");
                });
            }
            for account in &snapshot.permissions.accounts {
                list.node("item", |xml| {
                    xml.leaf("userId", account);
                });
            }
        });
        Ok(xml)
    })
}

/// `ResetSnapshotAttribute`.
pub(super) fn reset(call: &Call<'_>) -> Answer {
    let id = call.params.required("SnapshotId")?;
    attribute(call, &["createVolumePermission"])?;
    call.services.store.write(|world, changes| {
        let snapshot = lookup::own_snapshot(world, call.caller, id)?;
        changes.push(Change::Snapshot(Snapshot {
            permissions: Permissions::default(),
            ..snapshot.clone()
        }));
        Ok(Xml::done())
    })
}

fn attribute<'a>(call: &'a Call<'_>, known: &[&str]) -> Result<&'a str, AwsError> {
    let name = call.params.required("Attribute")?;
    if !known.contains(&name) {
        let why = format!("expecting {}", known.join(" or "));
        return Err(call.params.invalid("Attribute", name, &why));
    }
    Ok(name)
}

fn not_permitted(message: &str) -> AwsError {
    AwsError::new("OperationNotPermitted", message)
}

/// Who is let, or let no more.
struct Edit {
    adds: bool,
    /// The group `all`.
    all: bool,
    accounts: Vec<Account>,
}

impl Edit {
    /// Reads `CreateVolumePermission.Add.N`, or `OperationType` with `UserId.N` and `UserGroup.N`.
    fn parse(params: &Params) -> Result<Self, AwsError> {
        let both = params.structure("CreateVolumePermission");
        let (add, remove) = (both.structs("Add"), both.structs("Remove"));
        let (users, groups) = (params.list("UserId"), params.list("UserGroup"));
        let by_operation =
            params.get("OperationType").is_some() || !users.is_empty() || !groups.is_empty();
        if by_operation && !both.is_empty() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "CreateVolumePermission can't be given with OperationType, UserId or UserGroup",
            ));
        }
        if by_operation {
            let adds = match params.required("OperationType")? {
                "add" => true,
                "remove" => false,
                other => {
                    return Err(params.invalid("OperationType", other, "expecting add or remove"));
                }
            };
            return Self::new(params, adds, &users, &groups);
        }
        if !add.is_empty() && !remove.is_empty() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "Permissions can't be added and removed in one request",
            ));
        }
        let adds = !add.is_empty();
        let items = if adds { &add } else { &remove };
        let members =
            |name: &str| -> Vec<&str> { items.iter().filter_map(|it| it.get(name)).collect() };
        Self::new(params, adds, &members("UserId"), &members("Group"))
    }

    fn new(params: &Params, adds: bool, users: &[&str], groups: &[&str]) -> Result<Self, AwsError> {
        let count = users.len() + groups.len();
        if count == 0 {
            return Err(AwsError::new(
                "MissingParameter",
                "The request must contain an account or a group to add or to remove",
            ));
        }
        if count > MOST_CHANGES {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("A request can change at most {MOST_CHANGES} permissions"),
            ));
        }
        if let Some(group) = groups.iter().find(|it| **it != "all") {
            return Err(params.invalid("UserGroup", group, "the only group is all"));
        }
        let account = |id: &&str| {
            Account::parse(id).ok_or_else(|| {
                AwsError::new(
                    "InvalidUserID.Malformed",
                    format!("Invalid user id: \"{id}\""),
                )
            })
        };
        Ok(Self {
            adds,
            all: !groups.is_empty(),
            accounts: users.iter().map(account).collect::<Result<_, _>>()?,
        })
    }

    fn apply(&self, permissions: &mut Permissions) {
        if self.all {
            permissions.public = self.adds;
        }
        for account in &self.accounts {
            if self.adds {
                permissions.accounts.insert(account.clone());
            } else {
                permissions.accounts.remove(account);
            }
        }
    }
}
