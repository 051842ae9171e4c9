"""What `uploader` tells beside its result: on standard error, as much as `--log` says."""

import json

import pytest

from flow.own_vault import OwnVault
from flow.sample import sample


@pytest.fixture
def vault(aws):
    return OwnVault(aws)


def pushed(vault, uploader, folder, *options, **more):
    """Pushes a version where an earlier one can't be read, which the library warns of."""
    earlier = vault.push(sample(version=1), text=b"{")
    image = sample(version=2)
    pack = folder / "web.pack"
    pack.write_bytes(image.pack)
    pack.with_name("web.pack.json").write_bytes(image.text())
    done = uploader("push", pack, "--json", *options, **more)
    # The result is alone on standard output, whatever is told.
    assert json.loads(done.stdout)["digest"] == image.digest
    told = [it for it in done.stderr.splitlines() if "an earlier version is of no use" in it]
    assert all(it.split()[0] == "WARN" and earlier.digest in it for it in told), told
    return done.stderr, len(told)


def test_warnings_are_told(vault, uploader, tmp_path):
    stderr, warnings = pushed(vault, uploader, tmp_path)
    assert warnings == 1
    # Of the libraries below nothing, and nothing that is less than a warning.
    levels = {it.split()[0] for it in stderr.splitlines()} & {"TRACE", "DEBUG", "INFO", "WARN"}
    assert levels == {"WARN"}


def test_as_much_as_is_asked_for(vault, uploader, tmp_path):
    stderr, warnings = pushed(vault, uploader, tmp_path, "--log", "error")
    assert warnings == 0 and "WARN" not in stderr
    vault.s3.delete_object(Bucket=vault.bucket, Key=sample(version=2).key)
    stderr, warnings = pushed(vault, uploader, tmp_path, "--log", "debug")
    assert warnings == 1 and "DEBUG" in stderr


def test_the_environment_does_not_say_how_much(vault, uploader, tmp_path):
    _, warnings = pushed(vault, uploader, tmp_path, env={"RUST_LOG": "off"})
    assert warnings == 1


def test_a_filter_that_is_none(uploader):
    done = uploader("requests", "--log", "uploader=loud", check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "--log" in done.stderr and "TARGET=LEVEL" in done.stderr


def test_nobody_has_to_be_there_to_be_told(uploader, tmp_path):
    """Standard error that can't be written changes nothing of the exit code."""
    with open("/dev/full", "w") as full:
        done = uploader("push", tmp_path / "none.pack", check=False, stderr=full)
    assert done.returncode == 2
