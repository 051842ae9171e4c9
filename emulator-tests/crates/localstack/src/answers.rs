//! What is read of LocalStack's answers, which are XML.

use emulator_backend::{IngressRule, InstanceType, Profile, ResourceTag, SecurityGroup, Subnet};
use emulator_protocol::AwsError;
use http::StatusCode;
use serde::Deserialize;

/// `<item>…</item>…`.
#[derive(Debug, Deserialize)]
struct List<T> {
    #[serde(rename = "item", default = "Vec::new")]
    items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    #[serde(default)]
    subnet_set: List<SubnetItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetItem {
    subnet_id: String,
    vpc_id: String,
    availability_zone: String,
    availability_zone_id: Option<String>,
    cidr_block: String,
    #[serde(default)]
    default_for_az: bool,
    #[serde(default)]
    map_public_ip_on_launch: bool,
}

/// Reads `DescribeSubnets`.
pub(super) fn subnets(xml: &str) -> Result<Vec<Subnet>, AwsError> {
    let answer: Subnets = parse(xml)?;
    let read = |it: SubnetItem| Subnet {
        id: it.subnet_id,
        vpc: it.vpc_id,
        zone: it.availability_zone,
        zone_id: it.availability_zone_id,
        cidr: it.cidr_block,
        default_for_zone: it.default_for_az,
        public_ips: it.map_public_ip_on_launch,
    };
    Ok(answer.subnet_set.items.into_iter().map(read).collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vpcs {
    #[serde(default)]
    vpc_set: List<VpcItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VpcItem {
    vpc_id: String,
    cidr_block: String,
}

/// Reads a VPC's range out of `DescribeVpcs`.
pub(super) fn vpc_cidr(xml: &str, vpc: &str) -> Result<Option<String>, AwsError> {
    let answer: Vpcs = parse(xml)?;
    let found = answer.vpc_set.items.into_iter().find(|it| it.vpc_id == vpc);
    Ok(found.map(|it| it.cidr_block))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroups {
    #[serde(default)]
    security_group_info: List<SecurityGroupItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroupItem {
    group_id: String,
    group_name: String,
    #[serde(default)]
    vpc_id: String,
    #[serde(default)]
    ip_permissions: List<IpPermission>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IpPermission {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(default)]
    ip_ranges: List<IpRange>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IpRange {
    cidr_ip: Option<String>,
}

/// Reads the ingress rules of the groups with these ids out of `DescribeSecurityGroups`.
pub(super) fn ingress(xml: &str, groups: &[String]) -> Result<Vec<IngressRule>, AwsError> {
    let answer: SecurityGroups = parse(xml)?;
    let port = |port: Option<i32>| u16::try_from(port?).ok();
    let rule = |it: IpPermission| IngressRule {
        ports: port(it.from_port).zip(port(it.to_port)),
        protocol: it.ip_protocol,
        ranges: it
            .ip_ranges
            .items
            .into_iter()
            .filter_map(|range| range.cidr_ip)
            .collect(),
    };
    Ok(answer
        .security_group_info
        .items
        .into_iter()
        .filter(|group| groups.contains(&group.group_id))
        .flat_map(|group| group.ip_permissions.items)
        .map(rule)
        .collect())
}

/// Reads `DescribeSecurityGroups`.
pub(super) fn security_groups(xml: &str) -> Result<Vec<SecurityGroup>, AwsError> {
    let answer: SecurityGroups = parse(xml)?;
    let read = |it: SecurityGroupItem| SecurityGroup {
        id: it.group_id,
        name: it.group_name,
        vpc: it.vpc_id,
    };
    Ok(answer
        .security_group_info
        .items
        .into_iter()
        .map(read)
        .collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyPairs {
    #[serde(default)]
    key_set: List<KeyPairItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyPairItem {
    key_name: String,
}

/// Reads `DescribeKeyPairs`.
pub(super) fn key_pairs(xml: &str) -> Result<Vec<String>, AwsError> {
    let answer: KeyPairs = parse(xml)?;
    Ok(answer
        .key_set
        .items
        .into_iter()
        .map(|it| it.key_name)
        .collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceTypes {
    #[serde(default)]
    instance_type_set: List<InstanceTypeItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceTypeItem {
    instance_type: String,
    hypervisor: Option<String>,
    #[serde(default)]
    supported_virtualization_types: List<String>,
    #[serde(default)]
    supported_boot_modes: List<String>,
    #[serde(default)]
    processor_info: ProcessorInfo,
    #[serde(default)]
    network_info: NetworkInfo,
    #[serde(default)]
    v_cpu_info: VCpuInfo,
    #[serde(default)]
    memory_info: MemoryInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VCpuInfo {
    default_v_cpus: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MemoryInfo {
    size_in_mi_b: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessorInfo {
    #[serde(default)]
    supported_architectures: List<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInfo {
    ena_support: Option<String>,
}

/// Reads the type of this name out of `DescribeInstanceTypes`.
pub(super) fn instance_type(xml: &str, name: &str) -> Result<Option<InstanceType>, AwsError> {
    let answer: InstanceTypes = parse(xml)?;
    let found = answer
        .instance_type_set
        .items
        .into_iter()
        .find(|it| it.instance_type == name);
    Ok(found.map(|it| {
        // Bare metal has no hypervisor, and Nitro's devices.
        let nitro = it.hypervisor.as_deref() != Some("xen");
        let architectures = it.processor_info.supported_architectures.items;
        let mut boot_modes = it.supported_boot_modes.items;
        if !nitro {
            // Whatever a list of types says: Xen's guests find no UEFI.
            boot_modes = vec!["legacy-bios".to_owned()];
        } else if boot_modes.is_empty() {
            boot_modes.push("uefi".to_owned());
            if architectures.iter().any(|it| it == "x86_64") {
                boot_modes.push("legacy-bios".to_owned());
            }
        }
        InstanceType {
            name: it.instance_type,
            nitro,
            architectures,
            boot_modes,
            virtualizations: it.supported_virtualization_types.items,
            ena_required: it.network_info.ena_support.as_deref() == Some("required"),
            cpus: it.v_cpu_info.default_v_cpus.unwrap_or(1),
            memory_mib: it.memory_info.size_in_mi_b.unwrap_or(1024),
        }
    }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceProfileAnswer {
    get_instance_profile_result: InstanceProfileResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceProfileResult {
    instance_profile: InstanceProfileItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceProfileItem {
    instance_profile_name: String,
    instance_profile_id: String,
    arn: String,
    #[serde(default)]
    roles: Roles,
}

#[derive(Debug, Default, Deserialize)]
struct Roles {
    #[serde(default)]
    member: Vec<serde::de::IgnoredAny>,
}

/// Reads `GetInstanceProfile`.
pub(super) fn profile(xml: &str) -> Result<Profile, AwsError> {
    let answer: InstanceProfileAnswer = parse(xml)?;
    let it = answer.get_instance_profile_result.instance_profile;
    Ok(Profile {
        name: it.instance_profile_name,
        arn: it.arn,
        id: it.instance_profile_id,
        has_role: !it.roles.member.is_empty(),
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagsAnswer {
    #[serde(default)]
    tag_set: List<TagItem>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagItem {
    key: String,
    resource_id: String,
    resource_type: String,
    #[serde(default)]
    value: String,
}

/// Reads `DescribeTags`, and the token of its next page.
pub(super) fn tags(xml: &str) -> Result<(Vec<ResourceTag>, Option<String>), AwsError> {
    let answer: TagsAnswer = parse(xml)?;
    let read = |it: TagItem| ResourceTag {
        resource: it.resource_id,
        key: it.key,
        value: it.value,
        kind: it.resource_type,
    };
    Ok((
        answer.tag_set.items.into_iter().map(read).collect(),
        answer.next_token.filter(|token| !token.is_empty()),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ec2Errors {
    errors: ErrorList,
}

/// Also the root of IAM's, whose `<Error>` has no list around it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorList {
    error: ErrorItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorItem {
    code: String,
    #[serde(default)]
    message: String,
}

/// The error that LocalStack answered.
pub(super) fn error(status: StatusCode, body: &str) -> AwsError {
    let item = parse::<Ec2Errors>(body)
        .map(|it| it.errors.error)
        .or_else(|_| parse::<ErrorList>(body).map(|it| it.error));
    match item {
        Ok(item) if status.is_client_error() => {
            AwsError::new(item.code, item.message).with_status(status.as_u16())
        }
        Ok(item) => AwsError::unavailable(format!(
            "LocalStack: {status}: {}: {}",
            item.code, item.message
        )),
        Err(_) => AwsError::unavailable(format!("LocalStack: {status}")),
    }
}

/// What LocalStack answers, in XML.
///
/// # Errors
/// It is something else.
pub(super) fn parse<'a, T: Deserialize<'a>>(xml: &'a str) -> Result<T, AwsError> {
    quick_xml::de::from_str(xml)
        .map_err(|error| AwsError::unavailable(format!("LocalStack's answer: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<?xml version="1.0" encoding="utf-8"?>"#;

    #[test]
    fn networks() {
        let xml = format!(
            "{HEAD}<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15\">\
             <subnetSet><item><availabilityZoneId>use1-az6</availabilityZoneId><tagSet/>\
             <privateDnsNameOptionsOnLaunch><hostnameType>ip-name</hostnameType>\
             </privateDnsNameOptionsOnLaunch><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
             <cidrBlock>172.31.0.0/20</cidrBlock><availabilityZone>us-east-1a</availabilityZone>\
             <defaultForAz>true</defaultForAz><mapPublicIpOnLaunch>true</mapPublicIpOnLaunch></item>\
             <item><subnetId>subnet-2</subnetId><vpcId>vpc-2</vpcId><cidrBlock>10.0.0.0/24</cidrBlock>\
             <availabilityZone>us-east-1b</availabilityZone><defaultForAz>false</defaultForAz></item>\
             </subnetSet></DescribeSubnetsResponse>"
        );
        let found = subnets(&xml).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].default_for_zone && found[0].public_ips);
        assert_eq!(found[1].cidr, "10.0.0.0/24");
        assert!(!found[1].default_for_zone && found[1].zone_id.is_none());

        let xml = format!(
            "{HEAD}<R><vpcSet><item><vpcId>vpc-1</vpcId><cidrBlock>172.31.0.0/16</cidrBlock>\
             <cidrBlockAssociationSet><item><cidrBlock>172.31.0.0/16</cidrBlock></item>\
             </cidrBlockAssociationSet></item></vpcSet></R>"
        );
        let cidr = |vpc| vpc_cidr(&xml, vpc).unwrap();
        assert_eq!(cidr("vpc-1").as_deref(), Some("172.31.0.0/16"));
        assert_eq!(cidr("vpc-2"), None);

        let xml = format!(
            "{HEAD}<R><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissionsEgress><item>\
             <ipProtocol>-1</ipProtocol></item></ipPermissionsEgress><tagSet/><vpcId>vpc-1</vpcId>\
             <groupName>default</groupName></item></securityGroupInfo></R>"
        );
        assert_eq!(security_groups(&xml).unwrap()[0].name, "default");
        assert!(key_pairs("<R><keySet/></R>").unwrap().is_empty());
        assert!(key_pairs("<R><keySet>").is_err());
    }

    #[test]
    fn instance_types() {
        let xml = |hypervisor: &str, modes: &str, ena: &str| {
            format!(
                "<R><instanceTypeSet><item><instanceType>x</instanceType>{hypervisor}\
                 <supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes>\
                 <processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures>\
                 </processorInfo><networkInfo><enaSupport>{ena}</enaSupport></networkInfo>\
                 <supportedBootModes>{modes}</supportedBootModes></item></instanceTypeSet></R>"
            )
        };
        let both = "<item>legacy-bios</item><item>uefi</item>";
        let xen = "<hypervisor>xen</hypervisor>";
        let nitro = "<hypervisor>nitro</hypervisor>";
        for (xml, is_nitro, modes, ena) in [
            (
                xml(xen, both, "unsupported"),
                false,
                vec!["legacy-bios"],
                false,
            ),
            (
                xml(nitro, both, "required"),
                true,
                vec!["legacy-bios", "uefi"],
                true,
            ),
            (
                xml(nitro, "", "required"),
                true,
                vec!["uefi", "legacy-bios"],
                true,
            ),
            (
                xml("", "<item>legacy-bios</item>", "required"),
                true,
                vec!["legacy-bios"],
                true,
            ),
        ] {
            let it = instance_type(&xml, "x").unwrap().unwrap();
            assert_eq!((it.nitro, it.ena_required), (is_nitro, ena), "{xml}");
            assert_eq!(it.boot_modes, modes, "{xml}");
            assert!(instance_type(&xml, "y").unwrap().is_none());
        }
    }

    #[test]
    fn processors_and_memory_are_the_types() {
        let xml = |more: &str| {
            format!(
                "<R><instanceTypeSet><item><instanceType>x</instanceType>{more}</item>\
                 </instanceTypeSet></R>"
            )
        };
        let told = "<vCpuInfo><defaultVCpus>16</defaultVCpus><defaultCores>8</defaultCores>\
                    <defaultThreadsPerCore>2</defaultThreadsPerCore></vCpuInfo>\
                    <memoryInfo><sizeInMiB>65536</sizeInMiB></memoryInfo>";
        for (more, has) in [(told, (16, 65_536)), ("", (1, 1024))] {
            let it = instance_type(&xml(more), "x").unwrap().unwrap();
            assert_eq!((it.cpus, it.memory_mib), has, "{more}");
        }
    }

    #[test]
    fn profiles_and_their_roles() {
        let xml = |roles: &str| {
            format!(
                "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile>\
                 <Path>/</Path><InstanceProfileName>p</InstanceProfileName>\
                 <InstanceProfileId>AIPA1</InstanceProfileId><Arn>arn:p</Arn>{roles}<Tags/>\
                 </InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
            )
        };
        let role = "<Roles><member><RoleName>r</RoleName></member></Roles>";
        assert!(profile(&xml(role)).unwrap().has_role);
        assert!(!profile(&xml("<Roles/>")).unwrap().has_role);
    }

    #[test]
    fn errors_pass_on() {
        let ec2 = format!(
            "{HEAD}<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>m</Message>\
             </Error></Errors><RequestID>r</RequestID></Response>"
        );
        let iam = "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code>\
                   <Message>m</Message><message>m</message></Error></ErrorResponse>";
        for (status, body, code, says) in [
            (
                StatusCode::BAD_REQUEST,
                ec2.as_str(),
                "InvalidVpcID.NotFound",
                400,
            ),
            (StatusCode::NOT_FOUND, iam, "NoSuchEntity", 404),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                iam,
                "ServiceUnavailable",
                503,
            ),
            (StatusCode::BAD_REQUEST, "<html>", "ServiceUnavailable", 503),
        ] {
            let error = error(status, body);
            assert_eq!((&*error.code, error.status), (code, says), "{body}");
        }
    }
}
