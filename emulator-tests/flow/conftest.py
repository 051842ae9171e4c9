"""The shipped `uploader`, as a user runs it, on the emulator that the clients' suite uses too."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "clients"))

from fixtures import (  # noqa: E402,F401
    aws,
    cli,
    clocked,
    coldsnap,
    emulator,
    image,
    localstack,
    own,
    pytest_addoption,
    snap,
)
from program import PROGRAM, Uploader  # noqa: E402


@pytest.fixture
def uploader(emulator, aws):
    """`uploader` for the account that only this test has (`aws.account`)."""
    if not PROGRAM.exists():
        pytest.exit(f"{PROGRAM} is not there: just uploader, or set UPLOADER_BIN", 3)
    return Uploader(emulator, aws.account)
