//! The whole way with Debian's packages, where the environment names them.

use std::path::PathBuf;

use imgtool_init::config::{GuestConfig, Run};
use object::{Object, ObjectSection};

use super::*;

fn named(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: {variable} names no file");
    }
    path
}

#[test]
fn debians_kernel_and_stub_make_a_uki() {
    let Some(kernel) = named("IMGTOOL_TEST_KERNEL") else {
        return;
    };
    let Some(stub) = named("IMGTOOL_TEST_STUB") else {
        return;
    };
    let kernel = load_kernel(&kernel, None, None).unwrap();
    assert!(has_efi_stub(&kernel.image));
    let modules = select_modules(&kernel, GUEST_MODULES).unwrap();
    for (i, module) in modules.iter().enumerate() {
        for dependency in &module.depends {
            assert!(
                modules[..i].iter().any(|m| m.name == *dependency),
                "{dependency} comes after {}",
                module.name
            );
        }
    }
    let has = |name: &str| modules.iter().any(|m| m.name == name);
    assert!(has("virtio_blk") && has("ena") && has("xen_blkfront") && has("ata_piix"));
    let guest = GuestConfig {
        identity: "0123".into(),
        root_partition: "00000000-0000-0000-0000-000000000001".into(),
        hostname: "test".into(),
        grow: false,
        run: Run::Init {
            path: "/sbin/init".into(),
        },
    };
    let initrd = initramfs(InitramfsSpec {
        init: &[],
        guest: &guest,
        modules: &modules,
    })
    .unwrap();
    // It is read by the BIOS stage and by the firmware at each boot, and stored in every image.
    assert!(
        initrd.len() < 8 << 20,
        "initramfs of {} bytes",
        initrd.len()
    );
    let stub = load_stub(&stub).unwrap();
    let uki = uki(
        &stub,
        &kernel.image,
        &initrd,
        "quiet",
        "ID=t\n",
        &kernel.version,
    )
    .unwrap();
    let pe = object::read::pe::PeFile64::parse(&*uki.bytes).unwrap();
    let data = |name: &str| pe.section_by_name(name).unwrap().data().unwrap();
    assert_eq!(kernel_version(data(".linux")).unwrap(), kernel.version);
    assert_eq!(data(".initrd"), initrd);
}
