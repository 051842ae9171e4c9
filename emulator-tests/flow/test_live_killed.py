"""A converter that boots in QEMU, and whose machine is killed at work."""

import os
import signal
from datetime import UTC, datetime


def test_one_whose_machine_is_killed_at_work_is_replaced(living, hello):
    """kill -9 of QEMU, as when a host fails. Who waits and who comes next have one other launched,
    which brings both requests to their ends: an AMI each, and nothing else."""
    it = living
    it.slow(4)
    first = it.publish(hello[0])
    killed = it.converter()
    it.shows(killed, "puts blocks into")
    (record,) = it.records()
    it.until(killed, lambda: (it.progress(record) or {"put": 0})["put"], "a block that is put")
    os.kill(it.machine(killed)["pid"], signal.SIGKILL)
    at = datetime.now(UTC)

    second = it.publish(hello[0])
    assert it.ended(killed) == "Server.InternalError"
    progress = it.progress(record)
    assert 0 < progress["put"] < progress["total"], progress
    it.slow(0)
    amis = [it.published(process) for process in (first, second)]
    (one, other) = sorted(it.instances(), key=lambda it: it["LaunchTime"])
    assert (one["InstanceId"], other["State"]["Name"]) == (killed, "running")
    assert other["ImageId"] == it.own["ami"]
    # Nobody waits until the dead one's heartbeat is two minutes old.
    assert (other["LaunchTime"] - at).total_seconds() < 60
    it.holds_only(amis)
    it.verified(zip([hello[0]] * 2, amis, strict=True))
    # The dead one's snapshot is the one that its successor went on with.
    assert it.snapshot_of(amis[0]) == progress["snapshot"]

    it.uploader("converter", "stop", "--yes")
    it.ended(other["InstanceId"])
    assert it.ec2.describe_volumes()["Volumes"] == []
    it.holds_only(amis)
    assert it.uploader("requests", parse=True).json["regions"][0]["waiting"] == 0
