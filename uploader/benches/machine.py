"""The converter's QEMU, and the same machine with a bare kernel: the converter's own kernel, and an
initramfs with nothing in it but PID 1, which says how long the kernel took.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boot
import world

# Seconds until a guest has to be gone.
TIMEOUT = 120


def kernel_time(line):
    """What PID 1's first line says of the kernel's clock, in seconds."""
    found = re.search(r", ([0-9.]+) s after the kernel's start", line)
    if found is None:
        sys.exit(f"PID 1 does not say how long the kernel took: {line}")
    return float(found[1])


class Guest:
    """An instance's QEMU."""

    def __init__(self, instance):
        for entry in Path("/proc").iterdir():
            try:
                arguments = (entry / "cmdline").read_bytes().decode().split("\0")[:-1]
            except (OSError, UnicodeDecodeError):
                continue
            if arguments and "qemu" in arguments[0] and instance in arguments:
                self.process, self.arguments = entry, arguments
                self.directory = Path(os.readlink(entry / "cwd"))
                return
        sys.exit(f"{instance} has no QEMU")

    def wait(self):
        """Until it has ended."""
        end = time.monotonic() + TIMEOUT
        while self.process.exists():
            if time.monotonic() > end:
                sys.exit(f"QEMU does not end: {self.process}")
            time.sleep(0.05)


class BareKernel:
    """The converter's kernel and its PID 1."""

    def __init__(self, aws, work):
        self.work = work / "bare"
        self.work.mkdir()
        image = self.work / "converter.img"
        aws.run(world.UPLOADER, "converter", "build", "--raw", image)
        parts = boot.extract(image, self.work)
        image.unlink()
        self.kernel = parts[".linux"]
        self.cmdline = parts[".cmdline"].read_bytes().rstrip(b"\0").decode().strip()
        self.initrd = self.work / "initrd"
        self.initrd.write_bytes(only_init(parts[".initrd"].read_bytes()))
        self.vars = self.work / "vars"

    def machine(self, guest):
        """A guest's arguments, with this kernel, an empty disk and a network that leads nowhere.
        The guest has to run still."""
        given, command = iter(guest.arguments), []
        command.append(next(given))
        for name in given:
            if name in ("-nodefaults", "-no-user-config"):
                command.append(name)
                continue
            value = next(given)
            if name == "-blockdev":
                value = self.block(guest, json.loads(value))
            elif name == "-netdev":
                value = "user,id=lan,restrict=on"
            elif name == "-device":
                # The kernel comes first.
                value = value.replace(",bootindex=0", "")
            elif name in ("-mon", "-action", "-name") or value.startswith("socket,id=control"):
                continue
            command += [name, value]
        return command + [
            "-no-reboot", "-kernel", self.kernel, "-initrd", self.initrd, "-append", self.cmdline,
        ]  # fmt: skip

    def block(self, guest, block):
        if block["driver"] == "nbd":
            block = {"driver": "null-co", "node-name": block["node-name"], "size": 1 << 30}
        elif block["node-name"] == "vars":
            shutil.copy(guest.directory / block["filename"], self.vars)
            block["filename"] = str(self.vars)
        return json.dumps(block)

    def boot(self, machine):
        """Seconds of the kernel's clock until PID 1 says so."""
        qemu = subprocess.Popen(
            [str(it) for it in machine],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            for raw in qemu.stdout:
                line = raw.decode(errors="replace")
                if "imgtool: init " in line:
                    return kernel_time(line)
            sys.exit("the bare kernel ended without a word of its init")
        finally:
            qemu.kill()
            qemu.wait()
            qemu.stdout.close()


def header_field(header, n):
    """A number of the 13 in a member's header, after its magic."""
    return int(header[6 + 8 * n : 14 + 8 * n], 16)


def only_init(cpio):
    """Of an initramfs (cpio, "newc"), all but modules and configuration."""
    kept, at = [], 0
    while cpio.startswith(b"070701", at):
        header = cpio[at : at + 110]
        size, name_size = header_field(header, 6), header_field(header, 11)
        name = cpio[at + 110 : at + 110 + name_size - 1].decode()
        content = up(at + 110 + name_size)
        end = up(content + size)
        if not name.startswith(("modules/", "imgtool/")):
            kept.append(cpio[at:end])
        at = end
        if name == "TRAILER!!!":
            return b"".join(kept)
    sys.exit("the converter's initramfs has no end")


def up(at):
    """The next multiple of four."""
    return -(-at // 4) * 4
