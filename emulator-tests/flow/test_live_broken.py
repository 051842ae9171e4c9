"""Images that do not boot: whoever launches one is shown the end of its console, and nothing is
left."""

import json

import pytest

from flow.living import BOOTS
from flow.program import Uploader
from harness.programs import IMGTOOL, run
from harness.target import BLOCK
from harness.waiting import until

SECTOR = 512
# Where ext4's superblock is in its partition, and more than its length.
SUPERBLOCK, LENGTH = 1024, 1024


def boot_sector(says):
    """Writes this to the serial port, and halts."""
    # mov dx, 0x3f8
    code = b"\xba\xf8\x03"
    for byte in says.encode():
        # mov al, byte; out dx, al
        code += bytes((0xB0, byte, 0xEE))
    # hlt; jmp back
    code += b"\xf4\xeb\xfd"
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


@pytest.fixture
def account(live, request):
    """An account of the test's own, and what is left of instances there."""
    aws = live.target(request.node.nodeid)
    yield aws
    up = [
        it["InstanceId"] for it in instances(aws) if it["State"]["Name"] in ("pending", "running")
    ]
    if up:
        aws.ec2.terminate_instances(InstanceIds=up, SkipOsShutdown=True)


def instances(aws):
    return [it for one in aws.ec2.describe_instances()["Reservations"] for it in one["Instances"]]


def has(partition, file_system):
    return (partition["content"] or {}).get("file_system") == file_system


def launched(live, aws, ami, kind, *arguments):
    """What `launch` says of an AMI of which nothing comes, having left nothing."""
    uploader = Uploader(live, aws.account)
    words = ("--instance-type", kind, "--wait-console", "never said", *arguments)
    done = uploader("launch", ami, *words, check=False, timeout=BOOTS)
    assert done.returncode == 1, done.stderr

    def up():
        return [it for it in instances(aws) if it["State"]["Name"] != "terminated"]

    until(lambda: not up(), "its end", BOOTS)
    (gone,) = instances(aws)
    assert aws.ec2.describe_volumes()["Volumes"] == []
    groups = aws.ec2.describe_security_groups()["SecurityGroups"]
    assert [it["GroupName"] for it in groups] == ["default"]
    return done.stderr, gone


def test_one_that_hangs_is_shown_and_ended(live, account):
    ami = account.register(
        account.snapshot({0: boot_sector("nothing to boot\r\n").ljust(BLOCK, b"\0")}),
        BootMode="legacy-bios",
    )
    told, gone = launched(live, account, ami, "t2.micro", "--timeout", "20s")
    assert "gave no answer within" in told and '"never said" is not on its console' in told
    assert "nothing to boot" in told[told.index("the end of its console:") :]
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_one_without_a_root_file_system_is_shown_at_once(live, account, hello):
    """It powers off by itself, which ends the wait."""
    (image, _) = hello
    said = json.loads(run(IMGTOOL, "inspect", image.raw, "--json").stdout)
    (root,) = [it for it in said["partitions"] if has(it, "ext4")]
    at = root["start"] + SUPERBLOCK
    blocks = image.content()
    index, offset = divmod(at, BLOCK)
    blocks[index] = blocks[index][:offset] + bytes(LENGTH) + blocks[index][offset + LENGTH :]
    ami = account.register(account.snapshot(blocks), BootMode="uefi-preferred")
    told, gone = launched(live, account, ami, "t3.micro", "--timeout", "300s")
    assert "is terminated without an answer" in told or "is shutting-down without" in told
    assert "imgtool: FAILED:" in told, told
    assert gone["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
