"""A converter of 1 GiB that boots in QEMU, with more requests at once than it has room for; and
what listens in it, which is nothing."""

import hashlib
import re

import pytest

from flow.packed import Packed

# More than a converter of 1 GiB takes at a time.
MANY = 10
# Blocks that it puts at a time.
WORKERS = 48
NOISE = 8 << 20


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The sample with a file of its own, many times: each is more than its share of memory."""
    folder, made = tmp_path_factory.mktemp("many"), []
    for number in range(MANY):
        file = folder / f"noise-{number}"
        file.write_bytes(hashlib.shake_128(b"%d" % number).digest(NOISE))
        made.append(Packed(folder, "--add", f"{file}:/noise", name=f"hello-{number}"))
    return made


def test_ten_at_once_have_room_in_a_gibibyte_and_nothing_listens(living, images):
    it = living
    it.slow(8)
    publish = [it.publish(image) for image in images]
    converter = it.converter()
    # As many as it has room for are in its hands, and each has read as far ahead as it may.
    it.shows(converter, "puts blocks into")
    parallel = it.heartbeat(converter)["parallel"]
    assert 4 < parallel < MANY
    it.shows(converter, "puts blocks into", times=parallel)
    assert it.heartbeat(converter)["requests"] == parallel
    most = parallel * (WORKERS // parallel)
    it.until(converter, lambda: it.at_work() >= most, f"{most} puts at a time")
    it.slow(0)
    amis = [it.published(process) for process in publish]
    (alone,) = it.instances()
    assert (alone["InstanceId"], alone["InstanceType"]) == (converter, "t2.micro")
    assert it.machine(converter)["memory_mib"] == 1024

    # All of its ports refuse.
    assert it.open_ports(converter) == {"open": [], "closed": 65535, "silent": 0}

    it.uploader("converter", "stop", "--yes")
    it.ended(converter)
    console = it.console(converter)
    assert console.count("application started") == 1, console
    for line in ("Out of memory", "oom-kill", "Killed process", "swap on"):
        assert line not in console, console
    peak, all, swap = re.search(r"peak memory (\d+) MiB of (\d+) MiB, (.*)", console).groups()
    assert swap.strip() == "no swap"
    # Seven shares, of which spans and blocks fill 12 MiB each, and the program's own.
    assert int(peak) < 160 < int(all) / 4, f"{peak} of {all}"
    it.verified(zip(images, amis, strict=True))
    it.holds_only(amis)
    assert it.ec2.describe_volumes()["Volumes"] == []

    # The control: what listens is found, whatever security groups let in.
    launched = it.ec2.run_instances(
        ImageId=amis[0], InstanceType="t2.micro", MinCount=1, MaxCount=1
    )
    sample = launched["Instances"][0]["InstanceId"]
    it.shows(sample, "hello: listening on")
    assert it.open_ports(sample) == {"open": [8080], "closed": 65534, "silent": 0}
    it.ec2.terminate_instances(InstanceIds=[sample], SkipOsShutdown=True)
    it.ended(sample)
