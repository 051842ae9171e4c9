//! Where outputs go.

use super::bench::{Bench, Case};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let closed = bench.input().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    bench.put("extra", "x");
    bench.put("noise/noise", testutils::noise(4 << 20));

    let build = |input, args: &[&str], parts| {
        let kernel = ["build", "--kernel", "kernel.deb", "--stub", "stub.efi"];
        Case::new(input, &[&kernel, args].concat(), parts)
    };
    let full = &["app", "--add", "noise:/noise"];
    // In a mount namespace of its own, the output directory is a small disk.
    let disk = "exec unshare --user --map-root-user --mount bash -c \
                'mount -t tmpfs -o size=2m none ../out && exec \"$@\"' bash \"$@\"";
    let limit = "ulimit -f 1024";
    vec![
        build(
            "output in a directory that is not there",
            &["app", "-o", "no/a.img"],
            &["no/a.img", "No such file"],
        ),
        build(
            "output in an unwritable directory",
            &["app", "-o", "closed/a.img"],
            &["closed/a.img", "Permission denied"],
        ),
        build(
            "pack in an unwritable directory",
            &["app", "--pack", "closed/a.pack"],
            &["closed/a.pack", "Permission denied"],
        ),
        build(
            "output that is a directory",
            &["app", "-o", "../out"],
            &["../out", "name a file"],
        ),
        build(
            "output that is a device",
            &["app", "-o", "/dev/null"],
            &["/dev/null", "regular file"],
        ),
        build(
            "output inside the input",
            &["tree", "-o", "tree/a.img", "--", "/app"],
            &["tree/a.img", "inside the input tree"],
        ),
        build(
            "output that is the input",
            &["app", "-o", "app"],
            &["app", "the input"],
        ),
        build(
            "output that is the kernel",
            &["app", "-o", "kernel.deb"],
            &["kernel.deb", "the input"],
        ),
        build(
            "output that is an addition",
            &["app", "--add", "extra:/x", "-o", "extra"],
            &["extra", "the input"],
        ),
        build(
            "image and pack of one name",
            &["app", "-o", "../out/a", "--pack", "../out/a"],
            &["../out/a", "two outputs"],
        ),
        build(
            "image with the manifest's name",
            &["app", "-o", "../out/a.json", "--pack", "../out/a"],
            &["../out/a.json", "two outputs"],
        ),
        build(
            "image on a full disk",
            &[full, &["-o", "../out/a.img"][..]].concat(),
            &["../out/a.img", "No space left"],
        )
        .shell(disk),
        build(
            "pack on a full disk",
            &[full, &["--level", "1", "--pack", "../out/a.pack"][..]].concat(),
            &["../out/a.pack", "No space left"],
        )
        .shell(disk),
        build(
            "image above the limit of a file's size",
            &[full, &["-o", "../out/a.img"][..]].concat(),
            &["../out/a.img", "File too large"],
        )
        .shell(limit),
    ]
}

#[test]
fn nobody_has_to_be_there_to_be_told() {
    let bench = Bench::new();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = bench.command(None);
    command.args(["inspect", "none.img"]).stderr(full);
    assert_eq!(command.status().unwrap().code(), Some(2));
}
