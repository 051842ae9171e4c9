//! Placeholder until the stage lands.
#![allow(missing_docs)]
pub struct BootTargets<'a> { pub stage2_lba: u64, pub kernel_lba: u64, pub kernel_len: u64, pub initrd_lba: u64, pub initrd_len: u64, pub cmdline: &'a [u8] }
pub struct BootCode { pub mbr: [u8; 440], pub stage2: Vec<u8> }
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct BiosError;
pub fn boot_code(_: &BootTargets) -> Result<BootCode, BiosError> { Ok(BootCode { mbr: [0; 440], stage2: vec![1; 512] }) }
