//! Building where there is nothing: no network, no privilege, no devices.

use crate::disk::check;
use crate::support::*;
use std::path::Path;
use std::process::Command;

/// As nobody, in name spaces of its own: no network, and a /dev with only what everybody has.
#[test]
fn nobody_builds_without_network_and_devices() {
    let (Some(sample), Some((kernel, stub))) = (sample(), boot_files()) else {
        return;
    };
    if !has("unshare") || !has("setpriv") || !crate::disk::have_tools() {
        return;
    }
    let dir = scratch();
    for (from, to) in [
        (Path::new(IMGTOOL), "imgtool"),
        (&sample, "hello"),
        (&kernel, "kernel.deb"),
        (&stub, "stub.deb"),
    ] {
        std::fs::copy(from, dir.path().join(to)).unwrap();
    }
    let root = is_root("a /dev of its own, and nobody");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let build = "set -e
        if grep -v ^Iface /proc/net/route; then exit 9; fi
        ../imgtool build ../hello --kernel ../kernel.deb --stub ../stub.deb -o hello.img --pack hello.pack
        ../imgtool inspect hello.img >/dev/null
        ../imgtool ls hello.pack /app
        ../imgtool unpack hello.pack -o unpacked.img
        cmp hello.img unpacked.img";
    let mut command = Command::new("unshare");
    if root {
        std::os::unix::fs::chown(&out, Some(65534), Some(65534)).unwrap();
        let confine = "set -e
            mount -t tmpfs -o mode=755 none /dev
            mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9
            exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \\
                --bounding-set=-all env -i PATH=/usr/bin:/bin sh -c \"$1\"";
        command.args([
            "--net", "--mount", "--ipc", "sh", "-c", confine, "sh", build,
        ]);
    } else {
        command.args(["--map-root-user", "--net", "sh", "-c", build]);
    }
    ok(command.current_dir(&out));
    check(&out.join("hello.img"));
}
