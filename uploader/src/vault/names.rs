//! What a vault's parts are called. All of it follows from account, region and the vault's name, so
//! nobody has to keep or pass on where things are, and nothing in a message can point elsewhere.

use crate::image::ImageDigest;

/// A vault's name where none is given.
pub const DEFAULT_NAME: &str = "image-vault";
/// Longest name of a vault: with account and region it has to be a bucket's name (63 bytes) and a
/// role's (64).
const MAX_NAME: usize = 24;

/// The name of a vault can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't be a vault's name: 3 to {MAX_NAME} lower-case letters, digits and single hyphens, \
     a letter first, no hyphen last"
)]
pub struct NameError(pub String);

/// The names of one vault's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The vault's own name.
    pub vault: String,
    /// The account that owns it.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// `aws`, or another partition.
    pub partition: String,
}

impl Names {
    /// Those of the vault `vault`.
    ///
    /// # Errors
    /// It can't be a name.
    pub fn new(
        vault: &str,
        account: &str,
        region: &str,
        partition: &str,
    ) -> Result<Names, NameError> {
        let bytes = vault.as_bytes();
        let valid = (3..=MAX_NAME).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && !vault.ends_with('-')
            && !vault.contains("--")
            && bytes
                .iter()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'-');
        if !valid {
            return Err(NameError(vault.to_owned()));
        }
        Ok(Names {
            vault: vault.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            partition: partition.to_owned(),
        })
    }

    /// The bucket.
    pub fn bucket(&self) -> String {
        format!("{}-{}-{}", self.vault, self.account, self.region)
    }

    /// The alias of the key that encrypts bucket, queues and, unless told otherwise, snapshots.
    pub fn encryption_alias(&self) -> String {
        format!("alias/{}", self.vault)
    }

    /// The alias of the key that signs requests.
    pub fn signing_alias(&self) -> String {
        format!("alias/{}-requests", self.vault)
    }

    /// The queue of requests.
    pub fn queue(&self) -> String {
        format!("{}-requests", self.vault)
    }

    /// The queue of requests that can't succeed.
    pub fn dead_letter_queue(&self) -> String {
        format!("{}-failed", self.vault)
    }

    /// The converter's role, and its instance profile. IAM is the same in all regions.
    pub fn role(&self) -> String {
        format!("{}-converter-{}", self.vault, self.region)
    }

    /// A queue's ARN.
    pub fn queue_arn(&self, queue: &str) -> String {
        let Names {
            partition,
            region,
            account,
            ..
        } = self;
        format!("arn:{partition}:sqs:{region}:{account}:{queue}")
    }

    /// The converter's role's ARN.
    pub fn role_arn(&self) -> String {
        format!(
            "arn:{}:iam::{}:role/{}",
            self.partition,
            self.account,
            self.role()
        )
    }

    /// The bucket's ARN.
    pub fn bucket_arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition, self.bucket())
    }

    /// Where a pack is in the bucket. `digest` is the manifest's: 64 hexadecimal digits.
    pub fn pack_key(digest: &str) -> String {
        format!("packs/{digest}")
    }

    /// Where an image's manifest is.
    pub fn manifest_key(name: &str, digest: &ImageDigest) -> String {
        format!("images/{name}/{digest}.json")
    }

    /// Where what became of a request is written down.
    pub fn request_key(id: &str) -> String {
        format!("requests/{id}.json")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn longest_names_fit_where_they_go() {
        let names = Names::new(
            &"v".repeat(MAX_NAME),
            "123456789012",
            "ap-southeast-99",
            "aws",
        );
        let names = names.unwrap();
        assert!(names.bucket().len() <= 63);
        assert!(names.role().len() <= 64);
    }

    #[test]
    fn what_is_no_bucket_name_is_refused() {
        for bad in [
            "", "ab", "Vault", "1st", "v-", "a--b", "a_b", "a.b", "ä-vault",
        ] {
            assert!(Names::new(bad, "1", "r", "aws").is_err(), "{bad}");
        }
    }
}
