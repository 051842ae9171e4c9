//! The guest's PID 1: `/init` in the initramfs.
//!
//! It finds the root file system, grows it, and then either looks after one application or hands
//! over to the image's own init. It never fails in silence: whatever goes wrong is a line on the
//! console that begins with [`imgtool_init::console::FAILED`], and then the machine powers off.

mod guest;

fn main() {
    guest::run()
}
