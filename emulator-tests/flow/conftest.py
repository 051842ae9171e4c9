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
from emulator import Emulator  # noqa: E402
from living import Living  # noqa: E402
from packed import Packed  # noqa: E402
from program import PROGRAM, Uploader  # noqa: E402


@pytest.fixture
def uploader(emulator, aws):
    """`uploader` for the account that only this test has (`aws.account`)."""
    if not PROGRAM.exists():
        pytest.exit(f"{PROGRAM} is not there: just uploader, or set UPLOADER_BIN", 3)
    return Uploader(emulator, aws.account)


@pytest.fixture(scope="session")
def live(tmp_path_factory, localstack):
    """An emulator that boots instances, one after another: two at a time wait for each other."""
    it = Emulator(tmp_path_factory.mktemp("live"), localstack, "--settle-ms=100", "--guests=1")
    yield it
    it.down()


@pytest.fixture
def living(live, request):
    """An account there that only this test has, with a vault and a converter's AMI."""
    it = Living(live, request.node.nodeid)
    yield it
    it.end()


@pytest.fixture(scope="session")
def hello(tmp_path_factory):
    """The sample, twice: two images of one content are two images."""
    folder = tmp_path_factory.mktemp("hello")
    return [Packed(folder, name=name) for name in ("hello", "hello-too")]
