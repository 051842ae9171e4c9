"""All of it with nothing pretended: the converter boots in QEMU from an AMI of its own, makes an
AMI of the sample, ends itself when idle; and the sample's AMI is launched and answers."""

import json
import socket

import pytest

from flow.living import BOOTS
from flow.own_vault import VAULT
from harness.programs import EMULATOR


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(("kind", "firmware"), [("t2.micro", "legacy-bios"), ("t3.micro", "uefi")])
def test_from_nothing_to_an_answer_from_inside(living, hello, kind, firmware):
    """And then nothing is left but AMIs and their snapshots: `uploader`, EC2 and the emulator say
    so. Two who publish at the same time have one converter launched."""
    it = living
    options = ("--instance-type", kind, "--idle", "20s")
    publish = [it.publish(image, *options) for image in hello]
    amis = [it.published(process) for process in publish]
    (converter,) = it.instances()
    assert converter["ImageId"] == it.own["ami"]
    assert converter["InstanceType"] == kind
    assert converter["CurrentInstanceBootMode"] == firmware
    assert converter["MetadataOptions"]["HttpTokens"] == "required"
    groups = it.ec2.describe_security_groups(GroupNames=[f"{VAULT}-converter"])
    (group,) = groups["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert [it["GroupId"] for it in converter["SecurityGroups"]] == [group["GroupId"]]

    # Idle, it goes by itself: nobody tells EC2 to end it.
    assert it.ended(converter["InstanceId"]) == "Client.InstanceInitiatedShutdown"
    console = it.console(converter["InstanceId"])
    for line in ("application exited with status 0", *(f"finished: {ami}" for ami in amis)):
        assert line in console, console

    port = free_port()
    tunnel = f"{EMULATOR} port-forward {{id}} {{port}} --port {port} --data {it.emulator.data}"
    there = ("--port", "8080", "--connect", f"127.0.0.1:{port}", "--tunnel", tunnel)
    answered = it.uploader(
        "launch", amis[0], "--instance-type", kind, *there, parse=True, timeout=BOOTS
    ).json
    assert answered["ami"] == amis[0], answered

    it.verified(zip(hello, amis, strict=True))
    assert {one["State"]["Name"] for one in it.instances()} == {"terminated"}
    assert json.loads(it.emulator.cli("ps", "--json").stdout) == []
    it.holds_only(amis)
    assert it.ec2.describe_volumes()["Volumes"] == []
    groups = it.ec2.describe_security_groups()["SecurityGroups"]
    assert {it["GroupName"] for it in groups} == {"default", f"{VAULT}-converter"}
    status = it.uploader("converter", "status", parse=True).json
    assert status["regions"][0]["instances"] == [], status
