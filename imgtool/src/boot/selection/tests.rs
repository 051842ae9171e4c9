use std::collections::BTreeMap;
use std::fs;

use testutils::Packed::{self, Gz, Plain, Xz, Zst};
use testutils::{bz_image, control, deb, kernel_module, pack};

use super::super::kernel::load_kernel;
use super::*;

const VERSION: &str = "9.9-cloud";

const fn want(name: &str) -> WantedModule<'_> {
    WantedModule {
        name,
        load: Load::ForDevice,
        optional: false,
    }
}

/// Files below `lib/modules/VERSION/`.
fn sample() -> BTreeMap<String, Vec<u8>> {
    let ko = |lines: &[&str]| kernel_module(VERSION, lines);
    BTreeMap::from([
        (
            "kernel/drivers/block/virtio_blk.ko".into(),
            ko(&["alias=virtio:d00000002v*", "depends=virtio,virtio-ring"]),
        ),
        (
            "kernel/drivers/virtio/virtio.ko".into(),
            ko(&["depends=virtio_ring,bitrev"]),
        ),
        (
            "kernel/drivers/virtio/virtio-ring.ko".into(),
            ko(&["depends="]),
        ),
        (
            "kernel/drivers/net/xen-netfront.ko".into(),
            ko(&["alias=xen:vif", "alias=xenbus:vif", "depends="]),
        ),
        ("kernel/sound/core/snd.ko".into(), ko(&["depends="])),
        (
            "modules.builtin".into(),
            b"kernel/lib/bitrev.ko\nkernel/drivers/nvme/host/nvme.ko\n".to_vec(),
        ),
    ])
}

/// A kernel with these modules, out of a package.
fn packaged(files: &BTreeMap<String, Vec<u8>>, base: &str) -> Result<Kernel, BootError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("linux.deb");
    let image = bz_image(VERSION);
    let vmlinuz = format!("boot/vmlinuz-{VERSION}");
    let named: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (format!("{base}/{VERSION}/{name}"), bytes))
        .collect();
    let mut all: Vec<(&str, &[u8])> = vec![(&vmlinuz, &image)];
    all.extend(named.iter().map(|(name, bytes)| (&**name, &***bytes)));
    fs::write(&path, deb(&control("linux-image"), &all, Xz)).unwrap();
    load_kernel(&path, None, None)
}

/// A plain kernel with these modules, in a directory.
fn in_directory(files: &BTreeMap<String, Vec<u8>>, base: &str) -> Result<Kernel, BootError> {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("vmlinuz");
    fs::write(&image, bz_image(VERSION)).unwrap();
    let root = dir.path().join("modules");
    fs::create_dir(&root).unwrap();
    for (name, bytes) in files {
        let path = root.join(base).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut kernel = load_kernel(&image, Some(&root), None)?;
    // The directory goes away with this function.
    kernel.modules.read_all();
    Ok(kernel)
}

fn names(modules: &[LoadedModule]) -> Vec<&str> {
    modules.iter().map(|m| &*m.name).collect()
}

fn changed(name: &str, bytes: Vec<u8>) -> Kernel {
    let mut files = sample();
    files.insert(name.into(), bytes);
    packaged(&files, "lib/modules").unwrap()
}

#[test]
fn dependencies_come_first_and_what_is_built_in_is_left_out() {
    let kernel = packaged(&sample(), "lib/modules").unwrap();
    let always = WantedModule {
        load: Load::Always,
        ..want("virtio")
    };
    let wanted = [
        want("virtio-blk"),
        want("nvme"),
        always,
        want("xen_netfront"),
    ];
    let modules = select_modules(&kernel, &wanted).unwrap();
    assert_eq!(
        names(&modules),
        ["virtio_ring", "virtio", "virtio_blk", "xen_netfront"]
    );
    assert_eq!(modules[1].depends, ["virtio_ring"]);
    assert_eq!(modules[2].depends, ["virtio", "virtio_ring"]);
    assert_eq!(modules[2].aliases, ["virtio:d00000002v*"]);
    assert_eq!(modules[3].aliases, ["xen:vif", "xenbus:vif"]);
    let always: Vec<_> = modules.iter().map(|m| m.load == Load::Always).collect();
    assert_eq!(always, [false, true, false, false]);
}

#[test]
fn packages_directories_and_compressed_modules_give_the_same() {
    let wanted = [want("virtio_blk"), want("xen_netfront")];
    let expected = select_modules(&packaged(&sample(), "lib/modules").unwrap(), &wanted).unwrap();
    let compressed = |packed: Packed, suffix: &str| -> BTreeMap<_, _> {
        sample()
            .into_iter()
            .map(|(name, bytes)| match name.ends_with(".ko") {
                true => (format!("{name}{suffix}"), pack(&bytes, packed)),
                false => (name, bytes),
            })
            .collect()
    };
    for (packed, suffix) in [(Plain, ""), (Gz, ".gz"), (Xz, ".xz"), (Zst, ".zst")] {
        let files = compressed(packed, suffix);
        let root = format!("lib/modules/{VERSION}");
        let usr_root = format!("usr/lib/modules/{VERSION}");
        for kernel in [
            packaged(&files, "lib/modules"),
            packaged(&files, "usr/lib/modules"),
            in_directory(&files, ""),
            in_directory(&files, &root),
            in_directory(&files, &usr_root),
            in_directory(&files, VERSION),
        ] {
            let modules = select_modules(&kernel.unwrap(), &wanted).unwrap();
            assert_eq!(modules, expected, "{suffix}");
        }
    }
}

#[test]
fn a_package_of_modules_goes_with_a_plain_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let (image, modules) = (dir.path().join("vmlinuz"), dir.path().join("modules.deb"));
    fs::write(&image, bz_image(VERSION)).unwrap();
    let ko = kernel_module(VERSION, &["depends="]);
    let package = |version: &str| {
        let path = format!("usr/lib/modules/{version}/kernel/drivers/block/virtio_blk.ko");
        fs::write(
            &modules,
            deb(&control("linux-modules"), &[(&path, &ko)], Zst),
        )
        .unwrap();
        load_kernel(&image, Some(&modules), None)
    };
    let kernel = package(VERSION).unwrap();
    assert_eq!(
        select_modules(&kernel, &[want("virtio_blk")])
            .unwrap()
            .len(),
        1
    );
    let text = package("8.8").unwrap_err().to_string();
    assert!(text.contains("for kernel 8.8, not 9.9-cloud"), "{text}");
}

#[test]
fn a_module_that_does_not_exist_is_named_unless_it_is_optional() {
    let kernel = packaged(&sample(), "lib/modules").unwrap();
    let err = select_modules(&kernel, &[want("ena")]).unwrap_err();
    assert!(
        err.to_string()
            .contains("kernel 9.9-cloud has no module ena")
    );
    assert!(err.hint().is_some());
    let optional = WantedModule {
        optional: true,
        ..want("ena")
    };
    assert!(select_modules(&kernel, &[optional]).unwrap().is_empty());

    let kernel = changed(
        "kernel/drivers/net/virtio_net.ko",
        kernel_module(VERSION, &["depends=net_failover"]),
    );
    let optional = WantedModule {
        optional: true,
        ..want("virtio_net")
    };
    let text = select_modules(&kernel, &[optional])
        .unwrap_err()
        .to_string();
    assert!(text.contains("no module net_failover") && text.contains("needed by virtio_net"));
}

#[test]
fn modules_that_cannot_be_loaded_are_refused() {
    let name = "kernel/drivers/net/ena.ko";
    let mut arm = kernel_module(VERSION, &[]);
    arm[18] = 183;
    for (bytes, part) in [
        (
            kernel_module(VERSION, &["depends=ena"]),
            "module ena: depends on itself",
        ),
        (
            kernel_module("8.8", &[]),
            "built for kernel 8.8, not 9.9-cloud",
        ),
        (arm, "Aarch64"),
        (b"text".to_vec(), "not a 64-bit ELF file"),
        (Vec::new(), "not a 64-bit ELF file"),
    ] {
        let err = select_modules(&changed(name, bytes), &[want("ena")]).unwrap_err();
        let text = err.to_string();
        assert!(text.contains(part), "{text:?} without {part:?}");
    }
    let kernel = changed(&format!("{name}.xz"), b"text".to_vec());
    let text = select_modules(&kernel, &[want("ena")])
        .unwrap_err()
        .to_string();
    assert!(text.contains("module ena: can't be decompressed"), "{text}");
}

#[test]
fn a_module_cut_anywhere_is_an_error() {
    let whole = kernel_module(VERSION, &["depends=a,b"]);
    for cut in 0..whole.len() {
        assert!(modinfo(&whole[..cut]).is_err(), "cut at {cut}");
    }
    let info = modinfo(&whole).unwrap();
    assert_eq!(info.depends, ["a", "b"]);
    assert_eq!(info.release.as_deref(), Some(VERSION));
}

#[test]
fn a_chain_of_dependencies_does_not_exhaust_the_stack() {
    let mut files = sample();
    for i in 0..200 {
        let depends = format!("depends=m{}", i + 1);
        files.insert(
            format!("kernel/lib/m{i}.ko"),
            kernel_module(VERSION, &[&depends]),
        );
    }
    let kernel = packaged(&files, "lib/modules").unwrap();
    let text = select_modules(&kernel, &[want("m0")])
        .unwrap_err()
        .to_string();
    assert!(text.contains("more than 64 deep"), "{text}");
}

#[test]
fn a_kernel_without_modules_must_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("vmlinuz");
    fs::write(&image, bz_image(VERSION)).unwrap();
    let alone = load_kernel(&image, None, None).unwrap();
    let err = select_modules(&alone, &[want("ena")]).unwrap_err();
    assert!(err.to_string().contains("came without modules"));
    assert!(err.hint().unwrap().contains("--modules"));

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let monolithic = load_kernel(&image, Some(&empty), None).unwrap();
    assert!(
        select_modules(&monolithic, &[want("ena")])
            .unwrap()
            .is_empty()
    );

    let err = load_kernel(&image, Some(dir.path()), None).unwrap_err();
    assert!(err.to_string().contains("no lib/modules/9.9-cloud"));
    let err = load_kernel(&image, Some(&image), None).unwrap_err();
    assert!(err.to_string().contains("neither a directory"));
}

#[test]
fn modules_in_updates_take_precedence() {
    let mut files = sample();
    let ko = kernel_module(VERSION, &["alias=newer", "depends="]);
    files.insert("updates/dkms/xen_netfront.ko".into(), ko);
    let kernel = in_directory(&files, "").unwrap();
    let modules = select_modules(&kernel, &[want("xen-netfront")]).unwrap();
    assert_eq!(modules[0].aliases, ["newer"]);
}
