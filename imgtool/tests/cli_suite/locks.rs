//! Locked builds.

use super::bench::{BOOT, Bench, Case};
use testutils::{elf, hex_digest, kernel_deb, pe};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    bench.put("locked/app", elf(62, 2));
    bench.put("locked/extra", "x");
    bench.put("locked/kernel.deb", kernel_deb());
    bench.put("locked/stub.efi", pe(0x8664, &[]));
    let inputs = [
        "locked/app",
        "--add",
        "locked/extra:/etc/extra",
        "--kernel",
        "locked/kernel.deb",
        "--stub",
        "locked/stub.efi",
    ];
    bench.succeed(&[&["lock", "--lock", "good.lock"], &inputs[..]].concat());
    let good = std::fs::read_to_string(bench.input().join("good.lock")).unwrap();
    bench.put("new.lock", good.replace("version = 1\n", "version = 2\n"));
    bench.put("cut.lock", &good[..good.len() - 40]);
    bench.put("garbage.lock", "what is this");
    // Another digest in the lock is as good as another file.
    for (name, file) in [
        ("app", "locked/app"),
        ("add", "locked/extra"),
        ("kernel", "locked/kernel.deb"),
        ("stub", "locked/stub.efi"),
    ] {
        let digest = hex_digest(&std::fs::read(bench.input().join(file)).unwrap());
        assert!(good.contains(&digest), "{file} is not in the lock");
        bench.put(
            format!("{name}.lock"),
            good.replace(&digest, &"0".repeat(64)),
        );
    }
    let locked = |input, lock: &str, parts| {
        let args = ["build", "-o", "../out/a.img", "--locked", "--lock", lock];
        Case::new(input, &[&args, &inputs[..]].concat(), parts)
    };
    let other = |input, args: &[&str], parts| {
        let lock = [
            "build",
            "-o",
            "../out/a.img",
            "--locked",
            "--lock",
            "good.lock",
        ];
        Case::new(input, &[&lock, &inputs[..], args].concat(), parts)
    };
    let fewer = [
        "build",
        "-o",
        "../out/a.img",
        "--locked",
        "--lock",
        "good.lock",
        "locked/app",
    ];
    vec![
        locked(
            "lock that is not there",
            "none.lock",
            &["none.lock", "no such lock", "imgtool lock"],
        ),
        locked(
            "lock of another version",
            "new.lock",
            &["new.lock", "version 2"],
        ),
        locked(
            "truncated lock",
            "cut.lock",
            &["cut.lock", "not a lock file"],
        ),
        locked(
            "text as a lock",
            "garbage.lock",
            &["garbage.lock", "not a lock file"],
        ),
        locked(
            "application that has changed",
            "app.lock",
            &["application locked/app has changed", "imgtool lock"],
        ),
        locked(
            "addition that has changed",
            "add.lock",
            &["add /etc/extra locked/extra has changed"],
        ),
        locked(
            "kernel that has changed",
            "kernel.lock",
            &["kernel locked/kernel.deb has changed", "6.1.0-1"],
        ),
        locked(
            "UEFI stub that has changed",
            "stub.lock",
            &["stub locked/stub.efi has changed"],
        ),
        other(
            "addition that is not in the lock",
            &["--add", "extra:/y"],
            &["add /y extra is not in the lock"],
        ),
        other(
            "modules that are not in the lock",
            &["--modules", "locked/kernel.deb"],
            &["modules locked/kernel.deb is not in the lock"],
        ),
        Case::new(
            "locked addition that is left out",
            &[
                &fewer[..],
                &["--kernel", "locked/kernel.deb", "--stub", "locked/stub.efi"],
            ]
            .concat(),
            &["add /etc/extra", "not an input of this build"],
        ),
        Case::build(
            "--lock without --locked",
            &["app", "--lock", "good.lock"],
            &["--locked"],
        ),
        Case::new(
            "lock in an unwritable directory",
            &[&["lock", "app", "--lock", "closed/a.lock"], BOOT].concat(),
            &["closed/a.lock", "Permission denied"],
        ),
        Case::new(
            "two additions to one place, locked",
            &[
                &[
                    "lock",
                    "app",
                    "--lock",
                    "../out/a.lock",
                    "--add",
                    "app:/x",
                    "--add",
                    "extra:/x",
                ],
                BOOT,
            ]
            .concat(),
            &["/x", "same place"],
        ),
    ]
}
