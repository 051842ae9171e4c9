//! Which parameters `RunInstances` takes. One that would be ignored is refused.

use emulator_protocol::{AwsError, Params};

/// Those that have an effect, with all that is below them.
const KEPT: [&str; 27] = [
    "Action",
    "Version",
    "BlockDeviceMapping",
    "ClientToken",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "DryRun",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "KeyName",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterface",
    "Placement.AvailabilityZone",
    "Placement.AvailabilityZoneId",
    "PrivateIpAddress",
    "SecurityGroup",
    "SecurityGroupId",
    "SubnetId",
    "TagSpecification",
    "UserData",
];

/// Those that have only the value that they have anyway.
const DEFAULTS: [(&str, &str); 12] = [
    (
        "CapacityReservationSpecification.CapacityReservationPreference",
        "open",
    ),
    ("EnablePrimaryIpv6", "false"),
    ("EnclaveOptions.Enabled", "false"),
    ("HibernationOptions.Configured", "false"),
    ("InstanceMarketOptions.MarketType", "on-demand"),
    ("Ipv6AddressCount", "0"),
    ("MaintenanceOptions.AutoRecovery", "default"),
    ("NetworkPerformanceOptions.BandwidthWeighting", "default"),
    ("Placement.Tenancy", "default"),
    (
        "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord",
        "false",
    ),
    (
        "PrivateDnsNameOptions.EnableResourceNameDnsARecord",
        "false",
    ),
    ("PrivateDnsNameOptions.HostnameType", "ip-name"),
];

/// Those that EC2 has and this emulator has not.
const ABSENT: [&str; 21] = [
    "AdditionalInfo",
    "CapacityReservationSpecification",
    "CpuOptions",
    "ElasticGpuSpecification",
    "ElasticInferenceAccelerator",
    "EnablePrimaryIpv6",
    "EnclaveOptions",
    "HibernationOptions",
    "InstanceMarketOptions",
    "Ipv6Address",
    "Ipv6AddressCount",
    "KernelId",
    "LaunchTemplate",
    "LicenseSpecification",
    "MaintenanceOptions",
    "NetworkPerformanceOptions",
    "Operator",
    "Placement",
    "PrivateDnsNameOptions",
    "RamdiskId",
    "SecondaryInterface",
];

/// Refuses a parameter that would have no effect.
///
/// # Errors
/// `UnsupportedOperation` for one that EC2 knows, `UnknownParameter`.
pub(super) fn check(params: &Params) -> Result<(), AwsError> {
    for (name, value) in params.iter() {
        let below = |known: &str| {
            name.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // A signature in the query string.
        if KEPT.iter().any(|known| below(known))
            || DEFAULTS.contains(&(name, value))
            || name.starts_with("X-Amz-")
        {
            continue;
        }
        return Err(if ABSENT.iter().any(|known| below(known)) {
            AwsError::new(
                "UnsupportedOperation",
                format!("This emulator does not support the parameter {name} with '{value}'."),
            )
        } else {
            AwsError::new(
                "UnknownParameter",
                format!("The parameter {name} is not recognized"),
            )
        });
    }
    Ok(())
}
