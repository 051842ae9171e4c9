"""The bench's inputs: made once, from a fixed seed, the same everywhere.

They are made in a process of their own: the peak memory that the kernel reports for a command
is at least that of the process that started it.
"""

import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

FILES = 27_000
TOTAL = 1_288_490_189  # 1.2 GiB
# Changed when what is made changes.
VERSION = "1"
MIB = 1 << 20


def made(what, base, app):
    """The directory `base`/`what`, made unless it is there already and whole."""
    path, mark = base / what, base / f"{what}.version"
    if not (mark.exists() and mark.read_text() == VERSION):
        print(f"making {path}, once", file=sys.stderr)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        subprocess.run([sys.executable, __file__, what, path, app], check=True)
        os.sync()
        mark.write_text(VERSION)
    return path


def warm(path):
    """Reads everything once, so that it is in memory."""
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                while file.read(MIB):
                    pass


def sizes(rng):
    """Many small files, some large ones: a log-normal body and a tail of libraries."""
    out = [int(min(rng.lognormvariate(math.log(3500), 1.7), MIB)) for _ in range(FILES)]
    for n in range(0, FILES, 135):
        out[n] = rng.randrange(MIB, 7 * MIB)
    # The rest goes to the large ones.
    large = range(0, FILES, 135)
    rest = (TOTAL - sum(out)) // len(large)
    for n in large:
        out[n] = max(out[n] + rest, 0)
    return out


def words(rng, size):
    """Text that zstd -3 reduces to about a quarter."""
    letters = "etaoinshrdlucmfwypvbgkjqxz_0123456789"
    lexicon = [
        "".join(rng.choices(letters, weights=range(len(letters), 0, -1), k=rng.randint(2, 11)))
        for _ in range(6000)
    ]
    weights = [1 / (n + 3) for n in range(len(lexicon))]
    out = bytearray()
    while len(out) < size:
        chosen = rng.choices(lexicon, weights=weights, k=20_000)
        out += " ".join(chosen).encode()
    return bytes(out[:size])


def content(rng, text, size):
    """`size` bytes: runs of text and of noise, about as compressible as programs are."""
    parts, left = [], size
    while left > 0:
        run = min(left, rng.randrange(512, 16 * 1024))
        if rng.random() < 0.27:
            parts.append(rng.randbytes(run))
        else:
            at = rng.randrange(len(text) - run)
            parts.append(text[at : at + run])
        left -= run
    return b"".join(parts)


def make_tree(path, app):
    """27,000 files, 1.2 GiB, sizes and compressibility like a distribution's."""
    rng = random.Random(1)
    text = words(rng, 24 * MIB)
    folders = [path]
    for n in range(2400):
        folder = rng.choice(folders[-300:]) / f"dir{n}"
        if len(folder.parts) - len(path.parts) > 8:
            folder = path / f"dir{n}"
        folder.mkdir()
        folders.append(folder)
    for n, size in enumerate(sizes(rng)):
        file = rng.choice(folders) / f"file-{n}"
        file.write_bytes(content(rng, text, size))
        file.chmod(rng.choice([0o644, 0o644, 0o644, 0o755]))
    shutil.copy(app, path / "app")


def make_sparse(path, app):
    """A file of 20 GiB with a MiB of data in each 64 MiB."""
    rng = random.Random(2)
    text = words(rng, 4 * MIB)
    with open(path / "data", "wb") as file:
        for at in range(0, 20 << 30, 64 * MIB):
            file.seek(at)
            file.write(content(rng, text, MIB))
        file.truncate(20 << 30)
    shutil.copy(app, path / "app")


if __name__ == "__main__":
    {"tree": make_tree, "sparse": make_sparse}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
