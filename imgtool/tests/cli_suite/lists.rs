//! Images whose files can't be listed.

use super::bench::{BOOT, Bench, Case};
use serde_json::{Value, json};

/// Bytes of a block of the root file system.
const BLOCK: usize = 4096;

/// The number of 32 bits at an offset.
fn number(image: &[u8], at: usize) -> usize {
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize
}

/// Spoils what [`packs`](super::packs) made.
pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let read = |name: &str| std::fs::read(bench.input().join(name)).unwrap();
    let image = read("good.img");
    let spoiled = |name: &str, at: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        bench.put(name, image);
    };
    // Entries of the partition table have 128 bytes: the second is the ESP's, the third root's.
    let [esp, root] = [1, 2].map(|n| number(&image, 1024 + n * 128 + 32) * 512);
    spoiled("fat.img", esp, &[0; 512]);
    spoiled("bare.img", root + 1024 + 0x38, &[0; 2]);
    spoiled("blocks.img", root + 1024 + 0x4, &[0xff; 4]);
    spoiled("superblock.img", root + 1024 + 0x60, &[0xff; 4]);
    let table = root + number(&image, root + BLOCK + 0x8) * BLOCK;
    // The second inode is the root directory's.
    spoiled("inode.img", table + 256 + 2, &[7]);
    let mut manifest: Value = serde_json::from_slice(&read("good.pack.json")).unwrap();
    manifest["packs"][0]["size"] = json!(u64::MAX / 2);
    let offset = manifest["packs"][0]["size"].clone();
    manifest["blocks"]["data"][0][3] = json!(offset.as_u64().unwrap() - (1 << 20));
    bench.put("elsewhere.pack", read("good.pack"));
    bench.put("elsewhere.pack.json", manifest.to_string());

    bench.put("full/noise", testutils::noise(4 << 20));
    let args = ["build", "app", "--add", "full:/full", "-o", "full.img"];
    bench.succeed(&[&args[..], BOOT].concat());
    // In a mount namespace of its own, the output directory is a small disk.
    let disk = "exec unshare --user --map-root-user --mount bash -c \
                'mount -t tmpfs -o size=2m none ../out && exec \"$@\"' bash \"$@\"";

    let list = |input, args: &[&str], parts| Case::new(input, &[&["ls"], args].concat(), parts);
    vec![
        list(
            "image to list that is not there",
            &["none.img"],
            &["none.img", "No such file"],
        ),
        list(
            "directory to list as an image",
            &["locked"],
            &["locked", "not a regular file"],
        ),
        list(
            "noise to list",
            &["noise.img"],
            &["noise.img", "no GUID partition table", "raw disk images"],
        ),
        list(
            "truncated image to list",
            &["cut.img"],
            &["cut.img", "cut short"],
        )
        .varies(),
        list(
            "pack to list without a manifest",
            &["lone.pack"],
            &["lone.pack.json", "No such file", "beside it"],
        ),
        list(
            "pack to list whose block is not where its manifest says",
            &["elsewhere.pack"],
            &["elsewhere.pack", "block 0"],
        ),
        list(
            "image without ext4 to list",
            &["bare.img"],
            &["bare.img", "no root file system", "--partition"],
        ),
        list(
            "superblock of more blocks than there are",
            &["blocks.img"],
            &["blocks.img", "4294967295 blocks"],
        ),
        list(
            "damaged superblock",
            &["superblock.img"],
            &["superblock.img", "superblock's checksum"],
        ),
        list(
            "damaged inode",
            &["inode.img"],
            &["inode.img", "checksum of inode 2"],
        ),
        list(
            "damaged FAT volume",
            &["fat.img", "--partition", "esp"],
            &["fat.img", "esp", "not a boot sector"],
        ),
        list(
            "path that is not in the image",
            &["good.img", "/nix/store"],
            &["good.img", "/nix/store", "no such file or directory"],
        ),
        list(
            "path that is not in the pack",
            &["good.pack", "/bin/sh"],
            &["good.pack", "/bin/sh", "no such file or directory"],
        ),
        list(
            "path below a file",
            &["good.img", "/app/x"],
            &["/app/x", "not a directory"],
        ),
        list(
            "file with a slash behind it",
            &["good.img", "/app/"],
            &["/app/", "not a directory"],
        ),
        list(
            "path that would write to the terminal",
            &["good.img", "/\u{1b}[2J"],
            &["/\\u{1b}[2J"],
        ),
        list(
            "path that is not on the ESP",
            &["good.img", "--partition", "esp", "/efi/linux"],
            &["/efi/linux", "esp", "no such file or directory"],
        ),
        list(
            "partition that is not there",
            &["good.img", "--partition", "9"],
            &["good.img", "\"9\"", "imgtool inspect"],
        ),
        list(
            "partition without a file system",
            &["good.img", "--partition", "bios"],
            &["good.img", "neither ext4 nor FAT"],
        ),
        Case::new(
            "directory to print",
            &["cat", "good.img", "/etc"],
            &["good.img", "/etc: a directory, not a file"],
        ),
        Case::new(
            "file to print that is not in the pack",
            &["cat", "good.pack", "/bin/sh"],
            &["good.pack", "/bin/sh", "no such file or directory"],
        ),
        Case::new(
            "file to extract that is not in the image",
            &["extract", "good.img", "/app", "/bin/sh", "-C", "../out/x"],
            &["good.img", "/bin/sh", "no such file or directory"],
        ),
        Case::new(
            "file to extract to as a directory",
            &["extract", "good.img", "-C", "app"],
            &["app", "Not a directory"],
        ),
        Case::new(
            "directory to extract to in a directory that is not there",
            &["extract", "good.img", "-C", "../out/no/x"],
            &["../out/no/x", "No such file"],
        ),
        Case::new(
            "directory to extract to that is closed",
            &["extract", "good.img", "-C", "closed/x"],
            &["closed/x", "Permission denied"],
        ),
        Case::new(
            "files extracted to a full disk",
            &[
                "extract",
                "full.img",
                "/full",
                "--no-owners",
                "-C",
                "../out/x",
            ],
            &["../out/x/full/noise", "No space left"],
        )
        .shell(disk),
    ]
}
