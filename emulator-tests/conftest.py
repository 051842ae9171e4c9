"""What the tests of unmodified clients and those of the flow share: every test gets accounts of its
own on one emulator; those that harm it start one of their own."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.emulator import Emulator
from harness.programs import EMULATOR, HELLO, IMGTOOL, ROOT, TOOLS, needed, run


def pytest_addoption(parser):
    parser.addoption(
        "--localstack",
        default="process",
        choices=("process", "container", "auto"),
        help="how LocalStack runs (as `emulator up --localstack`)",
    )


# Hundreds of snapshots and images become complete or available one after another: in a second each,
# as by default, waiting for them would be the most of the time. What a test starts for itself has
# the default.
SETTLE = "--settle-ms=100"
# What is about records needs no machines; tests that want them start an emulator of their own.
RECORDS = "--no-guests"


@pytest.fixture(scope="session")
def localstack(request):
    """The way in which LocalStack runs, as an option of `emulator up`."""
    return f"--localstack={request.config.getoption('--localstack')}"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory, localstack):
    """The emulator that most tests share."""
    if not EMULATOR.exists():
        pytest.exit(f"{EMULATOR} is not there: just emulator, or set EMULATOR_BIN", 3)
    it = Emulator(tmp_path_factory.mktemp("emulator"), localstack, SETTLE, RECORDS)
    yield it
    it.down()


@pytest.fixture(scope="session")
def clocked(tmp_path_factory, localstack):
    """One whose clock is moved."""
    it = Emulator(tmp_path_factory.mktemp("clocked"), localstack, SETTLE, RECORDS)
    yield it
    it.down()


@pytest.fixture
def own(tmp_path, localstack):
    """Starts emulators that a test may kill, in a directory of its own."""
    started = []

    def start():
        it = Emulator(tmp_path / f"data{len(started)}", localstack, RECORDS)
        started.append(it)
        return it

    yield start
    for it in started:
        it.cli("down", check=False)


@pytest.fixture
def aws(emulator, request):
    """The endpoint, for accounts that only this test has."""
    return emulator.target(request.node.nodeid)


@pytest.fixture
def cli(emulator, aws):
    """The AWS CLI in a shell that did what `emulator up` printed."""
    program = Path(sys.executable).with_name("aws")

    def call(*arguments, account=None, region="us-east-1", **more):
        environment = emulator.environment(account or aws.account, region)
        return run(program, *arguments, env=environment, **more).stdout

    return call


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The sample's disk image: IMAGE, or one that imgtool builds."""
    if given := os.environ.get("IMAGE"):
        return Path(given)
    needed(IMGTOOL, "just build")
    needed(HELLO, "just hello")
    path = tmp_path_factory.mktemp("image") / "hello.img"
    run(IMGTOOL, "build", HELLO, "--name", "hello", "-o", path, cwd=ROOT)
    return path


@pytest.fixture(scope="session")
def coldsnap():
    """coldsnap, as .ci/setup installs it."""
    found = shutil.which("coldsnap", path=f"{TOOLS / 'tools/bin'}:{os.environ['PATH']}")
    if not found:
        needed(TOOLS / "tools/bin/coldsnap", ".ci/setup --test")
    return found


@pytest.fixture
def snap(coldsnap, emulator, aws):
    """Calls coldsnap in the test's account."""

    def call(*arguments):
        # The SDK for Rust does not read AWS_CA_BUNDLE.
        environment = emulator.environment(aws.account) | {"SSL_CERT_FILE": emulator.ca}
        return run(coldsnap, *arguments, env=environment, timeout=900).stdout.strip()

    return call
