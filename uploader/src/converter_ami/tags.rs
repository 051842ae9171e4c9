//! Tags of a converter's AMI, its snapshot and its instances, and names.

use crate::image::ImageDigest;
use crate::vault::Names;

/// The vault's name: on the AMI, its snapshot, and on instances. It is not the tag that the
/// converter's role asks for in snapshots (`image-vault:vault`): a converter can't write or delete
/// what the next one boots from.
pub const CONVERTER: &str = "uploader:converter";
/// The image's digest.
pub const DIGEST: &str = "uploader:converter-digest";
/// The program's version.
pub const VERSION: &str = "uploader:converter-version";

/// Name of the converter's image, which is the same for all vaults.
pub const IMAGE: &str = "uploader-converter";

/// An AMI's name. `random` makes it one that nobody has taken, by chance or in advance.
pub fn ami_name(names: &Names, digest: &ImageDigest, random: [u8; 4]) -> String {
    let digest = digest.to_string();
    let (first, _) = digest.split_at(8);
    format!("{}{first}-{}", ami_prefix(names), hex::encode(random))
}

/// What the names of a vault's converter AMIs begin with.
pub fn ami_prefix(names: &Names) -> String {
    format!("{IMAGE}-{}-", names.vault)
}

/// Whether a name is one that [`ami_name`] gives. Unlike tags, a name can't be changed later.
pub fn is_ami_name(names: &Names, name: &str) -> bool {
    let hex = |text: &str| text.len() == 8 && text.bytes().all(|it| it.is_ascii_hexdigit());
    name.strip_prefix(&ami_prefix(names))
        .and_then(|it| it.split_once('-'))
        .is_some_and(|(digest, random)| hex(digest) && hex(random))
}

/// A snapshot's description, by which one that was left behind is told from others.
pub fn snapshot_description(names: &Names, digest: &ImageDigest) -> String {
    format!("{}{digest}", snapshot_prefix(names))
}

/// What such a description begins with; the digest follows.
pub fn snapshot_prefix(names: &Names) -> String {
    format!("uploader: converter of {}, image ", names.vault)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_vault_only() {
        let names = |vault| Names::new(vault, "1", "r", "aws").unwrap();
        let digest: ImageDigest = "ab".repeat(32).parse().unwrap();
        let name = ami_name(&names("vault"), &digest, [1, 2, 3, 4]);
        assert_eq!(name, "uploader-converter-vault-abababab-01020304");
        assert!(is_ami_name(&names("vault"), &name));
        // A vault whose name begins like another's.
        let longer = ami_name(&names("vault-2"), &digest, [1, 2, 3, 4]);
        assert!(is_ami_name(&names("vault-2"), &longer));
        assert!(!is_ami_name(&names("vault"), &longer));
        for bad in [
            "",
            "uploader-converter-vault-",
            "uploader-converter-vault-abababab",
        ] {
            assert!(!is_ami_name(&names("vault"), bad), "{bad}");
        }
        // EC2 takes 128 characters.
        let longest = ami_name(&names(&"v".repeat(24)), &digest, [0; 4]);
        assert!(longest.len() <= 128);
    }
}
