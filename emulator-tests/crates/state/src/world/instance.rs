//! An instance's record. What volumes it has is in the volumes' records.

use super::Tags;
use emulator_protocol::{Account, Region};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `i-` and 17 hexadecimal digits.
    pub id: String,
    /// Who owns it.
    pub owner: Account,
    /// Where it is.
    pub region: Region,
    /// What it was launched from.
    pub image: String,
    /// When it was launched, or started last.
    #[serde(with = "time::serde::rfc3339")]
    pub launched: OffsetDateTime,
    /// Where it stands.
    pub state: InstanceState,
    /// The request that launched it: `r-` and 17 hexadecimal digits.
    pub reservation: String,
    /// Its number in that request.
    pub launch_index: u32,
    /// Makes `RunInstances` idempotent: the token, and a digest of the request.
    pub client_token: Option<(String, String)>,
    /// `t3.micro`.
    pub instance_type: String,
    /// Whether the type is built on the Nitro system.
    pub nitro: bool,
    /// The type's virtual processors.
    #[serde(default)]
    pub cpus: u32,
    /// The type's memory.
    #[serde(default)]
    pub memory_mib: u32,
    /// Whether a machine runs it. If none does, its states pass in time.
    #[serde(default)]
    pub booted: bool,
    /// `x86_64`, of the image.
    pub architecture: String,
    /// `hvm`, of the image.
    pub virtualization: String,
    /// The image's boot mode.
    pub boot_mode: Option<String>,
    /// `uefi` or `legacy-bios`: what it boots with on this type.
    pub current_boot_mode: String,
    /// Enhanced networking by the Elastic Network Adapter.
    pub ena: bool,
    /// `simple`.
    pub sriov: Option<String>,
    /// `v2.0`.
    pub tpm: Option<String>,
    /// Kernel of a paravirtual image.
    pub kernel: Option<String>,
    /// RAM disk of a paravirtual image.
    pub ramdisk: Option<String>,
    /// `/dev/xvda`.
    pub root_device: String,
    /// A key pair's name.
    pub key_name: Option<String>,
    /// Base64, as it was sent.
    pub user_data: Option<String>,
    /// The role that it may take on.
    pub profile: Option<InstanceProfile>,
    /// The instance metadata service.
    pub metadata: MetadataOptions,
    /// `stop` or `terminate`: what its own power-off does.
    pub shutdown_behavior: String,
    /// `disableApiTermination`.
    pub termination_protection: bool,
    /// `disableApiStop`.
    pub stop_protection: bool,
    /// Detailed monitoring.
    pub monitoring: bool,
    /// `ebsOptimized`.
    pub ebs_optimized: bool,
    /// `standard` or `unlimited`, of burstable types.
    pub cpu_credits: Option<String>,
    /// Its primary network interface.
    pub interface: Interface,
    /// Tags.
    pub tags: Tags,
}

/// Where an instance stands. What lasts a while ends at the time in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// `pending`, until its machine runs.
    Booting {
        /// Since when it waits.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Whether it was launched just now, not started again.
        new: bool,
    },
    /// `pending`, and `running` from this time on.
    Running {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// `stopping`, until its machine has ended.
    PoweringOff {
        /// Since when it is.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Who stopped it.
        reason: Reason,
    },
    /// `stopping`, and `stopped` from this time on.
    Stopped {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Who stopped it.
        reason: Reason,
    },
    /// `shutting-down`, until its machine has ended.
    Ending {
        /// Since when it is.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Who terminated it.
        reason: Reason,
    },
    /// `shutting-down`, and `terminated` from this time on.
    Terminated {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Who terminated it.
        reason: Reason,
    },
    /// `pending`, and `terminated` from this time on: it could not be started.
    Failed {
        /// When it is.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// Why.
        reason: Reason,
    },
}

/// Why an instance is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `Client.UserInitiatedShutdown`.
    pub code: String,
    /// `User initiated shutdown`.
    pub message: String,
    /// For the older member `reason`: `User initiated (2026-01-01 00:00:00 GMT)`.
    pub transition: String,
}

/// A state as answers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateName {
    /// `16`.
    pub code: u8,
    /// `running`.
    pub name: &'static str,
}

impl StateName {
    /// Not yet running.
    pub const PENDING: Self = Self::new(0, "pending");
    /// Running.
    pub const RUNNING: Self = Self::new(16, "running");
    /// About to be terminated.
    pub const SHUTTING_DOWN: Self = Self::new(32, "shutting-down");
    /// Gone for good.
    pub const TERMINATED: Self = Self::new(48, "terminated");
    /// About to be stopped.
    pub const STOPPING: Self = Self::new(64, "stopping");
    /// Can be started again.
    pub const STOPPED: Self = Self::new(80, "stopped");

    const fn new(code: u8, name: &'static str) -> Self {
        Self { code, name }
    }
}

impl Instance {
    /// Whether there is a machine for it, or one is about to be started.
    pub fn has_machine(&self) -> bool {
        self.booted
            && matches!(
                self.state,
                InstanceState::Booting { .. }
                    | InstanceState::Running { .. }
                    | InstanceState::PoweringOff { .. }
                    | InstanceState::Ending { .. }
            )
    }
}

impl InstanceState {
    /// The state as answers say it at this time.
    pub fn name(&self, now: OffsetDateTime) -> StateName {
        let (at, before, after) = match self {
            Self::Booting { .. } => return StateName::PENDING,
            Self::PoweringOff { .. } => return StateName::STOPPING,
            Self::Ending { .. } => return StateName::SHUTTING_DOWN,
            Self::Running { at } => (at, StateName::PENDING, StateName::RUNNING),
            Self::Stopped { at, .. } => (at, StateName::STOPPING, StateName::STOPPED),
            Self::Terminated { at, .. } => (at, StateName::SHUTTING_DOWN, StateName::TERMINATED),
            Self::Failed { at, .. } => (at, StateName::PENDING, StateName::TERMINATED),
        };
        if now >= *at { after } else { before }
    }

    /// When it became, or becomes, what it is.
    pub fn since(&self) -> OffsetDateTime {
        match self {
            Self::Running { at }
            | Self::Stopped { at, .. }
            | Self::Terminated { at, .. }
            | Self::Failed { at, .. } => *at,
            Self::Booting { since, .. }
            | Self::PoweringOff { since, .. }
            | Self::Ending { since, .. } => *since,
        }
    }

    /// Why it stopped or ended; nothing of one that is still `pending`.
    pub fn reason(&self, now: OffsetDateTime) -> Option<&Reason> {
        match self {
            Self::Running { .. } | Self::Booting { .. } => None,
            Self::Failed { at, .. } if now < *at => None,
            Self::Stopped { reason, .. }
            | Self::PoweringOff { reason, .. }
            | Self::Ending { reason, .. }
            | Self::Terminated { reason, .. }
            | Self::Failed { reason, .. } => Some(reason),
        }
    }

    /// Whether it is or will be gone.
    pub fn ends(&self) -> bool {
        matches!(
            self,
            Self::Ending { .. } | Self::Terminated { .. } | Self::Failed { .. }
        )
    }

    /// Whether it is gone at this time.
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.name(now) == StateName::TERMINATED
    }
}

/// An IAM instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// `arn:aws:iam::ACCOUNT:instance-profile/NAME`.
    pub arn: String,
    /// `AIPA…`.
    pub id: String,
}

/// How the instance metadata service of an instance answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// `required`: IMDSv2 only; or `optional`.
    pub http_tokens: String,
    /// 1 to 64.
    pub hop_limit: u8,
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// `enabled` or `disabled`.
    pub ipv6: String,
    /// `enabled` or `disabled`.
    pub tags: String,
}

/// The primary network interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-` and 17 hexadecimal digits.
    pub id: String,
    /// `eni-attach-` and 17 hexadecimal digits.
    pub attachment: String,
    /// `0a:…`.
    pub mac: String,
    /// `subnet-…`.
    pub subnet: String,
    /// `vpc-…`.
    pub vpc: String,
    /// `us-east-1a`.
    pub zone: String,
    /// `use1-az1`.
    pub zone_id: Option<String>,
    /// Out of the subnet's range.
    pub private_ip: std::net::Ipv4Addr,
    /// Whether it has a public address while it runs.
    pub public: bool,
    /// The public address, while there is one.
    pub public_ip: Option<std::net::Ipv4Addr>,
    /// Security groups: id and name.
    pub groups: Vec<(String, String)>,
    /// At most 255 characters.
    pub description: String,
    /// Whether it goes when the instance does.
    pub delete_on_termination: bool,
    /// Whether packets that are not for it are dropped.
    pub source_dest_check: bool,
    /// Tags.
    pub tags: Tags,
}
