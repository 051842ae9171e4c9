//! `RunInstances`.

use super::devices::{self, Device};
use super::place::{self, Place, Wish};
use super::{fit, metadata, parameters, render};
use crate::ec2::call::{Answer, Call};
use crate::ec2::volumes::from_snapshot;
use crate::ec2::{lookup, tag_specification};
use crate::machines::Bootable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_backend::{InstanceType, Network};
use emulator_protocol::{AwsError, Caller, Params, Xml};
use emulator_state::world::{
    Attachment, Change, Image, Instance, InstanceProfile, InstanceState, Interface,
    MetadataOptions, Reason, Tags, Volume, World,
};
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;

/// Most instances of one request: the quota of a new account.
const MOST_INSTANCES: usize = 100;
/// Most bytes of user data, decoded.
const MOST_USER_DATA: usize = 16 * 1024;
/// What `RunInstances` takes where no type is named.
const DEFAULT_TYPE: &str = "m1.small";

/// What is the same for every instance of a launch.
struct Launch<'a> {
    image: &'a Image,
    kind: &'a InstanceType,
    boot_mode: String,
    wish: &'a Wish,
    place: &'a Place,
    devices: &'a [Device],
    profile: Option<InstanceProfile>,
    key_name: Option<String>,
    user_data: Option<String>,
    metadata: MetadataOptions,
    options: Options,
    tags: [Tags; 3],
    failure: Option<Reason>,
    booted: bool,
    token: Option<(String, String)>,
}

/// `RunInstances`.
pub(super) async fn run(call: &Call<'_>) -> Answer {
    let params = call.params;
    parameters::check(params)?;
    let image_id = params.required("ImageId")?;
    let (min, max) = counts(params)?;
    let wish = Wish::parse(params, max)?;
    let token = client_token(params)?;
    let options = Options::parse(params)?;
    let user_data = user_data(params)?;
    let mut tags = tag_specification::parse(params, &["instance", "network-interface", "volume"])?;
    let tags = ["instance", "network-interface", "volume"]
        .map(|kind| tags.remove(kind).unwrap_or_default());
    if let Some(answer) = earlier(call, token.as_ref())? {
        return Ok(answer);
    }

    let image = call
        .services
        .store
        .read(|world| lookup::image_to_launch(world, call.caller, image_id).cloned())?;
    fit::launchable(&image, call.now)?;
    let metadata = metadata::with(
        metadata::defaults(&image),
        &params.structure("MetadataOptions"),
    )?;
    metadata::check_tags(&metadata, &tags[0])?;
    let mut devices = devices::resolve(call, &image)?;

    let network = &*call.services.network;
    let name = params
        .get("InstanceType")
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_TYPE);
    let kind = network
        .instance_type(call.caller, name)
        .await?
        .ok_or_else(|| fit::no_such_type(name))?;
    let boot_mode = fit::boot_mode(fit::Demands::of(&image), &kind)?;
    let place = wish.look_up(network, call.caller).await?;
    let launch = Launch {
        key_name: key_name(network, call.caller, params).await?,
        profile: profile(
            network,
            call.caller,
            &params.structure("IamInstanceProfile"),
        )
        .await?,
        failure: devices::choose_keys(call, &mut devices).await?,
        booted: boots(call, &image, &devices),
        image: &image,
        kind: &kind,
        boot_mode,
        wish: &wish,
        place: &place,
        devices: &devices,
        user_data,
        metadata,
        options,
        tags,
        token,
    };
    call.dry_run()?;

    let instances = call.services.store.write(|world, changes| {
        // Of requests that come at once, one launches. And an image may have gone meanwhile.
        if let Some(token) = &launch.token {
            let found = of_token(world, call.caller, token)?;
            if !found.is_empty() {
                return Ok(Err(found));
            }
        }
        fit::launchable(
            lookup::image_to_launch(world, call.caller, image_id)?,
            call.now,
        )?;
        let counts = (count(min), count(max).min(MOST_INSTANCES));
        let addresses = place::addresses(world, &place.subnet, &wish, counts, call.now)?;
        let reservation = call.services.ids.resource("r");
        let mut instances = Vec::new();
        for (index, address) in (0..).zip(addresses) {
            let instance = launch.instance(call, &reservation, index, address);
            if launch.failure.is_none() {
                changes.extend(launch.volumes(call, &instance).map(Change::Volume));
            }
            changes.push(Change::Instance(Box::new(instance.clone())));
            instances.push(instance);
        }
        Ok(Ok(instances))
    })?;
    let instances = match instances {
        Ok(new) => {
            for instance in new.iter().filter(|it| !it.state.ends()) {
                call.services.machines.start(instance).await?;
            }
            new
        }
        Err(earlier) => earlier,
    };
    Ok(answer(call, &instances))
}

/// Whether a machine is to boot instances of the image, whose volumes these become.
fn boots(call: &Call<'_>, image: &Image, devices: &[Device]) -> bool {
    let snapshot = devices
        .iter()
        .find(|it| it.name == image.root_device)
        .and_then(|it| it.snapshot.as_ref());
    snapshot.is_some_and(|snapshot| {
        call.services.machines.boots(Bootable {
            architecture: &image.architecture,
            virtualization: &image.virtualization,
            layers: &snapshot.layers,
            blank: snapshot.blank,
        })
    })
}

fn answer(call: &Call<'_>, instances: &[Instance]) -> Xml {
    call.services.store.read(|world| {
        let mut xml = Xml::new();
        render::reservation(
            &mut xml,
            world,
            &instances.iter().collect::<Vec<_>>(),
            call.now,
        );
        xml
    })
}

/// The answer to a request that was made before with the same token.
fn earlier(call: &Call<'_>, token: Option<&(String, String)>) -> Result<Option<Xml>, AwsError> {
    let Some(token) = token else {
        return Ok(None);
    };
    let found = call
        .services
        .store
        .read(|world| of_token(world, call.caller, token))?;
    Ok((!found.is_empty()).then(|| answer(call, &found)))
}

fn of_token(
    world: &World,
    caller: &Caller,
    (token, digest): &(String, String),
) -> Result<Vec<Instance>, AwsError> {
    let mut found = Vec::new();
    for instance in world.instances.values() {
        let Some((its_token, its_digest)) = &instance.client_token else {
            continue;
        };
        if instance.owner != caller.account
            || instance.region != caller.region
            || its_token != token
        {
            continue;
        }
        if its_digest != digest {
            return Err(AwsError::new(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in \
                 previous request(s).",
            ));
        }
        found.push(instance.clone());
    }
    found.sort_by_key(|it| it.launch_index);
    Ok(found)
}

impl Launch<'_> {
    fn instance(
        &self,
        call: &Call<'_>,
        reservation: &str,
        launch_index: u32,
        private_ip: Ipv4Addr,
    ) -> Instance {
        let ids = &call.services.ids;
        let at = call.now + call.services.settle;
        let [instance_tags, interface_tags, _] = &self.tags;
        Instance {
            id: ids.resource("i"),
            owner: call.caller.account.clone(),
            region: call.caller.region.clone(),
            image: self.image.id.clone(),
            launched: call.now,
            state: match &self.failure {
                None if self.booted => InstanceState::Booting {
                    since: call.now,
                    new: true,
                },
                None => InstanceState::Running { at },
                Some(reason) => InstanceState::Failed {
                    at,
                    reason: reason.clone(),
                },
            },
            reservation: reservation.to_owned(),
            launch_index,
            client_token: self.token.clone(),
            instance_type: self.kind.name.clone(),
            nitro: self.kind.nitro,
            cpus: self.kind.cpus,
            memory_mib: self.kind.memory_mib,
            booted: self.booted,
            architecture: self.image.architecture.clone(),
            virtualization: self.image.virtualization.clone(),
            boot_mode: self.image.boot_mode.clone(),
            current_boot_mode: self.boot_mode.clone(),
            ena: self.image.ena.unwrap_or_default(),
            sriov: self.image.sriov.clone(),
            tpm: self.image.tpm.clone(),
            kernel: self.image.kernel.clone(),
            ramdisk: self.image.ramdisk.clone(),
            root_device: self.image.root_device.clone(),
            key_name: self.key_name.clone(),
            user_data: self.user_data.clone(),
            profile: self.profile.clone(),
            metadata: self.metadata.clone(),
            shutdown_behavior: self.options.shutdown_behavior.clone(),
            termination_protection: self.options.termination_protection,
            stop_protection: self.options.stop_protection,
            monitoring: self.options.monitoring,
            ebs_optimized: self.options.ebs_optimized,
            cpu_credits: self.cpu_credits(),
            interface: Interface {
                id: ids.resource("eni"),
                attachment: ids.resource("eni-attach"),
                mac: mac(ids.number()),
                subnet: self.place.subnet.id.clone(),
                vpc: self.place.subnet.vpc.clone(),
                zone: self.place.subnet.zone.clone(),
                zone_id: self.place.subnet.zone_id.clone(),
                private_ip,
                public: self.place.public,
                public_ip: self.place.public.then(|| public_address(ids.number())),
                groups: self.place.groups.clone(),
                description: self.wish.description.clone(),
                delete_on_termination: self.wish.delete_on_termination,
                source_dest_check: true,
                tags: interface_tags.clone(),
            },
            tags: instance_tags.clone(),
        }
    }

    fn volumes<'b>(
        &'b self,
        call: &'b Call<'_>,
        instance: &'b Instance,
    ) -> impl Iterator<Item = Volume> + 'b {
        let [_, _, tags] = &self.tags;
        self.devices.iter().map(move |device| {
            let volume = from_snapshot(
                call,
                &self.place.subnet.zone,
                device.snapshot.as_ref(),
                device.provision.clone(),
                device.key.clone(),
            );
            Volume {
                attachment: Some(Attachment {
                    instance: instance.id.clone(),
                    device: device.name.clone(),
                    since: call.now,
                    delete_on_termination: device.delete_on_termination,
                }),
                tags: tags.clone(),
                ..volume
            }
        })
    }

    /// Burstable types have them: `standard` on T2, else `unlimited`, if nothing is said.
    fn cpu_credits(&self) -> Option<String> {
        let family = self.kind.name.split('.').next().unwrap_or_default();
        let default = match family {
            "t2" => "standard",
            "t3" | "t3a" | "t4g" => "unlimited",
            _ => return None,
        };
        Some(
            self.options
                .cpu_credits
                .clone()
                .unwrap_or_else(|| default.to_owned()),
        )
    }
}

/// Locally administered, unicast.
fn mac(number: u64) -> String {
    let bytes = number.to_be_bytes();
    format!(
        "0a:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
        bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]
    )
}

/// Out of 198.18.0.0/15, which RFC 2544 keeps for tests: it leads nowhere.
pub(super) fn public_address(number: u64) -> Ipv4Addr {
    let host = u32::try_from(number & 0x1_ffff).unwrap_or_default();
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + host)
}

fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn counts(params: &Params) -> Result<(i64, i64), AwsError> {
    let read = |name: &str| -> Result<i64, AwsError> {
        let value = params.required(name)?;
        params
            .integer(name)?
            .filter(|count| *count >= 1)
            .ok_or_else(|| params.invalid(name, value, "expecting a positive integer"))
    };
    let (min, max) = (read("MinCount")?, read("MaxCount")?);
    if min > max {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            format!("minCount ({min}) must not be greater than maxCount ({max})"),
        ));
    }
    if count(min) > MOST_INSTANCES {
        return Err(AwsError::new(
            "InstanceLimitExceeded",
            format!(
                "You have requested more instances ({min}) than your current instance limit of \
                 {MOST_INSTANCES} allows for the specified instance type."
            ),
        ));
    }
    Ok((min, max))
}

/// The token and a digest of everything else.
fn client_token(params: &Params) -> Result<Option<(String, String)>, AwsError> {
    let Some(token) = params.get("ClientToken").filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    if token.len() > 64 || !token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(params.invalid(
            "ClientToken",
            token,
            "expecting at most 64 ASCII characters",
        ));
    }
    let mut digest = Sha256::new();
    for (name, value) in params.iter() {
        // A signature differs from one try to the next.
        if name != "ClientToken" && !name.starts_with("X-Amz-") {
            for part in [name, value] {
                digest.update(part.len().to_le_bytes());
                digest.update(part);
            }
        }
    }
    Ok(Some((token.to_owned(), hex::encode(digest.finalize()))))
}

/// Base64 of at most 16 KiB, as it was sent.
pub(super) fn check_user_data(text: &str) -> Result<(), AwsError> {
    let decoded = STANDARD.decode(text).map_err(|_| {
        AwsError::new(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if decoded.len() > MOST_USER_DATA {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("User data is limited to {MOST_USER_DATA} bytes"),
        ));
    }
    Ok(())
}

fn user_data(params: &Params) -> Result<Option<String>, AwsError> {
    let Some(text) = params.get("UserData").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    check_user_data(text)?;
    Ok(Some(text.to_owned()))
}

/// What has no rule but its own words.
#[derive(Clone, Debug)]
struct Options {
    shutdown_behavior: String,
    termination_protection: bool,
    stop_protection: bool,
    monitoring: bool,
    ebs_optimized: bool,
    cpu_credits: Option<String>,
}

impl Options {
    fn parse(params: &Params) -> Result<Self, AwsError> {
        let flag = |name: &str| params.bool(name).map(Option::unwrap_or_default);
        let word = |name: &str, words: [&str; 2]| match params.get(name) {
            Some(value) if !words.contains(&value) => Err(params.invalid(
                name,
                value,
                &format!("expecting {} or {}", words[0], words[1]),
            )),
            value => Ok(value.map(String::from)),
        };
        Ok(Self {
            shutdown_behavior: word("InstanceInitiatedShutdownBehavior", ["stop", "terminate"])?
                .unwrap_or_else(|| "stop".to_owned()),
            termination_protection: flag("DisableApiTermination")?,
            stop_protection: flag("DisableApiStop")?,
            monitoring: flag("Monitoring.Enabled")?,
            ebs_optimized: flag("EbsOptimized")?,
            cpu_credits: word("CreditSpecification.CpuCredits", ["standard", "unlimited"])?,
        })
    }
}

async fn key_name(
    network: &dyn Network,
    caller: &Caller,
    params: &Params,
) -> Result<Option<String>, AwsError> {
    let Some(name) = params.get("KeyName").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if !network.key_pairs(caller).await?.iter().any(|it| it == name) {
        return Err(AwsError::new(
            "InvalidKeyPair.NotFound",
            format!("The key pair '{name}' does not exist"),
        ));
    }
    Ok(Some(name.to_owned()))
}

async fn profile(
    network: &dyn Network,
    caller: &Caller,
    params: &Params,
) -> Result<Option<InstanceProfile>, AwsError> {
    let (field, value, name) = match (params.get("Arn"), params.get("Name")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "The parameter 'iamInstanceProfile.name' may not be used in combination with \
                 'iamInstanceProfile.arn'",
            ));
        }
        // A path may stand before the name.
        (Some(arn), None) => ("arn", arn, arn.rsplit('/').next().unwrap_or_default()),
        (None, Some(name)) => ("name", name, name),
    };
    let found = network.profile(caller, name).await?;
    let found = found.filter(|it| field == "name" || it.arn == value).ok_or_else(|| {
        AwsError::new(
            "InvalidParameterValue",
            format!(
                "Value ({value}) for parameter iamInstanceProfile.{field} is invalid. Invalid IAM \
                 Instance Profile {field}"
            ),
        )
    })?;
    if !found.has_role {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "IAM Instance Profile \"{}\" has no associated IAM Roles",
                found.arn
            ),
        ));
    }
    Ok(Some(InstanceProfile {
        arn: found.arn,
        id: found.id,
    }))
}
