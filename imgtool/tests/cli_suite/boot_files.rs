//! Kernels, modules and UEFI stubs.

use super::bench::{Bench, Case};
use testutils::{KERNEL_CONTROL, Packed, ar, bz_image, deb, elf, kernel_deb, pe};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let good = kernel_deb();
    bench.put("cut.deb", &good[..good.len() - 200]);
    let mut corrupt = good.clone();
    let at = corrupt.len() - 100;
    corrupt[at] ^= 0x55;
    bench.put("corrupt.deb", &corrupt);
    bench.put("library.deb", ar(&[("libx.o", b"object")]));
    let meta = "Package: linux-image-amd64\nVersion: 6.1\nArchitecture: amd64\n\
                Depends: linux-image-6.1.0-1-amd64 (= 6.1)\n";
    bench.put("meta.deb", deb(meta, &[], Packed::Xz));
    let arm = KERNEL_CONTROL.replace("Architecture: amd64", "Architecture: arm64");
    let vmlinuz: [(&str, &[u8]); 1] = [("boot/vmlinuz-6.1.0-1-arm64", b"x")];
    bench.put("arm64.deb", deb(&arm, &vmlinuz, Packed::Xz));
    let hello = "Package: hello\nVersion: 1\nArchitecture: amd64\n";
    bench.put(
        "hello.deb",
        deb(hello, &[("usr/bin/hello", b"x")], Packed::Xz),
    );
    let no_control = ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]);
    bench.put("no-control.deb", no_control);

    bench.put("empty", "");
    bench.put("text", "This is no kernel.\n".repeat(40));
    bench.put("vmlinux", elf(62, 2));
    let mut arm = vec![0; 1024];
    arm[..2].copy_from_slice(b"MZ");
    arm[56..60].copy_from_slice(b"ARM\x64");
    bench.put("Image", &arm);
    let kernel = bz_image("6.1.0-1-amd64");
    bench.put("cut-kernel", &kernel[..1024]);
    let mut small = kernel.clone();
    small[0x236] = 0;
    bench.put("kernel32", &small);
    let mut old = kernel.clone();
    old[0x206] = 0x0b;
    old[0x207] = 2;
    bench.put("old-kernel", &old);
    bench.put("bzImage", &kernel);
    let lone = deb(
        KERNEL_CONTROL,
        &[("boot/vmlinuz-6.1.0-1-amd64", &kernel)],
        Packed::Xz,
    );
    bench.put("lone.deb", lone);
    bench.put("modules/modules.builtin", "kernel/ext4.ko\n");

    bench.put("aarch64.efi", pe(0xaa64, &[]));
    bench.put("ia32.efi", pe(0x14c, &[]));
    bench.put("uki.efi", pe(0x8664, &[".linux"]));
    bench.put("cut.efi", &pe(0x8664, &[])[..1100]);

    let build = |input, kernel: &str, stub: &str, parts| {
        let args = ["build", "app", "-o", "../out/a.img"];
        let boot = ["--kernel", kernel, "--stub", stub];
        Case::new(input, &[&args[..], &boot].concat(), parts)
    };
    let kernel = |input, file, parts| build(input, file, "stub.efi", parts);
    let stub = |input, file, parts| build(input, "kernel.deb", file, parts);
    vec![
        kernel(
            "kernel package that is not there",
            "none.deb",
            &["none.deb", "No such file"],
        ),
        kernel(
            "kernel that is a directory",
            "modules",
            &["modules", "directory"],
        ),
        kernel(
            "ar archive that is no package",
            "library.deb",
            &["library.deb", "not a Debian package"],
        ),
        kernel(
            "package without a control file",
            "no-control.deb",
            &["no-control.deb", "control.tar"],
        ),
        kernel(
            "truncated package",
            "cut.deb",
            &["cut.deb", "data.tar.xz", "download the package again"],
        ),
        kernel(
            "package with corrupt xz data",
            "corrupt.deb",
            &["corrupt.deb", "data.tar.xz", "download the package again"],
        ),
        kernel(
            "metapackage without a kernel",
            "meta.deb",
            &[
                "meta.deb",
                "holds no kernel itself",
                "download linux-image-6.1.0-1-amd64",
            ],
        ),
        kernel(
            "package of another architecture",
            "arm64.deb",
            &["arm64.deb", "arm64, not amd64"],
        ),
        kernel(
            "package of something else",
            "hello.deb",
            &["hello.deb", "hello", "kernel"],
        ),
        kernel("empty file as kernel", "empty", &["empty", "kernel"]),
        kernel("text as kernel", "text", &["text", "not a usable kernel"]),
        kernel(
            "ELF vmlinux as kernel",
            "vmlinux",
            &["vmlinux", "ELF", "bzImage"],
        ),
        kernel("arm64 Image as kernel", "Image", &["Image", "arm64"]),
        kernel(
            "kernel for 32-bit x86",
            "kernel32",
            &["kernel32", "32-bit x86"],
        ),
        kernel(
            "kernel of before 2013",
            "old-kernel",
            &["old-kernel", "2.11"],
        ),
        kernel(
            "truncated kernel",
            "cut-kernel",
            &["cut-kernel", "truncated", "1024 bytes"],
        ),
        kernel(
            "kernel without its modules",
            "bzImage",
            &["6.1.0-1-amd64", "without modules", "--modules"],
        ),
        kernel(
            "package of a kernel without modules",
            "lone.deb",
            &["6.1.0-1-amd64", "modules"],
        ),
        Case::build(
            "modules of which one is missing",
            &["app", "--modules", "modules"],
            &["6.1.0-1-amd64", "has no module"],
        ),
        Case::build(
            "directory of modules that is not there",
            &["app", "--modules", "none"],
            &["none", "No such file"],
        ),
        stub(
            "UEFI stub that is not there",
            "none.efi",
            &["none.efi", "No such file"],
        ),
        stub(
            "UEFI stub for aarch64",
            "aarch64.efi",
            &["aarch64.efi", "aarch64", "x86_64"],
        ),
        stub(
            "UEFI stub for 32-bit x86",
            "ia32.efi",
            &["ia32.efi", "32-bit x86"],
        ),
        stub("truncated UEFI stub", "cut.efi", &["cut.efi", "stub"]),
        stub("text as UEFI stub", "text", &["text", "not a PE image"]),
        stub("whole UKI as UEFI stub", "uki.efi", &["uki.efi", ".linux"]),
        stub(
            "package without a UEFI stub",
            "hello.deb",
            &["hello.deb", "no UEFI stub", "systemd-boot-efi"],
        ),
    ]
}
