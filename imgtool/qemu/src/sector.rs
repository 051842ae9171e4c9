//! Boot sectors of our own: the KVM probe's, and those the tests boot.

/// A boot sector that runs `code` (16-bit, at 0000:7c00); at most 510 bytes of it.
pub(super) fn boot_sector(code: &[u8]) -> [u8; 512] {
    let mut sector = [0; 512];
    let len = code.len().min(510);
    sector[..len].copy_from_slice(&code[..len]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
pub(super) mod tests {
    use super::boot_sector;

    /// What a test's boot sector does after it has written its text.
    #[derive(Debug, Clone, Copy)]
    pub(crate) enum Then {
        Hang,
        PowerOff,
        /// Once the power button was pressed.
        PowerOffWhenAsked,
        Reset,
    }

    /// A boot sector that writes `text` to COM1.
    pub(crate) fn saying(text: &str, then: Then) -> [u8; 512] {
        let end: &[u8] = match then {
            Then::Hang => &[0xf4, 0xeb, 0xfd], // hlt; jmp back
            // ACPI: S5 to PM1a_CNT, which SeaBIOS puts at 0x604.
            Then::PowerOff => &[
                0xba, 0x04, 0x06, // mov dx, 0x604
                0xb8, 0x00, 0x20, // mov ax, 0x2000
                0xef, // out dx, ax
                0xf4, 0xeb, 0xfd,
            ],
            // The same, after PWRBTN_STS in PM1a_STS.
            Then::PowerOffWhenAsked => &[
                0xba, 0x00, 0x06, // mov dx, 0x600
                0xed, // wait: in ax, dx
                0xf6, 0xc4, 0x01, // test ah, 1
                0x74, 0xfa, // jz wait
                0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd,
            ],
            // The keyboard controller's reset line.
            Then::Reset => &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd],
        };
        let mut code = vec![
            0xfa, // cli
            0xfc, // cld
            0x31, 0xc0, // xor ax, ax
            0x8e, 0xd8, // mov ds, ax
            0xbe, 0, 0, // mov si, text
            // ACPI: PWRBTN_EN in PM1a_EN, without which QEMU's power button does nothing.
            0xba, 0x02, 0x06, // mov dx, 0x602
            0xb8, 0x00, 0x01, // mov ax, 0x100
            0xef, // out dx, ax
            0xac, // next: lodsb
            0x84, 0xc0, // test al, al
            0x74, 0x11, // jz end
            0x88, 0xc4, // mov ah, al
            0xba, 0xfd, 0x03, // mov dx, 0x3fd: line status
            0xec, // wait: in al, dx
            0xa8, 0x20, // test al, 0x20: may send
            0x74, 0xfb, // jz wait
            0xb2, 0xf8, // mov dl, 0xf8: data
            0x88, 0xe0, // mov al, ah
            0xee, // out dx, al
            0xeb, 0xea, // jmp next
        ];
        code.extend(end);
        let at = (0x7c00 + code.len() as u16).to_le_bytes();
        code[7..9].copy_from_slice(&at);
        code.extend(text.as_bytes());
        code.push(0);
        assert!(code.len() <= 510, "{text:?} does not fit a boot sector");
        boot_sector(&code)
    }
}
