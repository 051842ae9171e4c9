//! PE images, as UEFI loads them.

/// A PE32+ image whose sections hold 512 bytes each.
pub struct PeSample {
    /// The COFF header's `Machine`.
    pub machine: u16,
    /// The optional header's `Subsystem`.
    pub subsystem: u16,
    /// The optional header's `SizeOfHeaders`, a multiple of 512.
    pub size_of_headers: u32,
    /// Bytes after the last section, as a signature or a symbol table leaves them; the data
    /// directory and the COFF header then name them.
    pub tail: usize,
    /// Name, address, size in memory.
    pub sections: Vec<(&'static str, u32, u32)>,
}

impl Default for PeSample {
    fn default() -> PeSample {
        PeSample {
            machine: 0x8664,
            subsystem: 10,
            size_of_headers: 1024,
            tail: 0,
            sections: vec![(".text", 0x4000, 0x1ff), (".sbat", 0x5000, 0x100)],
        }
    }
}

impl PeSample {
    /// The image.
    pub fn build(&self) -> Vec<u8> {
        let mut pe = vec![0; self.size_of_headers as usize];
        let mut put = |at: usize, bytes: &[u8]| pe[at..at + bytes.len()].copy_from_slice(bytes);
        let le = u32::to_le_bytes;
        let end = self.size_of_headers + 512 * self.sections.len() as u32;
        put(0, b"MZ");
        put(0x3c, &le(0x40));
        put(0x40, b"PE\0\0");
        put(0x44, &self.machine.to_le_bytes());
        put(0x46, &(self.sections.len() as u16).to_le_bytes());
        put(0x54, &240_u16.to_le_bytes());
        let optional = 0x58;
        put(optional, &0x20b_u16.to_le_bytes());
        put(optional + 32, &le(512));
        put(optional + 36, &le(512));
        // Sections may claim what no address space has.
        let ends = self
            .sections
            .iter()
            .map(|(_, at, len)| at.saturating_add(*len));
        let size_of_image = ends.max().unwrap_or(0x4000).saturating_add(0xfff) & !0xfff;
        put(optional + 56, &le(size_of_image));
        put(optional + 60, &le(self.size_of_headers));
        put(optional + 64, &le(0xdead));
        put(optional + 68, &self.subsystem.to_le_bytes());
        put(optional + 108, &le(16));
        if self.tail > 0 {
            put(0x4c, &le(end));
            put(0x50, &le(3));
            put(optional + 112 + 32, &le(end));
            put(optional + 112 + 36, &le(self.tail as u32));
        }
        for (i, (name, address, size)) in self.sections.iter().enumerate() {
            let at = optional + 240 + 40 * i;
            put(at, name.as_bytes());
            put(at + 8, &le(*size));
            put(at + 12, &le(*address));
            put(at + 16, &le(512));
            put(at + 20, &le(self.size_of_headers + 512 * i as u32));
        }
        pe.resize(end as usize, 0x90);
        pe.resize(end as usize + self.tail, 0xee);
        pe
    }
}

/// An EFI application for `machine`, with sections of these names behind its own.
pub fn pe(machine: u16, more: &[&'static str]) -> Vec<u8> {
    let names = [".text", ".sbat"].iter().chain(more);
    PeSample {
        machine,
        sections: names
            .zip((0x4000..).step_by(0x1000))
            .map(|(name, address)| (*name, address, 0x1ff))
            .collect(),
        ..PeSample::default()
    }
    .build()
}
