//! A unified kernel image: a PE file whose sections are kernel, initramfs and command line (UAPI
//! Group specification 5).

use object::LittleEndian as LE;
use object::read::pe::PeFile64;
use sha2::{Digest, Sha256};

use super::error::{Fault, bad};
use super::kernel::{first_word, kernel_version};
use super::report::{ImageReport, KernelReport, SectionReport, UkiReport};

/// The kernel's own limit is 2048 on x86.
const MAX_CMDLINE: usize = 4096;

/// Lists the sections of the UKI `file` at `path`; kernel and guest configuration go to `report`.
pub(super) fn look(
    file: &[u8],
    path: &str,
    report: &mut ImageReport,
) -> Result<Option<UkiReport>, Fault> {
    let pe = match PeFile64::parse(file) {
        Ok(pe) => pe,
        Err(e) => return bad(format!("{path}: not a 64-bit PE file: {e}")),
    };
    let mut sections = Vec::new();
    let mut kernel = KernelReport {
        file: path.to_owned(),
        version: None,
        command_line: None,
    };
    let mut initrd = None;
    let mut is_uki = false;
    for header in pe.section_table().iter() {
        let name = header.name.split(|&b| b == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let offset = u64::from(header.pointer_to_raw_data.get(LE));
        // Raw data is padded to the file's alignment; the virtual size is the content's.
        let size = header
            .virtual_size
            .get(LE)
            .min(header.size_of_raw_data.get(LE));
        let range = usize::try_from(offset)
            .ok()
            .and_then(|start| Some(start..start.checked_add(size as usize)?));
        let Some(content) = range.and_then(|range| file.get(range)) else {
            return bad(format!("{path}: section {name} lies beyond the file's end"));
        };
        match name.as_str() {
            ".linux" => {
                is_uki = true;
                kernel.version = kernel.version.or_else(|| kernel_version(content));
            }
            ".uname" => kernel.version = first_word(content).or(kernel.version),
            ".cmdline" => kernel.command_line = Some(command_line(content)),
            ".initrd" => initrd = Some(content),
            _ => {}
        }
        sections.push(SectionReport {
            name,
            offset,
            size: size.into(),
            sha256: hex::encode(Sha256::digest(content)),
        });
    }
    // Any UEFI program may lie here: a boot loader, say.
    if !is_uki {
        return Ok(None);
    }
    report.kernel = Some(kernel);
    if let Some(initrd) = initrd {
        super::guest(initrd, path, report);
    }
    Ok(Some(UkiReport {
        path: path.to_owned(),
        sections,
    }))
}

fn command_line(content: &[u8]) -> String {
    let head = content.get(..MAX_CMDLINE).unwrap_or(content);
    let text = head.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}
