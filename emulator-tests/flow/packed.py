"""An image as imgtool builds it: raw, and as a pack with its manifest."""

import json

from harness.programs import HELLO, IMGTOOL, ROOT, needed, run
from harness.target import BLOCK


class Packed:
    """The sample, built into a folder; `options` are more of imgtool's."""

    def __init__(self, folder, *options, name="hello"):
        needed(IMGTOOL, "just build")
        needed(HELLO, "just hello")
        self.name = name
        self.raw, self.pack = folder / f"{name}.img", folder / f"{name}.pack"
        self.path = folder / f"{name}.pack.json"
        outputs = ("-o", self.raw, "--pack", self.pack)
        run(IMGTOOL, "build", HELLO, "--name", name, *options, *outputs, cwd=ROOT)
        self.manifest = json.loads(self.path.read_text())
        blocks = self.manifest["blocks"]
        self.data = [it[0] for it in blocks["data"]]
        self.zero = indexes(blocks["zero"])
        self.free = indexes(blocks["free"])

    def content(self):
        """What a snapshot of it has to have, by index."""
        blocks = dict.fromkeys(self.zero, bytes(BLOCK))
        with open(self.raw, "rb") as file:
            for index in self.data:
                file.seek(index * BLOCK)
                blocks[index] = file.read(BLOCK)
        return blocks


def indexes(runs):
    """Each block of runs."""
    return [index for first, count in runs for index in range(first, first + count)]
