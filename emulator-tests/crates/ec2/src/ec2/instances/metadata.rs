//! The options of the instance metadata service.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use emulator_protocol::{AwsError, Params, Xml};
use emulator_state::world::{Change, Image, Instance, MetadataOptions, Tags};

const SWITCH: [&str; 2] = ["enabled", "disabled"];

/// What instances of an image start with: IMDSv2 only where the image says so.
pub(super) fn defaults(image: &Image) -> MetadataOptions {
    let v2 = image.imds.as_deref() == Some("v2.0");
    MetadataOptions {
        http_tokens: if v2 { "required" } else { "optional" }.to_owned(),
        hop_limit: if v2 { 2 } else { 1 },
        http_endpoint: "enabled".to_owned(),
        ipv6: "disabled".to_owned(),
        tags: "disabled".to_owned(),
    }
}

/// The options with what a request says.
pub(super) fn with(options: MetadataOptions, params: &Params) -> Result<MetadataOptions, AwsError> {
    let word = |name: &str, words: [&str; 2], before: String| match params.get(name) {
        None => Ok(before),
        Some(value) if words.contains(&value) => Ok(value.to_owned()),
        Some(value) => Err(params.invalid(
            name,
            value,
            &format!("expecting {} or {}", words[0], words[1]),
        )),
    };
    let hop_limit = match params.integer("HttpPutResponseHopLimit")? {
        None => options.hop_limit,
        Some(limit) => u8::try_from(limit)
            .ok()
            .filter(|limit| (1..=64).contains(limit))
            .ok_or_else(|| {
                params.invalid(
                    "HttpPutResponseHopLimit",
                    &limit.to_string(),
                    "expecting a value from 1 to 64",
                )
            })?,
    };
    Ok(MetadataOptions {
        http_tokens: word("HttpTokens", ["optional", "required"], options.http_tokens)?,
        hop_limit,
        http_endpoint: word("HttpEndpoint", SWITCH, options.http_endpoint)?,
        ipv6: word("HttpProtocolIpv6", SWITCH, options.ipv6)?,
        tags: word("InstanceMetadataTags", SWITCH, options.tags)?,
    })
}

/// Refuses tags whose keys the metadata service has no path for, where it gives tags out.
pub(in crate::ec2) fn check_tags(options: &MetadataOptions, tags: &Tags) -> Result<(), AwsError> {
    let fine = |key: &str| {
        !matches!(key, "." | ".." | "_index")
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_+=,.@:".contains(c))
    };
    match tags.keys().find(|key| !fine(key)) {
        Some(key) if options.tags == "enabled" => Err(AwsError::new(
            "InvalidParameterValue",
            format!(
                "'{key}' is not a valid tag key. Tag keys must match pattern \
                 ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name \
                 ('.', '..', '_index')"
            ),
        )),
        _ => Ok(()),
    }
}

/// `ModifyInstanceMetadataOptions`.
pub(super) fn modify(call: &Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    let said = [
        "HttpTokens",
        "HttpPutResponseHopLimit",
        "HttpEndpoint",
        "HttpProtocolIpv6",
        "InstanceMetadataTags",
    ];
    if !said.iter().any(|name| call.params.get(name).is_some()) {
        return Err(AwsError::new(
            "InvalidParameterCombination",
            "The request must contain at least one metadata option",
        ));
    }
    let options = call.services.store.write(|world, changes| {
        let instance = lookup::instance(world, call.caller, id)?;
        if instance.state.ends() {
            return Err(AwsError::new(
                "IncorrectInstanceState",
                format!(
                    "The instance '{id}' is '{}' and can't be changed.",
                    instance.state.name(call.now).name
                ),
            ));
        }
        let metadata = with(instance.metadata.clone(), call.params)?;
        check_tags(&metadata, &instance.tags)?;
        call.dry_run()?;
        changes.push(Change::Instance(Box::new(Instance {
            metadata: metadata.clone(),
            ..instance.clone()
        })));
        Ok(metadata)
    })?;
    let mut xml = Xml::new();
    xml.leaf("instanceId", id)
        .node("instanceMetadataOptions", |xml| write(xml, &options));
    Ok(xml)
}

/// Writes the options. They are applied at once.
pub(super) fn write(xml: &mut Xml, options: &MetadataOptions) {
    xml.leaf("state", "applied")
        .leaf("httpTokens", &options.http_tokens)
        .leaf("httpPutResponseHopLimit", options.hop_limit)
        .leaf("httpEndpoint", &options.http_endpoint)
        .leaf("httpProtocolIpv6", &options.ipv6)
        .leaf("instanceMetadataTags", &options.tags);
}
