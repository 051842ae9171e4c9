"""What unmodified AWS clients make of the emulator."""
