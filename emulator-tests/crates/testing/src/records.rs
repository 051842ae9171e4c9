//! Callers and records.

use emulator_protocol::{Account, Caller, Region};
use emulator_state::layers::Blank;
use emulator_state::world::{
    Instance, InstanceProfile, InstanceState, Interface, MetadataOptions, Volume,
};
use time::OffsetDateTime;

/// A caller of account `111111111111` in `us-east-1`.
pub fn caller() -> Caller {
    caller_of("111111111111", "us-east-1")
}

/// A caller of this account in this region.
pub fn caller_of(account: &str, region: &str) -> Caller {
    Caller {
        account: Account::parse(account).unwrap(),
        region: Region::parse(region).unwrap(),
        access_key: account.to_owned(),
        secure: true,
    }
}

/// A profile for an instance, of those that [`crate::TestSts`] knows or not.
pub fn profile(name: &str) -> InstanceProfile {
    InstanceProfile {
        arn: format!("arn:aws:iam::111111111111:instance-profile/path/{name}"),
        id: "AIPA1".to_owned(),
    }
}

/// An instance that runs, in the caller's region, without volumes.
pub fn instance(caller: &Caller, id: &str, now: OffsetDateTime) -> Instance {
    let some = str::to_owned;
    Instance {
        id: some(id),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        image: some("ami-01111111111111111"),
        launched: now,
        state: InstanceState::Running { at: now },
        reservation: some("r-01111111111111111"),
        launch_index: 0,
        client_token: None,
        instance_type: some("t3.micro"),
        nitro: true,
        cpus: 2,
        memory_mib: 1024,
        booted: false,
        architecture: some("x86_64"),
        virtualization: some("hvm"),
        boot_mode: None,
        current_boot_mode: some("legacy-bios"),
        ena: true,
        sriov: None,
        tpm: None,
        kernel: None,
        ramdisk: None,
        root_device: some("/dev/xvda"),
        key_name: None,
        user_data: None,
        profile: None,
        metadata: MetadataOptions {
            http_tokens: some("optional"),
            hop_limit: 1,
            http_endpoint: some("enabled"),
            ipv6: some("disabled"),
            tags: some("disabled"),
        },
        shutdown_behavior: some("stop"),
        termination_protection: false,
        stop_protection: false,
        monitoring: false,
        ebs_optimized: false,
        cpu_credits: None,
        interface: Interface {
            id: some("eni-01111111111111111"),
            attachment: some("eni-attach-01111111111111111"),
            mac: some("0a:00:00:00:00:01"),
            subnet: some("subnet-01111111111111111"),
            vpc: some("vpc-01111111111111111"),
            zone: format!("{}a", caller.region),
            zone_id: None,
            private_ip: std::net::Ipv4Addr::new(172, 31, 0, 4),
            public: false,
            public_ip: None,
            groups: Vec::new(),
            description: String::new(),
            delete_on_termination: true,
            source_dest_check: true,
            tags: Default::default(),
        },
        tags: Default::default(),
    }
}

/// A volume of a GiB without blocks, in the caller's region.
pub fn volume(caller: &Caller, id: &str, now: OffsetDateTime) -> Volume {
    Volume {
        id: id.to_owned(),
        owner: caller.account.clone(),
        region: caller.region.clone(),
        zone: format!("{}a", caller.region),
        size: 1,
        kind: "gp3".to_owned(),
        iops: Some(3_000),
        throughput: Some(125),
        encrypted: false,
        kms_key: None,
        snapshot: None,
        layers: Vec::new(),
        live: None,
        blank: Blank::Zero,
        full_size: 0,
        created: now,
        available: now,
        attachment: None,
        modification: None,
        auto_enable_io: false,
        tags: Default::default(),
        client_token: None,
    }
}
