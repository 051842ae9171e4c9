"""The shipped `uploader`, as a user runs it, on the emulator that the clients' suite uses too."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
sys.path.insert(0, str(CLIENTS))


def shared():
    """The clients' conftest: it and this one are both called `conftest`."""
    spec = importlib.util.spec_from_file_location("clients_conftest", CLIENTS / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


clients = shared()
# Fixtures and options are what a conftest has of that name.
pytest_addoption = clients.pytest_addoption
localstack, emulator, clocked, own = (
    clients.localstack,
    clients.emulator,
    clients.clocked,
    clients.own,
)
aws, cli, image, coldsnap = clients.aws, clients.cli, clients.image, clients.coldsnap
PROGRAM = Path(os.environ.get("UPLOADER_BIN", clients.ROOT / "target/release/uploader"))


class Uploader:
    """Runs `uploader` with the environment that `emulator up` prints, for one account."""

    def __init__(self, emulator, account):
        self.emulator = emulator
        self.account = account

    def environment(self, account=None, region="us-east-1", **more):
        """What the program sees of the world, and `more` of it."""
        return self.emulator.environment(account or self.account, region) | more

    def start(self, *arguments, account=None, region="us-east-1", env=None, **more):
        """Starts it, and does not wait: for those that end it before its time."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        return subprocess.Popen(
            [str(it) for it in (PROGRAM, *arguments)],
            env=self.environment(account, region, **(env or {})),
            **more,
        )

    def __call__(self, *arguments, check=True, parse=False, timeout=180, **more):
        """Runs it to its end. With `parse`, `--json` is added, and what it printed is in the
        result's `json`; with `check`, it has to succeed."""
        if parse:
            arguments += ("--json",)
        process = self.start(*arguments, **more)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(f"{arguments}: no end after {timeout} s\n{stdout}\n{stderr}")
        done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        said = f"uploader {' '.join(str(it) for it in arguments)}: exit {done.returncode}"
        if check and done.returncode != 0:
            raise AssertionError(f"{said}\n{stdout[-4000:]}\n{stderr[-4000:]}")
        if parse:
            try:
                done.json = json.loads(stdout)
            except ValueError:
                done.json = None
                if check:
                    raise AssertionError(f"{said}: no JSON\n{stdout[-4000:]}\n{stderr[-4000:]}")
        return done


@pytest.fixture
def uploader(emulator, aws):
    """`uploader` for the account that only this test has (`aws.account`)."""
    if not PROGRAM.exists():
        pytest.exit(f"{PROGRAM} is not there: just uploader, or set UPLOADER_BIN", 3)
    return Uploader(emulator, aws.account)
