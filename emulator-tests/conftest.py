"""What the tests of unmodified clients and those of the flow share: every test gets accounts of its
own on one emulator; those that harm it start one of their own."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.emulator import Emulator
from harness.programs import EMULATOR, HELLO, IMGTOOL, ROOT, TOOLS, engine_answers, needed, run
from harness.scheduling import GroupScheduling


def pytest_addoption(parser):
    parser.addoption(
        "--localstack",
        default="process",
        choices=("process", "container", "auto", "both"),
        help="how LocalStack runs, as `emulator up --localstack`; both: every test with it as a "
        "process and, where a container engine answers, once more with it in a container",
    )


def pytest_configure(config):
    # Said once, and passed on to xdist's workers: all of them have to find the same tests.
    if config.option.localstack == "both":
        ways = ["process", "container"] if engine_answers() else ["process"]
        config.option.localstack = ",".join(ways)


def pytest_report_header(config):
    return f"localstack: {config.option.localstack}"


def pytest_sessionstart(session):
    if not (EMULATOR.exists() or session.config.option.collectonly):
        pytest.exit(f"{EMULATOR} is not there: just emulator, or set EMULATOR_BIN", 3)


def pytest_generate_tests(metafunc):
    ways = metafunc.config.option.localstack.split(",")
    if len(ways) > 1 and "localstack" in metafunc.fixturenames:
        # GroupScheduling looks for these names.
        names = [f"localstack={way}" for way in ways]
        metafunc.parametrize("localstack", ways, ids=names, indirect=True, scope="session")


def pytest_xdist_make_scheduler(config, log):
    return GroupScheduling(config, log) if config.option.dist == "loadgroup" else None


# Hundreds of snapshots and images become complete or available one after another: in a second each,
# as by default, waiting for them would be the most of the time. What a test starts for itself has
# the default.
SETTLE = "--settle-ms=100"
# What is about records needs no machines; tests that want them start an emulator of their own.
RECORDS = "--no-guests"


@pytest.fixture(scope="session")
def localstack(request):
    """The way in which LocalStack runs, as an option of `emulator up`."""
    return f"--localstack={getattr(request, 'param', request.config.option.localstack)}"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory, localstack):
    """The emulator that most tests share."""
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
