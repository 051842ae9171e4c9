#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: small valid inputs, in corpus/<target>/.

Needs mke2fs, mkfs.fat and mtools. Run it when a format gains something that a seed should show.
"""

import gzip
import hashlib
import io
import json
import lzma
import os
import struct
import subprocess
import tarfile
import tempfile
import uuid
import zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
VERSION = "6.1"


def seed(target, name, data):
    data = data.encode() if isinstance(data, str) else data
    assert len(data) <= 8192, (target, name, len(data))
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as out:
        out.write(data)


def tar(files, fmt=tarfile.USTAR_FORMAT, pax=None, end=1024):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, pax_headers=pax or {}) as archive:
        for name, what in files:
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
            else:
                for field, value in what.items():
                    setattr(info, field, value)
                archive.addfile(info)
    used = out.getvalue().rstrip(b"\0")
    return used + bytes(-len(used) % 512 + end)


def zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "Entrypoint": ["/app"],
        "Cmd": ["--port", "80"],
        "Env": ["PATH=/bin", "A=b"],
        "User": "1:2",
        "WorkingDir": "/srv",
    },
    "rootfs": {"type": "layers", "diff_ids": []},
}


def tars():
    seed(
        "tar",
        "kinds",
        tar(
            [
                ("d", {"type": tarfile.DIRTYPE, "mode": 0o755}),
                ("d/f", b"text"),
                ("l", {"type": tarfile.SYMTYPE, "linkname": "/d/f"}),
                ("h", {"type": tarfile.LNKTYPE, "linkname": "d/f"}),
                ("c", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
            ]
        ),
    )
    seed("tar", "gnu-long", tar([("n" * 120, b"x")], tarfile.GNU_FORMAT))
    xattr = tarfile.TarInfo("x")
    xattr.pax_headers = {"SCHILY.xattr.user.a": "b", "path": "long/name", "uid": "70000"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(xattr)
    seed("tar", "pax", out.getvalue()[:2560])
    sparse = tarfile.TarInfo("s")
    sparse.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "s",
        "GNU.sparse.realsize": "8192",
    }
    body = b"1\n4096\n4\n".ljust(512, b"\0") + b"data"
    sparse.size = len(body)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(sparse, io.BytesIO(body))
    seed("tar", "sparse", out.getvalue()[:3584])
    layer = tar([("f", b"x"), (".wh.g", b"")], end=512)
    config = json.dumps(dict(CONFIG, rootfs={"type": "layers", "diff_ids": [digest(layer)]}))
    docker = [{"Config": "c.json", "RepoTags": None, "Layers": ["l.tar"]}]
    seed(
        "tar",
        "docker",
        tar(
            [
                ("l.tar", gzip.compress(layer, mtime=0)),
                ("c.json", config.encode()),
                ("manifest.json", json.dumps(docker).encode()),
            ],
            end=512,
        ),
    )

    def blob(data, media):
        return {"mediaType": media, "digest": digest(data), "size": len(data)}

    oci = "application/vnd.oci.image."
    packed = gzip.compress(layer, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": blob(config, oci + "config.v1+json"),
            "layers": [blob(packed, oci + "layer.v1.tar+gzip")],
        }
    ).encode()
    index = json.dumps(
        {"schemaVersion": 2, "manifests": [blob(manifest, oci + "manifest.v1+json")]}
    ).encode()
    files = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)]
    files += [("blobs/sha256/" + digest(b)[7:], b) for b in (manifest, config, packed)]
    seed("tar", "oci", tar(files, end=512))


def texts():
    seed("container_config", "all", json.dumps(CONFIG))
    seed(
        "container_config",
        "empty",
        '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
    )
    seed(
        "spec",
        "all",
        """input = "server"
name = "web"
hostname = "web.local"
size = "+1GiB"
max_size = "64GiB"
firmware = "hybrid"
kernel = "k.deb"
modules = "m"
stub = "s.deb"
cmdline = "quiet"
owner = "keep"
timestamp = 1
grow = false
label = "root"
entrypoint = ["/app"]
command = ["a", "b"]
user = "1000:users"
working_directory = "/srv"
restart = "always"
[env]
PORT = "80"
[[add]]
source = "a"
target = "/etc/a"
""",
    )
    seed("spec", "init", 'init = "/sbin/init"\nsize = "8GiB"\n')
    seed("spec", "unknown", 'comand = ["x"]\n')
    seed("host_config", "all", 'kernel = "k"\nmodules = "/m"\nstub = "s.deb"\n')
    inputs = "".join(
        f'[[input]]\nrole = "{role}"\npath = "p"\nkind = "file"\nsha256 = "{"ab" * 32}"\n'
        for role in ("application", "add /etc/a", "kernel", "modules", "stub")
    )
    seed(
        "lock",
        "all",
        "version = 1\n" + inputs + 'package = "p"\nversion = "1"\narchitecture = "amd64"\n',
    )
    seed(
        "manifest",
        "all",
        json.dumps(
            {
                "version": 1,
                "name": "x",
                "identity": "00" * 32,
                "architecture": "x86_64",
                "boot_modes": ["bios", "uefi"],
                "size": 5 << 19,
                "block_size": 1 << 19,
                "inputs": [{"role": "application", "kind": "elf", "sha256": "ab" * 32}],
                "snapshot": {"changed_blocks_count": 3, "linear_checksum": "cd" * 32},
                "packs": [{"digest": "ef" * 32, "size": 99}],
                "blocks": {
                    "data": [[0, "01" * 32, 0, 0, 50], [3, "02" * 32, 0, 50, 49]],
                    "zero": [[1, 1]],
                    "free": [[2, 1], [4, 1]],
                },
            },
            separators=(",", ":"),
        ),
    )


def unpacks():
    block = bytes(1 << 19)
    frame = zstd(block)
    head = struct.pack("<HI", 0, len(frame)) + hashlib.sha256(block).digest()
    seed("unpack", "whole", head + frame)
    frame = zstd(b"short")
    seed("unpack", "short", struct.pack("<HI", 1, len(frame)) + bytes(32) + b"-" + frame)


def kernel(text):
    image = bytearray(1536)
    image[0x1F1] = 1
    struct.pack_into("<I", image, 0x1F4, 32)
    image[0x1FE:0x206] = b"\x55\xaa\0\0HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<H", image, 0x20E, 0x100)
    image[0x211] = image[0x236] = 1
    struct.pack_into("<I", image, 0x238, 2047)
    image[0x300 : 0x300 + len(text)] = text
    return bytes(image)


def pe(sections, align=512):
    """A PE32+ EFI application for x86_64."""
    headers = -(-(0x58 + 240 + 40 * (len(sections) + 2)) // align) * align
    out = bytearray(headers)
    out[:2] = b"MZ"
    struct.pack_into("<I", out, 0x3C, 0x40)
    struct.pack_into("<4sHHIIIHH", out, 0x40, b"PE\0\0", 0x8664, len(sections), 0, 0, 0, 240, 0x22)
    o = 0x58
    struct.pack_into("<H", out, o, 0x20B)
    struct.pack_into("<II", out, o + 32, align, align)
    struct.pack_into("<II", out, o + 56, 0x1000 * (len(sections) + 1), headers)
    struct.pack_into("<H", out, o + 68, 10)
    struct.pack_into("<I", out, o + 108, 16)
    for i, (name, data) in enumerate(sections):
        raw = -(-len(data) // align) * align
        struct.pack_into(
            "<8sIIII", out, o + 240 + 40 * i, name, len(data), 0x1000 * (i + 1), raw, len(out)
        )
        out += data.ljust(raw, b"\0")
    return bytes(out)


def cpio(files):
    out = b""
    for name, data in files + [(b"TRAILER!!!", b"")]:
        fields = [1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + name + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


GUEST = json.dumps(
    {
        "root_partition": str(uuid.UUID(int=3)),
        "hostname": "h",
        "grow": True,
        "run": {"init": {"path": "/sbin/init"}},
    }
).encode()


def uki():
    linux = kernel(VERSION.encode() + b" (x) #1")
    return pe(
        [
            (b".osrel", b"ID=x\n"),
            (b".cmdline", b"quiet\0"),
            (b".linux", linux),
            (b".initrd", cpio([(b"init", b"x"), (b"imgtool/guest.json", GUEST)])),
        ]
    )


def elf_sections(sections, kind=1):
    """A 64-bit little-endian ELF file of these sections."""
    names = b"\0" + b"".join(n + b"\0" for n, _, _ in sections) + b".shstrtab\0"
    out = bytearray(64)
    table, name_at = [bytes(64)], 1
    for name, what, data in sections + [(b".shstrtab", 3, names)]:
        table.append(
            struct.pack("<IIQQQQIIQQ", name_at, what, 0, 0, len(out), len(data), 0, 0, 1, 0)
        )
        name_at += len(name) + 1
        out += data
    struct.pack_into(
        "<16sHHIQQQIHHHHHH",
        out,
        0,
        b"\x7fELF\x02\x01\x01",
        kind,
        62,
        1,
        0,
        0,
        len(out),
        0,
        64,
        56,
        0,
        64,
        len(table),
        len(table) - 1,
    )
    return bytes(out) + b"".join(table)


def elf_dynamic():
    interp = b"/lib64/ld-linux-x86-64.so.2\0"
    strings = b"\0libc.so.6\0$ORIGIN/../lib\0"
    base = 64 + 56 * 3
    strings_at = base + len(interp)
    dynamic_at = strings_at + len(strings)
    dynamic = b"".join(
        struct.pack("<QQ", t, v)
        for t, v in [(1, 1), (29, 11), (5, 0x1000 + strings_at), (10, len(strings)), (0, 0)]
    )
    size = dynamic_at + len(dynamic)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0x1000, 64, 0, 0, 64, 56, 3, 64, 0, 0
    )

    def segment(kind, at, length):
        return struct.pack("<IIQQQQQQ", kind, 5, at, 0x1000 + at, 0x1000 + at, length, length, 8)

    return (
        header
        + segment(1, 0, size)
        + segment(3, base, len(interp))
        + segment(2, dynamic_at, len(dynamic))
        + interp
        + strings
        + dynamic
    )


def ar(members):
    out = b"!<arch>\n"
    for name, data in members:
        out += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name, 0, 0, 0, b"100644", len(data))
        out += data + bytes(len(data) % 2)
    return out


def deb(package, files, pack=lambda data: data, suffix=b""):
    control = f"Package: {package}\nVersion: 1\nArchitecture: amd64\nDepends: linux-image-9\n"
    return ar(
        [
            (b"debian-binary", b"2.0\n"),
            (b"control.tar" + suffix, pack(tar([("./control", control.encode())], end=0))),
            (b"data.tar" + suffix, pack(tar(files, end=0))),
        ]
    )


def boots():
    image = kernel(VERSION.encode() + b"-amd64 (x) #1")
    seed("kernel", "bzimage", image)
    seed("stub", "stub", pe([(b".text", b"\x90" * 16), (b".sbat", b"sbat,1\n")]))
    seed(
        "uki",
        "uki",
        pe([(b".cmdline", b"quiet\0"), (b".linux", image[:512]), (b".initrd", cpio([]))]),
    )
    seed("initrd", "cpio", cpio([(b"init", b"x"), (b"imgtool/guest.json", GUEST)]))
    seed(
        "initrd",
        "zstd",
        cpio([(b"a", b"b")]) + bytes(4) + zstd(cpio([(b"imgtool/guest.json", GUEST)])),
    )
    seed("elf", "dynamic", elf_dynamic())
    vmlinuz = [("./boot/vmlinuz-" + VERSION, image)]
    seed("deb", "plain", deb("linux-image", vmlinuz))

    def xz(data):
        return lzma.compress(data, preset=0)

    seed("deb", "xz", deb("linux-image", vmlinuz, xz, b".xz"))
    seed("deb", "gz", deb("meta", [], lambda data: gzip.compress(data, mtime=0), b".gz"))
    seed("deb", "zst", deb("linux-image", vmlinuz, zstd, b".zst"))
    info = b"name=nvme\0depends=\0alias=pci:v*\0vermagic=" + VERSION.encode() + b" SMP\0"
    module = elf_sections([(b".modinfo", 1, info)])
    home = "./lib/modules/" + VERSION + "/"
    builtin = (home + "modules.builtin", b"kernel/ext4.ko\nkernel/button.ko\nkernel/evdev.ko\n")
    seed("module", "plain", deb("m", [builtin, (home + "kernel/nvme.ko", module)]))
    seed("module", "xz", deb("m", [builtin, (home + "kernel/nvme.ko.xz", xz(module))]))


def tool(*command):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    subprocess.run(
        command,
        check=True,
        env=dict(os.environ, PATH=path, MTOOLS_SKIP_CHECK="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def plain(tree):
    os.makedirs(tree + "/etc")
    with open(tree + "/etc/os-release", "w") as out:
        out.write("NAME=x\nPRETTY_NAME=y\n")


def odd(tree):
    """Links of both forms, and kinds that have nothing but an inode."""
    plain(tree)
    os.makedirs(tree + "/etc/d/e")
    os.symlink("etc/d", tree + "/link")
    os.symlink("x/" * 40, tree + "/etc/long")
    os.mkfifo(tree + "/etc/d-fifo")
    os.link(tree + "/etc/os-release", tree + "/etc/d/other")


def disks(target, fill, inodes, names):
    """A partition table, FAT and ext4; see src/targets/disk.rs for how it is written down."""
    sectors, esp, root = 700, (64, 200), (264, 400)
    with tempfile.TemporaryDirectory() as work:
        fat, ext4 = os.path.join(work, "fat"), os.path.join(work, "ext4")
        tree, efi = os.path.join(work, "tree"), os.path.join(work, "uki")
        fill(tree)
        with open(efi, "wb") as out:
            out.write(uki())
        tool("mkfs.fat", "-C", "-s", "1", "-i", "12345678", fat, str(esp[1] // 2))
        tool("mmd", "-i", fat, "::EFI", "::EFI/BOOT")
        tool("mcopy", "-i", fat, efi, "::EFI/BOOT/BOOTX64.EFI")
        tool(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-b",
            "1024",
            "-N",
            str(inodes),
            "-I",
            "128",
            "-L",
            "root",
            "-O",
            "^metadata_csum,^has_journal,^resize_inode",
            "-U",
            str(uuid.UUID(int=4)),
            "-E",
            "hash_seed=" + str(uuid.UUID(int=5)),
            "-d",
            tree,
            ext4,
            str(root[1] // 2) + "k",
        )
        with open(fat, "rb") as f, open(ext4, "rb") as e:
            contents = [(esp, f.read()), (root, e.read())]
    disk = bytearray(sectors * 512)
    disk[:4] = b"boot"
    struct.pack_into("<BBHBBHII", disk, 446, 0, 0, 2, 0xEE, 0xFF, 0xFFFF, 1, sectors - 1)
    disk[510:512] = b"\x55\xaa"
    types = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0fc63daf-8483-4772-8e79-3d69d8477de4"]
    entries = b""
    for i, (kind, (first, count)) in enumerate(zip(types, (esp, root), strict=True)):
        entries += uuid.UUID(kind).bytes_le + uuid.UUID(int=6 + i).bytes_le
        entries += struct.pack("<QQQ72s", first, first + count - 1, 0, f"p{i}".encode("utf-16le"))
    entries = entries.ljust(128 * 128, b"\0")
    for lba, other, table in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 33)):
        header = struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x10000,
            92,
            0,
            0,
            lba,
            other,
            34,
            sectors - 34,
            uuid.UUID(int=8).bytes_le,
            table,
            128,
            128,
            zlib.crc32(entries),
        )
        header = header[:16] + struct.pack("<I", zlib.crc32(header)) + header[20:]
        disk[lba * 512 : lba * 512 + 92] = header
        disk[table * 512 : table * 512 + len(entries)] = entries
    for (first, count), data in contents:
        assert len(data) <= count * 512
        disk[first * 512 : first * 512 + len(data)] = data
    if "DISK" in os.environ:
        with open(os.environ["DISK"], "wb") as out:
            out.write(disk)
    for name, wanted in (
        ("whole", range(sectors)),
        ("fat", range(root[0])),
        ("ext4", range(sectors)),
    ):
        if name not in names:
            continue
        folded = struct.pack("<H", sectors)
        for lba in wanted:
            if name == "ext4" and esp[0] <= lba < esp[0] + esp[1]:
                continue
            piece = bytes(disk[lba * 512 : lba * 512 + 512]).rstrip(b"\0")
            if piece:
                folded += struct.pack("<HH", lba, len(piece)) + piece
        if name == "fat":
            tail = bytes(disk[(sectors - 33) * 512 :])
            for i in range(33):
                piece = tail[i * 512 : i * 512 + 512].rstrip(b"\0")
                if piece:
                    folded += struct.pack("<HH", sectors - 33 + i, len(piece)) + piece
        seed(target, name, folded)


tars()
texts()
unpacks()
boots()
disks("inspect", plain, 16, ("whole", "fat", "ext4"))
disks("ls", odd, 24, ("fat", "ext4"))
