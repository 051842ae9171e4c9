//! Kernels, stubs, modules, and the packages they come in.

use imgtool::boot::{self, GUEST_MODULES, Kernel, ModuleSource};

use super::MemoryFile;

pub(crate) fn kernel(input: &[u8]) {
    let _ = boot::kernel_version(input);
    boot::has_efi_stub(input);
    let _ = imgtool::inspect::kernel_version(input);
}

pub(crate) fn uki(input: &[u8]) {
    for section in boot::inspect_uki(input).unwrap_or_default() {
        let end = section.offset.checked_add(section.size);
        assert!(end.is_some_and(|end| end <= input.len() as u64));
    }
}

/// A stub that is taken also becomes a UKI, or is refused.
pub(crate) fn stub(input: &[u8]) {
    let file = MemoryFile::new(input);
    if let Ok(stub) = boot::load_stub(&file.path) {
        let kernel = [0; 2048];
        if let Ok(uki) = boot::uki(&stub, &kernel, b"initrd", "quiet", "ID=x\n", "6.1") {
            boot::inspect_uki(&uki.bytes).expect("our own UKI can be read");
        }
    }
}

pub(crate) fn deb(input: &[u8]) {
    let file = MemoryFile::new(input);
    let _ = boot::deb_info(&file.path);
    let _ = boot::load_kernel(&file.path, None, None);
}

/// Modules as a package has them: what they say of themselves is in an ELF section.
pub(crate) fn module(input: &[u8]) {
    let file = MemoryFile::new(input);
    let version = "6.1".to_string();
    if let Ok(modules) = ModuleSource::open(&file.path, &version) {
        let kernel = Kernel {
            image: Vec::new(),
            version,
            modules,
        };
        let _ = boot::select_modules(&kernel, GUEST_MODULES);
    }
}
