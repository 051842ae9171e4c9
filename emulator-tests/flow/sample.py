"""Small images of known blocks, in the vault of a test's account: what `uploader push` would leave
there. Written without any of the project's code: another's reading of docs/pack.md."""

import hashlib
import json
import struct

BLOCK = 512 * 1024


def noise(seed):
    """A block that looks like nothing else."""
    return hashlib.shake_128(str(seed).encode()).digest(BLOCK)


def frame(block):
    """A zstd frame (RFC 8878) of one block, stored: four raw blocks of 128 KiB."""
    pieces = [block[at : at + 131072] for at in range(0, BLOCK, 131072)]
    out = struct.pack("<IBI", 0xFD2FB528, 0xA0, BLOCK)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        out += (last | len(piece) << 3).to_bytes(3, "little") + piece
    return out


class Sample:
    """An image: `data` is bytes by index; `zero` and `free` are runs."""

    def __init__(self, name, data, zero=(), free=(), boot_modes=("bios", "uefi")):
        self.name, self.data = name, dict(sorted(data.items()))
        self.zero, self.free = list(zero), list(free)
        blocks = len(self.data) + sum(count for _, count in (*self.zero, *self.free))
        self.frames = {index: frame(block) for index, block in self.data.items()}
        digests = {index: hashlib.sha256(block) for index, block in self.data.items()}
        whole, pack, entries = hashlib.sha256(), b"", []
        for index, it in self.frames.items():
            whole.update(struct.pack("<I", len(it)) + digests[index].digest())
            entries.append([index, digests[index].hexdigest(), 0, len(pack), len(it)])
            pack += it
        table = b"".join(struct.pack("<II", len(it), BLOCK) for it in self.frames.values())
        table += struct.pack("<IBI", len(self.frames), 0, 0x8F92EAB1)
        self.pack = pack + struct.pack("<II", 0x184D2A5E, len(table)) + table
        self.pack_digest = whole.hexdigest()
        put = dict.fromkeys(self.zeros(), bytes(BLOCK)) | self.data
        linear = hashlib.sha256()
        for _, block in sorted(put.items()):
            linear.update(hashlib.sha256(block).digest())
        self.put = put
        self.manifest = {
            "version": 1,
            "name": name,
            "identity": "1d" * 32,
            "architecture": "x86_64",
            "boot_modes": list(boot_modes),
            "size": blocks * BLOCK,
            "block_size": BLOCK,
            "inputs": [{"role": "application", "kind": "elf", "sha256": "ab" * 32}],
            "snapshot": {"changed_blocks_count": len(put), "linear_checksum": linear.hexdigest()},
            "packs": [{"digest": self.pack_digest, "size": len(self.pack)}],
            "blocks": {"data": entries, "zero": self.zero, "free": self.free},
        }

    def zeros(self):
        """Indexes of zero blocks."""
        return [at for first, count in self.zero for at in range(first, first + count)]

    def text(self):
        """The manifest as it is stored."""
        return json.dumps(self.manifest, separators=(",", ":")).encode() + b"\n"

    @property
    def digest(self):
        """The image's digest: docs/vault.md."""
        it, out = self.manifest, hashlib.sha256()

        def text(value):
            out.update(struct.pack("<Q", len(value)) + value.encode())

        def number(value):
            out.update(struct.pack("<Q", value))

        for value in ("image digest 1", it["name"], it["identity"], it["architecture"]):
            text(value)
        text(",".join(it["boot_modes"]))
        number(it["size"])
        number(it["block_size"])
        number(len(it["blocks"]["data"]))
        for index, sha256, *_ in it["blocks"]["data"]:
            number(index)
            out.update(sha256.encode())
        for runs in (it["blocks"]["zero"], it["blocks"]["free"]):
            number(len(runs))
            for first, count in runs:
                number(first)
                number(count)
        return out.hexdigest()

    @property
    def key(self):
        """The manifest's key."""
        return f"images/{self.name}/{self.digest}.json"


def sample(name="web", version=1, blocks=12, **more):
    """An image of some blocks of noise, some zeros and some free space. Versions differ in one
    block."""
    data = {index: noise(f"{name} {index}") for index in range(blocks)}
    data[blocks // 2] = noise(f"{name} version {version}")
    return Sample(name, data, zero=[(blocks, 2)], free=[(blocks + 2, 6)], **more)


def written(image, folder):
    """The pack and its manifest as files, as `imgtool build --pack` leaves them."""
    folder.mkdir(exist_ok=True)
    pack = folder / f"{image.name}.pack"
    pack.write_bytes(image.pack)
    pack.with_name(pack.name + ".json").write_bytes(image.text())
    return pack
