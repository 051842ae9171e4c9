"""Converters that come when there is work: launched on demand, told apart, replaced, and gone when
idle. Instances are records here, and an agent as a process stands in for the guest of one."""

import base64
import contextlib
import http.server
import json
import signal
import threading
import time

import pytest
from botocore.exceptions import ClientError

from flow.own_vault import VAULT
from flow.sample import sample, written
from harness.target import wait

TAG = "uploader:converter"


class Fleet:
    """The vault of `vault init`, with an AMI that converters are launched from."""

    def __init__(self, aws, uploader, emulator, tmp_path):
        self.aws, self.uploader, self.emulator, self.path = aws, uploader, emulator, tmp_path
        self.ec2, self.s3 = aws.client("ec2"), aws.client("s3")
        self.bucket = f"{VAULT}-{aws.account}-us-east-1"
        uploader("vault", "init")
        uploader("push", written(sample(), tmp_path))

    def ami(self, version="0.1.0"):
        """Registers one, and writes down that it is the converter's, as `uploader converter
        bootstrap` does."""
        ami = self.aws.register(BootMode="uefi-preferred", EnaSupport=True)
        (image,) = self.ec2.describe_images(ImageIds=[ami])["Images"]
        current = {
            "version": 1,
            "ami": ami,
            "snapshot": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"],
            "digest": "ab" * 32,
            "program_version": version,
            "program_sha256": "cd" * 32,
            "made": "2026-11-01T12:00:00Z",
        }
        key = "converter-image/current.json"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(current).encode())
        return ami

    def instances(self, state=("pending", "running")):
        filters = [{"Name": "instance-state-name", "Values": list(state)}]
        found = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return [it for one in found for it in one["Instances"]]

    def groups(self):
        found = self.ec2.describe_security_groups()["SecurityGroups"]
        return [it for it in found if it["GroupName"] != "default"]

    def heartbeats(self):
        prefix = "converter/heartbeats/"
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        texts = [
            self.s3.get_object(Bucket=self.bucket, Key=it["Key"])["Body"].read() for it in found
        ]
        return [json.loads(it) for it in texts]

    def convert(self, *arguments, **more):
        return self.uploader("convert", "web", *arguments, **more)

    def waiting(self):
        """How many requests are in the queue."""
        shown = self.uploader("requests", parse=True).json["regions"][0]
        return shown["waiting"] + shown["taken"]

    def fault(self, *arguments):
        self.emulator.cli("fault", "add", "--account", self.aws.account, *arguments)

    @contextlib.contextmanager
    def agent(self, *arguments):
        """An agent, until the block ends; then it is told to stop."""
        process = self.uploader.start("agent", *arguments)
        try:
            wait(lambda: len(self.heartbeats()) > 0, True)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.fixture
def fleet(aws, uploader, emulator, tmp_path):
    yield Fleet(aws, uploader, emulator, tmp_path)
    emulator.cli("fault", "clear")


def tags(of):
    return {it["Key"]: it["Value"] for it in of["Tags"]}


def test_a_converter_is_launched_with_all_that_is_asked_of_it(fleet):
    ami = fleet.ami()
    done = fleet.convert("--no-wait", "--idle", "30m")
    (it,) = fleet.instances()
    assert it["InstanceId"] in done.stderr and "t2.micro" in done.stderr
    assert it["ImageId"] == ami and it["InstanceType"] == "t2.micro"
    assert tags(it) == {
        "Name": f"{VAULT} converter",
        "image-vault:vault": VAULT,
        TAG: VAULT,
    }
    options = it["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert it["IamInstanceProfile"]["Arn"].endswith(f"/{VAULT}-converter-us-east-1")

    def attribute(name):
        return fleet.ec2.describe_instance_attribute(InstanceId=it["InstanceId"], Attribute=name)

    behaviour = attribute("instanceInitiatedShutdownBehavior")
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    data = json.loads(base64.b64decode(attribute("userData")["UserData"]["Value"]))
    assert (data["vault"], data["region"], data["idle_seconds"]) == (VAULT, "us-east-1", 1800)
    volumes = [{"Name": "attachment.instance-id", "Values": [it["InstanceId"]]}]
    wait(lambda: len(fleet.ec2.describe_volumes(Filters=volumes)["Volumes"]), 1)
    (volume,) = fleet.ec2.describe_volumes(Filters=volumes)["Volumes"]
    assert volume["Encrypted"] and volume["Attachments"][0]["DeleteOnTermination"]

    (group,) = fleet.groups()
    assert group["GroupName"] == f"{VAULT}-converter" and group["IpPermissions"] == []
    assert [it["GroupId"] for it in it["SecurityGroups"]] == [group["GroupId"]]
    assert tags(group)["image-vault:vault"] == VAULT

    # It starts: the next request launches none.
    again = fleet.convert("--no-wait")
    assert len(fleet.instances()) == 1 and "to start" in again.stderr
    # What stands in for its guest carries both out.
    with fleet.agent("--id", it["InstanceId"]):
        assert len(fleet.convert(parse=True).json["regions"]) == 1
        assert len(fleet.instances()) == 1
    wait(lambda: len(fleet.ec2.describe_images(Owners=["self"])["Images"]), 1 + 3)

    # All of it goes with the vault.
    dry = fleet.uploader("vault", "remove", "--dry-run").stdout
    assert it["InstanceId"] in dry and group["GroupId"] in dry
    fleet.uploader("vault", "remove", "--yes", "--force")
    assert fleet.instances() == [] and fleet.groups() == []


def test_callers_at_the_same_time_launch_one(fleet):
    fleet.ami()
    callers = [fleet.uploader.start("convert", "web", "--no-wait") for _ in range(4)]
    said = [it.communicate(timeout=180) for it in callers]
    assert [it.returncode for it in callers] == [0] * 4, said
    assert len(fleet.instances(("pending", "running", "shutting-down", "terminated"))) == 1
    assert sum("launched the converter" in err for _, err in said) == 1


def test_an_agent_that_somebody_runs_counts(fleet):
    fleet.ami()
    with fleet.agent() as agent:
        (heartbeat,) = fleet.heartbeats()
        assert heartbeat["id"].startswith("host-") and heartbeat["id"].endswith(f"-{agent.pid}")
        assert heartbeat["activity"] == "idle" and heartbeat["memory"] == 48 << 20
        fleet.convert()
        assert fleet.instances() == []
    assert fleet.heartbeats() == [], "it takes its heartbeat away"
    # Nobody is there now, and nobody is to be launched.
    fleet.convert("--no-wait", "--no-launch")
    assert fleet.instances() == []


def test_without_an_ami_it_is_said_how_to_get_one(fleet):
    # What only says that it is one is none.
    tags = [{"Key": TAG, "Value": VAULT}]
    fleet.aws.register(TagSpecifications=[{"ResourceType": "image", "Tags": tags}])
    for arguments in ([], ["--no-wait"]):
        done = fleet.convert(*arguments, check=False)
        assert done.returncode == 3
        assert "uploader converter bootstrap" in done.stderr and "--no-launch" in done.stderr
    # Nothing is asked for: the same command, once there is an AMI, makes one.
    assert fleet.instances() == [] and fleet.waiting() == 0
    # Those who run agents themselves say so, and their requests wait for whoever comes.
    fleet.convert("--no-wait", "--no-launch")
    done = fleet.uploader("agent", "--idle", "2s", "--json")
    assert [json.loads(it)["outcome"] for it in done.stdout.splitlines()] == ["finished"]
    assert fleet.heartbeats() == []


def test_wrong_settings_of_a_converter_are_told_before_anything_is_sent(fleet):
    fleet.ami()
    for arguments, words in [
        (["--subnet", "subnet-0123456789abcdef0"], "--subnet subnet-0123456789abcdef0: there is"),
        (["--instance-type", "t2.nonsense"], "--instance-type t2.nonsense: there is none such"),
    ]:
        for more in ([], ["--no-wait"]):
            done = fleet.convert(*arguments, *more, check=False)
            assert done.returncode == 2 and words in done.stderr, done.stderr
    assert fleet.waiting() == 0 and fleet.instances() == []
    # Where somebody is there, none is launched, and they are not needed.
    with fleet.agent():
        fleet.convert("--subnet", "subnet-0123456789abcdef0")
    fleet.convert("--no-wait", "--instance-type", "t3.small")
    assert [it["InstanceType"] for it in fleet.instances()] == ["t3.small"]


def test_an_older_ami_is_told(fleet):
    fleet.ami("0.0.9")
    done = fleet.convert("--no-wait")
    assert "its AMI is of uploader 0.0.9, older than this one" in done.stderr, done.stderr
    assert "uploader converter bootstrap" in done.stderr
    assert len(fleet.instances()) == 1


def test_an_agent_for_one_request_is_nobody_to_count_on(fleet):
    """It is at work on another request, and ends then."""
    fleet.ami()
    fleet.fault("--service", "ebs", "--operation", "PutSnapshotBlock", "--delay-ms", "40000")
    fleet.convert("--no-wait", "--no-launch")
    with fleet.agent("--once") as agent:
        assert [it["activity"] for it in fleet.heartbeats()] == ["leaving"]
        wait(lambda: [it["requests"] for it in fleet.heartbeats()], [1], 90)
        done = fleet.convert("--no-wait")
        assert len(fleet.instances()) == 1, done.stderr
        assert agent.poll() is None
        fleet.emulator.cli("fault", "clear")
        assert agent.wait(120) == 0


def test_an_agent_for_one_request_that_takes_it_is_enough(fleet):
    fleet.ami()
    with fleet.agent("--once") as agent:
        fleet.convert("--no-wait")
        assert agent.wait(120) == 0
    assert fleet.instances() == []
    assert len(fleet.ec2.describe_images(Owners=["self"])["Images"]) == 2


def test_a_third_converter_is_not_launched(fleet):
    """Two were, for one request, and did nothing: it is said before another is."""
    fleet.ami()
    done = fleet.convert("--replace-after", "2s", check=False, timeout=300)
    assert done.returncode == 1
    assert "2 converters were launched for request" in done.stderr, done.stderr
    assert done.stderr.count("launched the converter") == 2
    assert fleet.instances() == []
    every = fleet.instances(("pending", "running", "shutting-down", "terminated"))
    assert len(every) == 2


def test_one_that_never_shows_life_is_replaced(fleet):
    fleet.ami()
    fleet.convert("--no-wait")
    (first,) = fleet.instances()
    time.sleep(3)
    done = fleet.convert("--no-wait", "--replace-after", "2s")
    assert f"terminates the converter {first['InstanceId']}" in done.stderr
    assert "had no heartbeat yet" in done.stderr
    (second,) = fleet.instances()
    assert second["InstanceId"] != first["InstanceId"]


def test_one_whose_heart_stopped_is_replaced(fleet):
    fleet.ami()
    fleet.convert("--no-wait")
    (first,) = fleet.instances()
    with fleet.agent("--id", first["InstanceId"]) as agent:
        agent.kill()
        agent.wait()
        time.sleep(3)
        done = fleet.convert("--no-wait", "--replace-after", "2s")
    assert "its last heartbeat is" in done.stderr
    (second,) = fleet.instances()
    assert second["InstanceId"] != first["InstanceId"]
    assert fleet.heartbeats() == []


def test_one_that_was_killed_at_work_is_replaced_by_who_waits(fleet):
    """kill -9 of the guest mid-conversion: EC2 sees an instance that has ended, with a heartbeat
    that is fresh."""
    fleet.ami()
    slow = ("--service", "ebs", "--operation", "PutSnapshotBlock", "--delay-ms", "8000")
    fleet.fault(*slow)
    caller = fleet.uploader.start("convert", "web", "--json")
    wait(lambda: len(fleet.instances()), 1)
    (first,) = fleet.instances()
    with fleet.agent("--id", first["InstanceId"], "--visibility", 5) as agent:
        wait(lambda: [it["activity"] for it in fleet.heartbeats()], ["busy"], 60)
        agent.kill()
        agent.wait()
    fleet.ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    wait(lambda: [it["InstanceId"] != first["InstanceId"] for it in fleet.instances()], [True], 120)
    (second,) = fleet.instances()
    fleet.emulator.cli("fault", "clear")
    with fleet.agent("--id", second["InstanceId"]):
        out, err = caller.communicate(timeout=120)
    assert caller.returncode == 0, err
    (region,) = json.loads(out)["regions"]
    made = [it["ImageId"] for it in fleet.ec2.describe_images(Owners=["self"])["Images"]]
    assert region["ami"] in made and len(made) == 2, "the converter's AMI, and one"


RUN = ("--service", "ec2", "--operation", "RunInstances", "--status", "400")


def test_without_capacity_it_goes_elsewhere(fleet):
    fleet.ami()
    fleet.fault(*RUN, "--code", "InsufficientInstanceCapacity", "--limit", "1")
    fleet.convert("--no-wait")
    (it,) = fleet.instances()
    zones = fleet.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    zones = sorted(it["AvailabilityZone"] for it in zones["Subnets"])
    assert it["Placement"]["AvailabilityZone"] == zones[1] and it["InstanceType"] == "t2.micro"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InsufficientInstanceCapacity", ["no capacity", "t2.micro in us-east-1a", "t3.micro in"]),
        ("VcpuLimitExceeded", ["quota", "Service Quotas"]),
        ("InstanceLimitExceeded", ["quota", "Service Quotas"]),
        ("UnauthorizedOperation", ["lacks the permission ec2:RunInstances"]),
        ("InvalidAMIID.NotFound", ["is gone", "uploader converter bootstrap"]),
    ],
)
def test_what_ec2_refuses_is_told(fleet, code, words):
    fleet.ami()
    fleet.fault(*RUN, "--code", code)
    done = fleet.convert("--no-wait", check=False)
    assert done.returncode == 3
    for it in (*words, "is sent, and stays"):
        assert it in done.stderr, done.stderr
    assert fleet.instances() == []
    # Whoever comes next is not held up.
    fleet.emulator.cli("fault", "clear")
    fleet.convert("--no-wait")
    assert len(fleet.instances()) == 1


def test_without_a_default_vpc_a_subnet_has_to_be_named(fleet):
    fleet.ami()
    subnets = fleet.ec2.describe_subnets()["Subnets"]
    for it in subnets[1:]:
        fleet.ec2.delete_subnet(SubnetId=it["SubnetId"])
    other = fleet.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = fleet.ec2.create_subnet(VpcId=other, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    fleet.ec2.delete_subnet(SubnetId=subnets[0]["SubnetId"])
    done = fleet.convert("--no-wait", check=False)
    assert done.returncode == 3 and fleet.waiting() == 0
    assert "no default VPC" in done.stderr and "--subnet" in done.stderr
    done = fleet.convert("--no-wait", "--subnet", "subnet-0123456789abcdef0", check=False)
    assert done.returncode == 2 and "there is none such" in done.stderr
    fleet.convert("--no-wait", "--subnet", subnet)
    (it,) = fleet.instances()
    assert it["SubnetId"] == subnet
    (group,) = fleet.groups()
    assert group["VpcId"] == other


def test_an_ami_that_was_deregistered_is_told(fleet):
    ami = fleet.ami()
    fleet.ec2.deregister_image(ImageId=ami)
    done = fleet.convert("--no-wait", check=False)
    assert done.returncode == 3
    assert f"{ami} is gone" in done.stderr and "uploader converter bootstrap" in done.stderr
    assert fleet.instances() == [] and fleet.waiting() == 0


def test_a_group_that_lets_something_in_is_not_used(fleet):
    fleet.ami()
    group = fleet.ec2.create_security_group(GroupName=f"{VAULT}-converter", Description="x")
    fleet.ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    done = fleet.convert("--no-wait", check=False)
    assert done.returncode == 3 and "inbound rules" in done.stderr
    assert group["GroupId"] in done.stderr and fleet.instances() == []


def test_user_data_that_is_too_long_is_refused_before_anything_is_sent(fleet, tmp_path):
    fleet.ami()
    environment = fleet.uploader.environment()
    with open(environment["AWS_CA_BUNDLE"]) as file:
        ca = file.read()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(ca * (16384 // len(ca) + 1))
    done = fleet.convert("--no-wait", check=False, env={"AWS_CA_BUNDLE": str(bundle)})
    assert done.returncode == 2 and "16384" in done.stderr
    assert fleet.instances() == []
    assert fleet.uploader("requests", parse=True).json["regions"][0]["waiting"] == 0


def test_an_agent_takes_as_many_requests_as_it_has_room_for(fleet):
    fleet.fault("--service", "ebs", "--operation", "PutSnapshotBlock", "--delay-ms", "8000")
    for _ in range(3):
        fleet.convert("--no-wait", "--no-launch")
    with fleet.agent("--parallel", 3, "--memory", 96) as agent:

        def busy():
            return [it["requests"] for it in fleet.heartbeats()]

        wait(busy, [3], 90)
        fleet.emulator.cli("fault", "clear")

        def own():
            return len(fleet.ec2.describe_images(Owners=["self"])["Images"])

        wait(own, 3, 120)
        assert agent.poll() is None


# Launch and see.


@contextlib.contextmanager
def served(status=200):
    """Something that answers, where a tunnel into a guest would."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def address(server):
    return "{}:{}".format(*server.server_address)


class Launcher:
    """An AMI, and what launching it leaves."""

    def __init__(self, aws, uploader):
        self.aws, self.uploader, self.ec2 = aws, uploader, aws.client("ec2")
        self.ami = aws.register(BootMode="uefi-preferred", EnaSupport=True)

    def __call__(self, *arguments, **more):
        return self.uploader("launch", self.ami, *arguments, **more)

    instances = Fleet.instances
    groups = Fleet.groups

    def is_clean(self):
        return self.instances() == [] and self.groups() == []


@pytest.fixture
def launch(aws, uploader):
    return Launcher(aws, uploader)


def test_a_launched_image_answers_and_goes(launch):
    with served() as server:
        done = launch("--connect", address(server), "--wait-http", "/health", parse=True)
        assert "/health" in server.asked
    it = done.json
    assert it["answered"] and not it["kept"] and it["ami"] == launch.ami
    assert 0 <= it["seconds"]["running"] <= it["seconds"]["answer"]
    assert it["instance_type"] == "t3.micro"
    assert launch.is_clean()
    (gone,) = launch.instances(("terminated", "shutting-down"))
    assert gone["InstanceId"] == it["instance"]
    assert gone["MetadataOptions"]["HttpTokens"] == "required"


def test_a_launched_image_can_be_kept(launch):
    with served() as server:
        done = launch(
            "--connect", address(server), "--keep", "--port", 8080, "--from", "192.0.2.0/24"
        )
    (it,) = launch.instances()
    assert f"{it['InstanceId']} is kept" in done.stdout and "until running" in done.stdout
    (group,) = launch.groups()
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpProtocol"]) == (8080, 8080, "tcp")
    assert [it["CidrIp"] for it in rule["IpRanges"]] == ["192.0.2.0/24"]
    assert group["GroupId"] in done.stderr


def test_what_does_not_answer_fails_and_goes(launch):
    with served(status=503) as server:
        done = launch("--connect", address(server), "--timeout", "4s", check=False)
    assert done.returncode == 1 and "status 503" in done.stderr and "console" in done.stderr
    assert launch.is_clean()
    done = launch("--wait-console", "never said", "--timeout", "3s", check=False)
    assert done.returncode == 1 and "never said" in done.stderr
    assert launch.is_clean()


def test_an_instance_that_ends_fails_at_once(launch):
    process = launch.uploader.start("launch", launch.ami, "--wait-console", "never said")
    wait(lambda: [it["State"]["Name"] for it in launch.instances(["running"])], ["running"])
    (it,) = launch.instances()
    assert launch.groups() == [], "nothing has to come in"
    launch.ec2.terminate_instances(InstanceIds=[it["InstanceId"]])
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "without an answer" in err


def test_ctrl_c_takes_all_away(launch):
    process = launch.uploader.start("launch", launch.ami, "--connect", "127.0.0.1:1")
    wait(lambda: len(launch.instances()), 1)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert launch.is_clean()


def test_a_terminal_that_is_closed_takes_all_away(launch):
    """A connection that drops: SIGHUP, and nobody reads what is said any more."""
    process = launch.uploader.start("launch", launch.ami, "--connect", "127.0.0.1:1")
    assert "as " in process.stderr.readline()
    process.stderr.close()
    wait(lambda: len(launch.instances()), 1)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 130
    process.stdout.close()
    assert launch.is_clean()


LOST = [
    ("RunInstances", "2"),
    ("CreateSecurityGroup", "1"),
    ("AuthorizeSecurityGroupIngress", "1"),
    ("TerminateInstances", "1"),
    ("DeleteSecurityGroup", "1"),
]


@pytest.mark.parametrize(("operation", "limit"), LOST)
def test_a_launch_outlives_lost_answers(launch, emulator, operation, limit):
    """What was made without its maker being told is used, and taken away at the end."""
    rule = ("--service", "ec2", "--operation", operation, "--lose", "--limit", limit)
    emulator.cli("fault", "add", "--account", launch.aws.account, *rule)
    try:
        with served() as server:
            done = launch("--connect", address(server), parse=True)
        assert done.json["answered"]
        assert launch.is_clean()
        assert len(launch.instances(EVER)) == 1
    finally:
        emulator.cli("fault", "clear")


EVER = ("pending", "running", "shutting-down", "terminated")


@pytest.mark.parametrize("operation", ["RunInstances", "CreateSecurityGroup"])
def test_a_launch_that_is_never_answered_leaves_nothing(launch, emulator, operation):
    rule = ("--service", "ec2", "--operation", operation, "--lose")
    emulator.cli("fault", "add", "--account", launch.aws.account, *rule)
    try:
        done = launch("--connect", "127.0.0.1:1", check=False)
        assert done.returncode == 3, done.stderr
        assert launch.is_clean()
        # It was there.
        assert len(launch.instances(EVER)) == (operation == "RunInstances")
    finally:
        emulator.cli("fault", "clear")


def test_a_tunnel_that_fails_is_told_by_its_last_line(launch, tmp_path):
    tunnel = tmp_path / "tunnel"
    tunnel.write_text("#!/bin/sh\necho starting >&2\necho no route to $1 >&2\nexit 254\n")
    tunnel.chmod(0o755)
    done = launch(
        "--connect", "127.0.0.1:1", "--tunnel", f"{tunnel} {{id}}", "--timeout", "5s", check=False
    )
    assert done.returncode == 1
    told = [it for it in done.stderr.splitlines() if "--tunnel" in it]
    (gone,) = launch.instances(EVER)
    assert len(told) == 1 and "254" in told[0], "it failed several times, and said the same"
    assert f"no route to {gone['InstanceId']}" in told[0]


def test_a_launch_that_fails_leaves_no_group(launch, emulator):
    rule = ("--service", "ec2", "--operation", "RunInstances", "--status", "400")
    account = ("--account", launch.aws.account)
    emulator.cli("fault", "add", *account, *rule, "--code", "VcpuLimitExceeded")
    done = launch(check=False)
    emulator.cli("fault", "clear")
    assert done.returncode == 3 and "quota" in done.stderr
    assert launch.is_clean()
    gone = launch.uploader("launch", "ami-0123456789abcdef0", check=False)
    assert gone.returncode == 2 and "there is no AMI" in gone.stderr
    with pytest.raises(ClientError):
        launch.ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])


def test_what_is_wrong_with_a_launch_is_named(launch, emulator):
    """What the user said: exit code 2, with the argument that says it. Nothing is left."""

    def refused(*arguments, says, ami=launch.ami):
        done = launch.uploader("launch", ami, *arguments, check=False)
        assert done.returncode == 2, done.stderr
        for it in says:
            assert it in done.stderr, done.stderr
        assert launch.is_clean() and launch.instances(EVER) == []

    refused("--from", "nonsense", says=["--from", "nonsense", "192.0.2.0/24"])
    refused("--from", "::/0", says=["--from", "::/0"])
    refused(says=["there is no AMI nonsense"], ami="nonsense")
    refused("--subnet", "nonsense", says=["--subnet nonsense: there is none such"])
    none = "--instance-type t3.nonsense: there is none such"
    refused("--instance-type", "t3.nonsense", says=[none])
    # It is one, but of another architecture than the image.
    arm = ["--instance-type t4g.micro: EC2 does not take it", "architecture"]
    refused("--instance-type", "t4g.micro", says=arm)

    # What only EC2 finds wrong. Who may not ask for types is told by the launch.
    def fault(operation, status, code):
        rule = ("--service", "ec2", "--operation", operation, "--status", status, "--code", code)
        emulator.cli("fault", "add", "--account", launch.aws.account, *rule)

    try:
        fault("DescribeInstanceTypeOfferings", "403", "UnauthorizedOperation")
        said = "--instance-type t3.nonsense: EC2 does not take it: ec2 RunInstances: "
        refused("--instance-type", "t3.nonsense", says=[said])
        emulator.cli("fault", "clear")
        fault("AuthorizeSecurityGroupIngress", "400", "InvalidParameterValue")
        said = "--from 192.0.2.7/24: EC2 does not take it: ec2 AuthorizeSecurityGroupIngress: "
        refused("--from", "192.0.2.7/24", says=[said])
        emulator.cli("fault", "clear")
        fault("RunInstances", "400", "InvalidAMIID.Unavailable")
        refused(says=[f"the AMI {launch.ami} can't be launched: ec2 RunInstances: "])
        emulator.cli("fault", "clear")
        # What is not the user's is not: a key of ours that EC2 does not take.
        fault("RunInstances", "400", "InvalidParameterValue")
        done = launch("--instance-type", "t3.micro", check=False)
        assert done.returncode == 1 and "--instance-type" not in done.stderr, done.stderr
    finally:
        emulator.cli("fault", "clear")
