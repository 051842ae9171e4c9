//! Packs, manifests and images that are damaged.

use super::bench::{BOOT, Bench, Case};
use imgtool::pack::{ManifestBlocks, SnapshotRecord};
use serde_json::{Value, json};
use std::fs::File;
use testutils::zst;

/// What the blocks of a manifest give.
fn snapshot(manifest: &Value) -> Value {
    let blocks: ManifestBlocks = serde_json::from_value(manifest["blocks"].clone()).unwrap();
    let data = blocks.data.iter().map(|(index, digest, ..)| {
        let digest = hex::decode(digest).unwrap();
        (*index, digest.try_into().unwrap())
    });
    serde_json::to_value(SnapshotRecord::of(data, &blocks.zero)).unwrap()
}

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let args = [
        "build",
        "app",
        "--size",
        "+4MiB",
        "-o",
        "good.img",
        "--pack",
        "good.pack",
    ];
    bench.succeed(&[&args, BOOT].concat());
    bench.succeed(&["unpack", "good.pack", "-o", "good2.img"]);
    let read = |name: &str| std::fs::read(bench.input().join(name)).unwrap();
    let (pack, image) = (read("good.pack"), read("good.img"));
    assert!(image == read("good2.img"), "unpack gives another image");
    let manifest: Value = serde_json::from_slice(&read("good.pack.json")).unwrap();

    let damaged = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        bench.put(name, manifest.to_string());
    };
    damaged("digest.json", &|m| {
        m["blocks"]["data"][0][1] = json!("0".repeat(64));
        m["snapshot"] = snapshot(m);
    });
    damaged("snapshot.json", &|m| {
        m["snapshot"]["changed_blocks_count"] = json!(1)
    });
    damaged("name.json", &|m| m["name"] = json!("../other"));
    damaged("path.json", &|m| {
        m["packs"][0]["digest"] = json!("../../etc/passwd")
    });
    damaged("version.json", &|m| m["version"] = json!(2));
    damaged("field.json", &|m| m["more"] = json!(1));
    damaged("size.json", &|m| m["size"] = json!(1));
    damaged("larger.json", &|m| m["size"] = json!(1_u64 << 40));
    damaged("count.json", &|m| m["blocks"]["zero"][0] = json!([5, 0]));
    damaged("twice.json", &|m| m["blocks"]["data"][1][0] = json!(0));
    damaged("overflow.json", &|m| {
        m["blocks"]["free"] = json!([[u64::MAX, 2]]);
    });
    damaged("pack.json", &|m| m["blocks"]["data"][0][2] = json!(7));
    damaged("length.json", &|m| {
        m["blocks"]["data"][0][4] = json!(u32::MAX)
    });
    damaged("short.json", &|m| m["blocks"]["data"][0][4] = json!(9));
    damaged("offset.json", &|m| {
        m["blocks"]["data"][0][3] = json!(u64::MAX)
    });
    bench.put("cut.pack", &pack[..pack.len() / 2]);
    let mut corrupt = pack.clone();
    corrupt[0] ^= 0xff;
    bench.put("corrupt.pack", &corrupt);
    bench.put("garbage.json", "what is this");
    bench.put("lone.pack", &pack);
    // 64 MiB of zeros in a frame of few bytes.
    let bomb = zst(&vec![0; 64 << 20]);
    bench.put("bomb.pack", &bomb);
    damaged("bomb.json", &|m| {
        m["blocks"]["data"][0][3] = json!(0);
        m["blocks"]["data"][0][4] = json!(bomb.len());
    });
    let sparse = File::create(bench.input().join("sparse.json")).unwrap();
    sparse.set_len(10 << 30).unwrap();

    bench.put("cut.img", &image[..image.len() / 2]);
    let mut table = image.clone();
    table[512 + 72] ^= 1;
    let backup = table.len() - 512 + 72;
    table[backup] ^= 1;
    bench.put("table.img", &table);
    bench.put("noise.img", vec![0x5a; 1 << 20]);
    bench.put("short.img", "x");

    let unpack = |input, manifest: &str, parts| {
        let args = [
            "unpack",
            "good.pack",
            "-o",
            "../out/a.img",
            "--manifest",
            manifest,
        ];
        Case::new(input, &args, parts)
    };
    let of_pack = |input, pack: &str, manifest: &str, parts| {
        let args = ["unpack", pack, "-o", "../out/a.img", "--manifest", manifest];
        Case::new(input, &args, parts)
    };
    let good = "good.pack.json";
    vec![
        Case::new(
            "pack without a manifest",
            &["unpack", "lone.pack", "-o", "../out/a.img"],
            &["lone.pack.json", "No such file", "--manifest"],
        ),
        of_pack(
            "manifest without a pack",
            "none.pack",
            good,
            &["none.pack", "No such file"],
        ),
        unpack(
            "text as a manifest",
            "garbage.json",
            &["garbage.json", "not a manifest"],
        ),
        unpack(
            "manifest of another version",
            "version.json",
            &["version.json", "version 2"],
        ),
        unpack(
            "manifest with an unknown field",
            "field.json",
            &["field.json", "more"],
        )
        .varies(),
        unpack(
            "manifest of 10 GiB",
            "sparse.json",
            &["sparse.json", "larger than"],
        ),
        unpack(
            "manifest of a disk that is no multiple of a block",
            "size.json",
            &["size.json", "524288"],
        ),
        unpack(
            "manifest of a larger disk than its blocks",
            "larger.json",
            &["larger.json", "blocks listed"],
        )
        .varies(),
        unpack(
            "manifest with an empty run",
            "count.json",
            &["count.json", "block"],
        ),
        unpack(
            "manifest with a block twice",
            "twice.json",
            &["twice.json", "in the order of the disk"],
        ),
        unpack(
            "manifest with a run past every disk",
            "overflow.json",
            &["overflow.json", "block"],
        ),
        unpack(
            "manifest with an unknown pack",
            "pack.json",
            &["pack.json", "pack 7"],
        ),
        unpack(
            "block that does not match its digest",
            "digest.json",
            &["good.pack", "block 0", "digest"],
        ),
        unpack(
            "frame that says it has 4 GiB",
            "length.json",
            &["length.json", "block 0", "4294967295"],
        ),
        unpack(
            "frame that is longer than it says",
            "short.json",
            &["good.pack", "block 0"],
        ),
        unpack(
            "frame behind the pack's end",
            "offset.json",
            &["offset.json", "block 0"],
        ),
        unpack(
            "manifest with another snapshot than its blocks",
            "snapshot.json",
            &["snapshot.json", "snapshot"],
        ),
        unpack(
            "manifest whose image's name is a path",
            "name.json",
            &["name.json", "../other"],
        ),
        unpack(
            "manifest whose pack's digest is a path",
            "path.json",
            &["path.json", "packs[0].digest"],
        ),
        of_pack("truncated pack", "cut.pack", good, &["cut.pack", "block"]).varies(),
        of_pack(
            "corrupt pack",
            "corrupt.pack",
            good,
            &["corrupt.pack", "block 0"],
        ),
        of_pack(
            "frame that unpacks to 64 MiB",
            "bomb.pack",
            "bomb.json",
            &["bomb.pack", "block 0"],
        ),
        Case::new(
            "pack to a directory",
            &["unpack", "good.pack", "-o", "../out"],
            &["../out", "name a file"],
        ),
        Case::new(
            "pack over itself",
            &["unpack", "good.pack", "-o", "good.pack"],
            &["good.pack", "the input"],
        ),
        Case::new(
            "image to inspect that is not there",
            &["inspect", "none.img"],
            &["none.img", "No such file"],
        ),
        Case::new(
            "directory to inspect",
            &["inspect", "locked"],
            &["locked", "not a regular file"],
        ),
        Case::new(
            "noise to inspect",
            &["inspect", "noise.img"],
            &["noise.img", "no GUID partition table", "raw disk images"],
        ),
        Case::new(
            "one byte to inspect",
            &["inspect", "short.img"],
            &["short.img", "no GUID partition table"],
        ),
        Case::new(
            "truncated image to inspect",
            &["inspect", "cut.img"],
            &["cut.img", "cut short"],
        )
        .varies(),
        Case::new(
            "image with a damaged partition table",
            &["inspect", "table.img"],
            &["table.img", "partition table"],
        ),
    ]
}
