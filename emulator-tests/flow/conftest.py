"""Fixtures of the flow's tests: `uploader` and machines that boot."""

import pytest

from flow.living import Living
from flow.packed import Packed
from flow.program import Uploader
from harness.emulator import Emulator
from harness.programs import UPLOADER


def pytest_sessionstart(session):
    if not (UPLOADER.exists() or session.config.option.collectonly):
        pytest.exit(f"{UPLOADER} is not there: just uploader, or set UPLOADER_BIN", 3)


@pytest.fixture
def uploader(emulator, aws):
    """`uploader` for the account that only this test has (`aws.account`)."""
    return Uploader(emulator, aws.account)


@pytest.fixture(scope="session")
def live(tmp_path_factory, localstack):
    """An emulator that boots instances, one after another."""
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
