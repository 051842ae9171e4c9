"""The shipped `uploader`, as a user runs it, on the emulator."""
