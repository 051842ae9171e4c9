//! An account of the emulator's, with a vault's bucket.

use super::image::Image;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm};
use aws_sdk_ec2::types::SnapshotState;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_tests::Emulator;
use emulator_tests::admin::Admin;
use emulator_tests::gateway::fault::{Fault, Refused, Rule, When};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uploader::aws::Session;
use uploader::blocks::{BlockPlan, Limits, PutError, put_blocks};
use uploader::vault::{Names, Vault};

pub const LIMITS: Limits = Limits {
    workers: 16,
    memory: 16 << 20,
};

pub struct Place {
    pub vault: Vault,
    pub admin: Admin,
}

impl Place {
    /// Clients as `Session::connect` makes them, with keys that are not in the environment.
    pub async fn new(emulator: &Emulator) -> Place {
        let account = emulator.account_of_its_own().account().to_string();
        let keys = aws_sdk_s3::config::Credentials::new(&account, "secret", None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .credentials_provider(keys)
            .region(Region::new("us-east-1"))
            .endpoint_url(emulator.plain_endpoint())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let arn = format!("arn:aws:iam::{account}:root");
        let session = Session::new(config, account, "us-east-1".into(), "aws".into(), arn);
        let vault = Vault::new(session, "image-vault").unwrap();
        vault.bucket().create_bucket().send().await.unwrap();
        let admin = Admin::new(emulator.parts().address);
        Place { vault, admin }
    }

    /// Stores an image's pack.
    pub async fn store(&self, image: &Image) {
        let key = Names::pack_key(&image.manifest.packs[0].digest);
        self.vault
            .bucket()
            .put_object()
            .key(key)
            .body(image.pack.clone().into())
            .send()
            .await
            .unwrap();
    }

    /// Starts a snapshot of 1 GiB.
    pub async fn start(&self, parent: Option<&str>) -> String {
        let started = self
            .vault
            .session
            .ebs
            .start_snapshot()
            .volume_size(1)
            .set_parent_snapshot_id(parent.map(str::to_owned))
            .send()
            .await
            .unwrap();
        started.snapshot_id.unwrap()
    }

    /// Puts a plan's blocks.
    pub async fn put(
        &self,
        image: &Image,
        plan: &BlockPlan,
        snapshot: &str,
    ) -> Result<(), PutError> {
        self.put_until(image, plan, snapshot, &|_| {}, &CancellationToken::new())
            .await
    }

    pub async fn put_until(
        &self,
        image: &Image,
        plan: &BlockPlan,
        snapshot: &str,
        progress: &(dyn Fn(u64) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<(), PutError> {
        let work = put_blocks(
            &self.vault,
            &image.manifest,
            plan,
            snapshot,
            &LIMITS,
            progress,
            cancel,
        );
        // Nothing here takes long, so what hangs is told.
        let within = Duration::from_secs(100);
        tokio::time::timeout(within, work).await.expect("it hangs")
    }

    /// Completes a snapshot: the service agrees with the plan on what is in it.
    pub async fn complete(&self, plan: &BlockPlan, snapshot: &str) {
        self.vault
            .session
            .ebs
            .complete_snapshot()
            .snapshot_id(snapshot)
            .changed_blocks_count(i32::try_from(plan.puts.len()).unwrap())
            .checksum(STANDARD.encode(plan.linear_checksum))
            .checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256)
            .checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear)
            .send()
            .await
            .unwrap();
        for _ in 0..200 {
            let found = self
                .vault
                .session
                .ec2
                .describe_snapshots()
                .snapshot_ids(snapshot);
            let found = found.send().await.unwrap();
            if found.snapshots()[0].state() == Some(&SnapshotState::Completed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{snapshot} is not completed");
    }

    /// Lets requests of this account fail.
    pub async fn fault(&self, service: &str, operation: &str, when: When, fault: Fault) {
        self.faults(service, operation, when, None, fault).await;
    }

    /// The same, so often at most.
    pub async fn faults(
        &self,
        service: &str,
        operation: &str,
        when: When,
        limit: Option<u64>,
        fault: Fault,
    ) {
        let rule = Rule {
            service: service.into(),
            operation: Some(operation.into()),
            account: Some(self.vault.session.account.clone()),
            resource: None,
            when,
            limit,
            fault,
        };
        self.admin.add_fault(&rule).await.unwrap();
    }

    /// No more faults; says how often they fired.
    pub async fn fired(&self) -> Vec<u64> {
        let fired = self.admin.faults().await.unwrap();
        self.admin.clear_faults().await.unwrap();
        fired.iter().map(|it| it.fired).collect()
    }
}

/// A refusal for a reason of the EBS direct API.
pub fn reason(reason: &str) -> Fault {
    Fault::Error(Refused {
        reason: Some(reason.into()),
        ..Refused::default()
    })
}

pub fn status(status: u16) -> Fault {
    Fault::Error(Refused {
        status: Some(status),
        ..Refused::default()
    })
}
