//! Boot sectors that do one thing, and boot in no time.

/// Writes `sector runs` to the serial port, then does this.
fn sector(then: &[u8]) -> Vec<u8> {
    // mov dx, 0x3f8
    let mut code = vec![0xba, 0xf8, 0x03];
    for byte in *b"sector runs\r\n" {
        // mov al, byte; out dx, al
        code.extend([0xb0, byte, 0xee]);
    }
    code.extend(then);
    // hlt; jmp back
    code.extend([0xf4, 0xeb, 0xfd]);
    assert!(code.len() <= 510);
    code.resize(510, 0);
    code.extend([0x55, 0xaa]);
    code
}

/// Waits.
pub fn waits() -> Vec<u8> {
    sector(&[])
}

/// Powers off: SLP_EN of the PM1a control register, which SeaBIOS has put at port 0x604.
pub fn powers_off() -> Vec<u8> {
    // mov dx, 0x604; mov ax, 0x2000; out dx, ax
    sector(&[0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef])
}
