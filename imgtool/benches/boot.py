"""Boots for the bench: `imgtool run`, and `qemu -kernel` with the same kernel and initramfs."""

import json
import os
import select
import struct
import subprocess
import sys
import time

# The application's first line.
FIRST_LINE = "hello: listening"
# What a firmware writes when it hands over.
FIRMWARE_DONE = {"bios": "Booting from Hard Disk", "uefi": "BdsDxe: loading"}
ESP_TYPE = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
TIMEOUT = 120


def run(imgtool, image, firmware, text):
    """Seconds from QEMU's start until the console of `imgtool run` shows `text`."""
    done = subprocess.run(
        [imgtool, "run", image, "--firmware", firmware, "--accel", "tcg", "--json"]
        + ["--expect", text, "--timeout", str(TIMEOUT)],
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
    )
    if done.returncode != 0:
        sys.exit(f"imgtool run --firmware {firmware}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)["expected_after_seconds"]


def extract(image, work):
    """Takes the UKI out of the ESP and its parts out of the UKI: files by section name."""
    uki = work / "uki.efi"
    drive = f"{image}@@{esp_start(image)}"
    subprocess.run(["mcopy", "-n", "-o", "-i", drive, "::/EFI/BOOT/BOOTX64.EFI", uki], check=True)
    parts = {}
    for name, data in sections(uki.read_bytes()).items():
        if name in (".linux", ".initrd", ".cmdline"):
            parts[name] = work / f"uki{name}"
            parts[name].write_bytes(data)
    return parts


def esp_start(image):
    """Byte offset of the EFI system partition (UEFI 2.10, 5.3)."""
    with open(image, "rb") as file:
        file.seek(1024)
        entries = file.read(128 * 128)
    for at in range(0, len(entries), 128):
        if entries[at : at + 16] == ESP_TYPE:
            return 512 * struct.unpack_from("<Q", entries, at + 32)[0]
    sys.exit(f"{image}: no EFI system partition")


def sections(pe):
    """Sections of a PE file by name."""
    header = struct.unpack_from("<I", pe, 0x3C)[0]
    count = struct.unpack_from("<H", pe, header + 6)[0]
    optional = struct.unpack_from("<H", pe, header + 20)[0]
    table = header + 24 + optional
    out = {}
    for n in range(count):
        name, virtual, _, size, at = struct.unpack_from("<8sIIII", pe, table + 40 * n)
        out[name.rstrip(b"\0").decode()] = pe[at : at + min(virtual, size)]
    return out


def direct(image, parts, work):
    """Seconds from QEMU's start to the first line, with `-kernel`; the rest as in `imgtool run`."""
    cmdline = parts[".cmdline"].read_bytes().rstrip(b"\0").decode().strip()
    overlay = work / "direct.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "raw", overlay, "1G"],
        check=True,
    )
    command = (
        "qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot "
        "-machine q35,smm=off,graphics=off -accel tcg,thread=multi "
        "-cpu max,la57=off,erms=off,fsrm=off -m 1024M -smp 1 "
        "-device virtio-blk-pci,drive=disk -netdev user,id=network "
        "-device virtio-net-pci,netdev=network,romfile= -device virtio-rng-pci "
        "-serial stdio -monitor none"
    ).split()
    command += ["-drive", f"if=none,id=disk,format=qcow2,file={str(overlay).replace(',', ',,')}"]
    command += ["-kernel", parts[".linux"], "-initrd", parts[".initrd"], "-append", cmdline]
    start = time.monotonic()
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        return wait_for(qemu.stdout, FIRST_LINE.encode(), start)
    finally:
        qemu.kill()
        qemu.wait()
        qemu.stdout.close()
        overlay.unlink()


def wait_for(stream, text, start):
    """Seconds from `start` until `stream` has shown `text`."""
    seen = b""
    while text not in seen:
        left = start + TIMEOUT - time.monotonic()
        ready = select.select([stream], [], [], max(left, 0))[0]
        chunk = os.read(stream.fileno(), 65536) if ready else b""
        if not chunk:
            end = seen[-2000:].decode(errors="replace")
            sys.exit(f"qemu -kernel: no {text.decode()!r}:\n{end}")
        seen += chunk
    return time.monotonic() - start
