//! `DescribeTags`.

use super::resource::{Resource, is_own};
use crate::ec2::call::{Answer, Call};
use crate::ec2::filter::Filters;
use crate::ec2::page::Page;
use emulator_backend::ResourceTag;
use emulator_protocol::Xml;
use emulator_state::world::Tags;

const FILTERS: [&str; 5] = ["key", "resource-id", "resource-type", "tag-key", "value"];

/// `DescribeTags`: ours and LocalStack's, sorted by resource and key.
pub(super) async fn describe(call: &Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, &FILTERS)?;
    let page = Page::parse(call.params, 5..=1000)?;
    let mut tags = call.services.network.tags(call.caller).await?;
    tags.retain(|tag| !is_own(&tag.resource));
    call.services.store.read(|world| {
        for (resource, kind, its) in Resource::all(world, call.caller) {
            tags.extend(its.iter().map(|(key, value)| ResourceTag {
                resource: resource.to_owned(),
                key: key.clone(),
                value: value.clone(),
                kind: kind.to_owned(),
            }));
            if let Some(instance) = world.instances.get(resource) {
                let interface = &instance.interface;
                tags.extend(interface.tags.iter().map(|(key, value)| ResourceTag {
                    resource: interface.id.clone(),
                    key: key.clone(),
                    value: value.clone(),
                    kind: "network-interface".to_owned(),
                }));
            }
        }
    });
    tags.sort();
    let listed = tags
        .into_iter()
        .filter(|tag| {
            let one = Tags::from([(tag.key.clone(), tag.value.clone())]);
            filters.pass(&one, |name| {
                vec![match name {
                    "key" => tag.key.clone(),
                    "resource-id" => tag.resource.clone(),
                    "resource-type" => tag.kind.clone(),
                    _ => tag.value.clone(),
                }]
            })
        })
        // Pages are cut at resource and key; no key has a control character.
        .map(|tag| (format!("{}\u{1}{}", tag.resource, tag.key), tag))
        .collect();
    let (listed, next) = page.cut(listed, |(place, _)| place);
    let mut xml = Xml::new();
    xml.list("tagSet", listed, |xml, (_, tag)| {
        xml.leaf("key", tag.key)
            .leaf("resourceId", tag.resource)
            .leaf("resourceType", tag.kind)
            .leaf("value", tag.value);
    })
    .option("nextToken", next);
    Ok(xml)
}
