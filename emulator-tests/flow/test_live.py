"""All of it with nothing pretended: the converter boots in QEMU from an AMI of its own, makes an AMI
of the sample, ends itself when idle; and the sample's AMI is launched and answers."""

import json
import socket

import pytest

from emulator import PROGRAM as EMULATOR
from emulator import Emulator
from own_vault import VAULT
from packed import Packed
from program import Uploader
from waiting import until

# A guest is translated, several of them and other tests beside it.
BOOTS = 600


@pytest.fixture(scope="module")
def live(tmp_path_factory, localstack):
    """An emulator that boots instances, one after another: two at a time wait for each other."""
    it = Emulator(tmp_path_factory.mktemp("live"), localstack, "--settle-ms=100", "--guests=1")
    yield it
    it.down()


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """The sample, twice: two images of one content are two images."""
    folder = tmp_path_factory.mktemp("hello")
    return [Packed(folder, name=name) for name in ("hello", "hello-too")]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("kind, firmware", [("t2.micro", "legacy-bios"), ("t3.micro", "uefi")])
def test_from_nothing_to_an_answer_from_inside(live, hello, request, kind, firmware):
    """And then nothing is left but AMIs and their snapshots: `uploader`, EC2 and the emulator say
    so. Two who publish at the same time have one converter launched."""
    aws = live.target(request.node.nodeid)
    uploader = Uploader(live, aws.account)
    ec2 = aws.client("ec2")

    def instances():
        found = ec2.describe_instances()["Reservations"]
        return [it for one in found for it in one["Instances"]]

    uploader("vault", "init")
    (own,) = uploader("converter", "bootstrap", parse=True).json["regions"]
    publish = [
        uploader.start(
            "publish", image.pack, "--instance-type", kind, "--idle", "20s", "--json"
        )
        for image in hello
    ]
    amis = []
    for process in publish:
        stdout, stderr = process.communicate(timeout=BOOTS)
        assert process.returncode == 0, f"{stdout}\n{stderr}"
        amis.append(json.loads(stdout)["regions"][0]["ami"])
    (converter,) = instances()
    assert converter["ImageId"] == own["ami"]
    assert converter["InstanceType"] == kind
    assert converter["CurrentInstanceBootMode"] == firmware
    assert converter["MetadataOptions"]["HttpTokens"] == "required"
    (group,) = ec2.describe_security_groups(GroupNames=[f"{VAULT}-converter"])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert [it["GroupId"] for it in converter["SecurityGroups"]] == [group["GroupId"]]

    # Idle, it goes by itself: nobody tells EC2 to end it.
    until(lambda: instances()[0]["State"]["Name"] == "terminated", "its end", BOOTS)
    (ended,) = instances()
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    console = live.cli("console", ended["InstanceId"]).stdout
    for line in ("application exited with status 0", *(f"finished: {ami}" for ami in amis)):
        assert line in console, console

    port = free_port()
    tunnel = f"{EMULATOR} port-forward {{id}} {{port}} --port {port} --data {live.data}"
    there = ("--port", "8080", "--connect", f"127.0.0.1:{port}", "--tunnel", tunnel)
    answered = uploader(
        "launch", amis[0], "--instance-type", kind, *there, parse=True, timeout=BOOTS
    ).json
    assert answered["ami"] == amis[0], answered

    for image, ami in zip(hello, amis):
        read = uploader("verify", ami, parse=True).json
        assert read["equal"] and read["name"] == image.name, read
    assert {it["State"]["Name"] for it in instances()} == {"terminated"}
    assert json.loads(live.cli("ps", "--json").stdout) == []
    images = ec2.describe_images(Owners=["self"])["Images"]
    assert {it["ImageId"] for it in images} == {own["ami"], *amis}
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    ebs = [it["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for it in images]
    assert {it["SnapshotId"] for it in snapshots} == set(ebs)
    assert ec2.describe_volumes()["Volumes"] == []
    groups = ec2.describe_security_groups()["SecurityGroups"]
    assert {it["GroupName"] for it in groups} == {"default", f"{VAULT}-converter"}
    status = uploader("converter", "status", parse=True).json
    assert status["regions"][0]["instances"] == [], status
