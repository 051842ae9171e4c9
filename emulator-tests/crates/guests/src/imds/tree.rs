//! The tree below `/latest/meta-data/`, but for what has to be asked for elsewhere.

use super::Facts;
use super::host::{names, public_name};
use std::collections::BTreeMap;

/// A directory, or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Names of what is in it.
    Directory(BTreeMap<String, Node>),
    /// A value.
    Value(String),
}

impl Node {
    fn empty() -> Self {
        Self::Directory(BTreeMap::new())
    }

    /// Puts a value at a path.
    fn put(&mut self, path: &str, value: impl ToString) {
        let mut node = self;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let Self::Directory(entries) = node else {
                return;
            };
            let new = match names.peek() {
                Some(_) => Self::empty(),
                None => Self::Value(value.to_string()),
            };
            node = entries.entry(name.to_owned()).or_insert(new);
        }
    }

    /// What is at a path; a slash at its end changes nothing.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(self, |node, name| match node {
                Self::Directory(entries) => entries.get(name),
                Self::Value(_) => None,
            })
    }

    /// The value, or the names in the directory, those of directories with a slash.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Value(value) => value.clone(),
            Self::Directory(entries) => entries
                .iter()
                .map(|(name, node)| match node {
                    Self::Directory(_) => format!("{name}/"),
                    Self::Value(_) => name.clone(),
                })
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }
}

/// `/latest/meta-data/`. What is below `iam/` is only named: whoever answers knows the role.
pub(super) fn tree(facts: &Facts) -> Node {
    let it = &facts.instance;
    let interface = &it.interface;
    let (host, domain) = names(interface.private_ip, Some(&it.region));
    let local = format!("{host}.{domain}");
    let mut tree = Node::empty();
    for (path, value) in [
        ("ami-id", it.image.clone()),
        ("ami-launch-index", it.launch_index.to_string()),
        ("ami-manifest-path", "(unknown)".to_owned()),
        ("hostname", local.clone()),
        ("instance-action", "none".to_owned()),
        ("instance-id", it.id.clone()),
        ("instance-life-cycle", "on-demand".to_owned()),
        ("instance-type", it.instance_type.clone()),
        ("local-hostname", local.clone()),
        ("local-ipv4", interface.private_ip.to_string()),
        ("mac", interface.mac.clone()),
        ("placement/availability-zone", interface.zone.clone()),
        ("placement/region", it.region.to_string()),
        ("profile", format!("default-{}", it.virtualization)),
        ("reservation-id", it.reservation.clone()),
        ("security-groups", groups(facts, |(_, name)| name)),
        ("services/domain", "amazonaws.com".to_owned()),
        ("services/partition", "aws".to_owned()),
        ("system", if it.nitro { "nitro" } else { "xen" }.to_owned()),
    ] {
        tree.put(path, value);
    }
    if let Some(id) = &interface.zone_id {
        tree.put("placement/availability-zone-id", id);
    }
    for (name, id) in [("kernel-id", &it.kernel), ("ramdisk-id", &it.ramdisk)] {
        if let Some(id) = id {
            tree.put(name, id);
        }
    }
    if let Some(ip) = interface.public_ip {
        tree.put("public-ipv4", ip);
        tree.put("public-hostname", public_name(ip, &it.region));
    }
    if it.profile.is_some() {
        tree.put("iam/info", "");
        tree.put("iam/security-credentials/ROLE", "");
    }
    if it.metadata.tags == "enabled" {
        // A key with a slash would be two names: AWS refuses such tags with this option.
        for (key, value) in it.tags.iter().filter(|(key, _)| !key.contains('/')) {
            tree.put(&format!("tags/instance/{key}"), value);
        }
    }
    devices(&mut tree, facts);
    network(&mut tree, facts, &local);
    tree
}

/// `ami` and `root` are the root volume, `ebs1` and so on the others.
fn devices(tree: &mut Node, facts: &Facts) {
    let root = &facts.instance.root_device;
    // `ami` is without the directory.
    let short = root.strip_prefix("/dev/").unwrap_or(root);
    tree.put("block-device-mapping/ami", short);
    tree.put("block-device-mapping/root", root);
    let others = facts.devices.iter().filter(|&device| device != root);
    for (number, device) in (1..).zip(others) {
        let short = device.strip_prefix("/dev/").unwrap_or(device);
        tree.put(&format!("block-device-mapping/ebs{number}"), short);
    }
}

fn network(tree: &mut Node, facts: &Facts, local: &str) {
    let it = &facts.instance;
    let interface = &it.interface;
    let base = format!("network/interfaces/macs/{}", interface.mac);
    let mut put = |name: &str, value: String| tree.put(&format!("{base}/{name}"), value);
    put("device-number", "0".to_owned());
    put("interface-id", interface.id.clone());
    put("local-hostname", local.to_owned());
    put("local-ipv4s", interface.private_ip.to_string());
    put("mac", interface.mac.clone());
    put("owner-id", it.owner.to_string());
    put("security-group-ids", groups(facts, |(id, _)| id));
    put("security-groups", groups(facts, |(_, name)| name));
    put("subnet-id", interface.subnet.clone());
    put("subnet-ipv4-cidr-block", facts.subnet_cidr.clone());
    put("vpc-id", interface.vpc.clone());
    if let Some(cidr) = &facts.vpc_cidr {
        put("vpc-ipv4-cidr-block", cidr.clone());
        put("vpc-ipv4-cidr-blocks", cidr.clone());
    }
    if let Some(ip) = interface.public_ip {
        put("public-hostname", public_name(ip, &it.region));
        put("public-ipv4s", ip.to_string());
        put(
            &format!("ipv4-associations/{ip}"),
            interface.private_ip.to_string(),
        );
    }
}

fn groups(facts: &Facts, which: impl Fn(&(String, String)) -> &String) -> String {
    let groups = facts.instance.interface.groups.iter();
    groups
        .map(|group| which(group).as_str())
        .collect::<Vec<_>>()
        .join("\n")
}
