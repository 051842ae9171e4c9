"""The programs of this checkout, as `just` builds them, and how a test runs one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".imgtool"
EMULATOR = Path(os.environ.get("EMULATOR_BIN", ROOT / "target/release/emulator"))
UPLOADER = Path(os.environ.get("UPLOADER_BIN", ROOT / "target/release/uploader"))
IMGTOOL = ROOT / "target/release/imgtool"
# The sample: a static binary.
HELLO = ROOT / "target/x86_64-unknown-linux-gnu/release/hello"


def run(*arguments, check=True, timeout=600, **more):
    """A program's answer, with what it said if it failed."""
    done = subprocess.run(
        [str(it) for it in arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        **more,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(str(it) for it in arguments)}: exit {done.returncode}\n"
            f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done


def needed(path, how):
    """Skips a test on a laptop, and fails it in CI, if something is missing."""
    if not path.exists():
        say = f"{path} is not there: {how}"
        pytest.fail(say) if os.environ.get("CI") else pytest.skip(say)


def engine_answers():
    """Whether there is a container engine."""
    docker = shutil.which("docker")
    return bool(docker) and run(docker, "version", check=False).returncode == 0


def can_mount():
    """Whether an unprivileged user can mount a file system of their own here."""
    probe = ("unshare", "--user", "--map-root-user", "--mount", "true")
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
