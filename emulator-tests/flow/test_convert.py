"""Requests and the converter: the shipped `uploader` on the emulator."""

import json
import re
import signal
import time

import pytest

from flow.own_vault import KEY_TAG, VAULT, OwnVault
from flow.sample import noise, sample
from harness.target import content
from harness.waiting import LONG, says, until


@pytest.fixture
def vault(aws):
    return OwnVault(aws)


@pytest.fixture
def agent(uploader):
    """Runs an agent until there is nothing to do; gives what became of each message."""

    def run(*arguments, idle=2, **more):
        arguments = ("agent", "--until-idle", idle, "--visibility", 3, "--pause", 1, *arguments)
        done = uploader(*arguments, "--json", **more)
        done.ended = [json.loads(line) for line in done.stdout.splitlines()]
        return done

    return run


def asked(uploader, *arguments, **more):
    """Sends a request and does not wait, for agents that the test runs: its id."""
    done = uploader("convert", *arguments, "--no-wait", "--no-launch", parse=True, **more)
    return done.json["regions"][0]["request"]


def faults(emulator, account, *rules):
    """Adds rules for one account: it has no others' requests."""
    for rule in rules:
        emulator.cli("fault", "add", "--account", account, *rule.split())


def fault(emulator, account, rule):
    """Adds a rule for one account; its id."""
    said = emulator.cli("fault", "add", "--account", account, "--json", *rule.split())
    return json.loads(said.stdout)[0]["id"]


def fired(emulator, rule):
    """How often a rule fired."""
    (found,) = (
        it for it in json.loads(emulator.cli("fault", "list", "--json").stdout) if it["id"] == rule
    )
    return found["fired"]


def tags(of):
    return {it["Key"]: it["Value"] for it in of["Tags"]}


def test_an_ami_has_all_that_a_modern_one_has(vault, uploader, agent):
    image = vault.push(sample())
    request = asked(
        uploader,
        "web",
        "--ami-name",
        "web 1.4",
        "--image-version",
        "1.4-rc1+3",
        "--description",
        "a web",
        "--tag",
        "team=shop",
        "--tag",
        "version=mine",
    )
    done = agent()
    assert [it["outcome"] for it in done.ended] == ["finished"], done.stderr

    (ami,) = vault.images()
    assert ami["ImageId"] == done.ended[0]["ami"]
    wanted = {
        "Name": "web 1.4",
        "Description": "a web",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "BootMode": "uefi-preferred",
        "ImdsSupport": "v2.0",
        "State": "available",
        "Public": False,
    }
    assert {key: ami.get(key) for key in wanted} == wanted
    (snapshot,) = vault.snapshots()
    (device,) = ami["BlockDeviceMappings"]
    assert device["DeviceName"] == "/dev/xvda"
    ebs = {
        "SnapshotId": snapshot["SnapshotId"],
        "VolumeType": "gp3",
        "VolumeSize": 1,
        "DeleteOnTermination": True,
        "Encrypted": True,
    }
    assert {key: device["Ebs"][key] for key in ebs} == ebs
    assert snapshot["KmsKeyId"] == vault.key and snapshot["State"] == "completed"
    own = {
        "image-vault:vault": VAULT,
        "image-vault:image": "web",
        "image-vault:version": "1.4-rc1+3",
        "image-vault:digest": image.digest,
        "image-vault:source": vault.manifest(image),
        "image-vault:request": request,
        "Name": "web 1.4",
        "team": "shop",
        "version": "mine",
    }
    assert tags(ami) == own and tags(snapshot) == own

    # All that is data or meaningful zero, and nothing else.
    assert content(vault.ebs, snapshot["SnapshotId"]) == image.put
    record = vault.record(request)
    assert (record["phase"], record["ami"]) == ("finished", ami["ImageId"])
    assert vault.waiting() == 0 and vault.letters() == []


def test_tags_of_a_request_that_says_nothing(vault, uploader, agent):
    """A version that nobody said is not made up, and the source leads to the manifest."""
    image = vault.push(sample())
    request = asked(uploader, "web")
    agent()
    (ami,), (snapshot,) = vault.images(), vault.snapshots()
    own = {
        "image-vault:vault": VAULT,
        "image-vault:image": "web",
        "image-vault:digest": image.digest,
        "image-vault:source": vault.manifest(image),
        "image-vault:request": request,
        "Name": f"web-{image.digest[:8]}-{request[:8]}",
    }
    assert tags(ami) == own and tags(snapshot) == own
    bucket, key = own["image-vault:source"].removeprefix("s3://").split("/", 1)
    assert vault.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == image.text()


@pytest.mark.parametrize(
    ("modes", "wanted"), [(["bios"], "legacy-bios"), (["uefi"], "uefi")], ids=["bios", "uefi"]
)
def test_the_boot_mode_is_the_manifests(vault, uploader, agent, modes, wanted):
    vault.push(sample(boot_modes=modes))
    asked(uploader, "web")
    agent()
    assert [it["BootMode"] for it in vault.images()] == [wanted]


def test_convert_waits_and_prints_the_ami(vault, uploader):
    vault.push(sample())
    with uploader.start("agent", "--once") as running:
        done = uploader("convert", "web", parse=True)
        (region,) = done.json["regions"]
        (ami,) = vault.images()
        assert region["ami"] == ami["ImageId"]
        # Name, digits of digest and request.
        assert ami["Name"] == f"web-{sample().digest[:8]}-{region['request'][:8]}"
        assert "arn:" in done.stderr, "who asks"
        assert running.wait(LONG) == 0
        running.communicate()
    # Without an agent it says so, and what to do.
    late = uploader("convert", "web", "--no-launch", "--timeout", 1, check=False)
    assert late.returncode == 1
    assert "taken by no agent" in late.stderr and "uploader requests" in late.stderr


def test_a_second_version_is_put_on_the_first(vault, uploader, agent):
    first, second = vault.push(sample(version=1)), vault.push(sample(version=2))
    for image in (first, second):
        request = asked(uploader, f"web@{image.digest[:12]}")
        agent()
    record = vault.record(request)
    assert record["start"]["parent"]["image"]["digest"] == first.digest
    assert vault.progress(request)["total"] == 1, "one block is another"
    expected = first.put | second.put
    assert content(vault.ebs, record["snapshot"]) == expected


def test_another_key_is_a_whole_snapshot_with_that_key(vault, uploader, agent):
    image = vault.push(sample())
    asked(uploader, "web")
    agent()
    other = vault.lent_key("alias/other")
    request = asked(uploader, "web", "--kms-key", "alias/other")
    agent()
    record = vault.record(request)
    assert "parent" not in record["start"]
    keys = {it["SnapshotId"]: it["KmsKeyId"] for it in vault.snapshots()}
    assert keys[record["snapshot"]] == other
    assert content(vault.ebs, record["snapshot"]) == image.put


def test_a_key_that_the_converter_may_not_use(vault, uploader, tmp_path):
    """It is told before anything is asked for, or sent, and how to allow it."""
    image = vault.push(sample())
    other = vault.made_key("alias/other")
    theirs = vault.aws.key(account=vault.aws.other)
    new, pack = sample(version=2), tmp_path / "web.pack"
    pack.write_bytes(new.pack)
    pack.with_name("web.pack.json").write_bytes(new.text())
    for command in (("convert", "web"), ("publish", pack)):
        done = uploader(*command, "--kms-key", "alias/other", check=False)
        assert done.returncode == 2 and done.stdout == ""
        assert f"--kms-key alias/other: the converter may not use {other}" in done.stderr
        assert f"aws kms tag-resource --region us-east-1 --key-id {other}" in done.stderr
        assert f"TagKey={KEY_TAG},TagValue={VAULT}" in done.stderr
    wrong = [{"TagKey": KEY_TAG, "TagValue": "other-vault"}]
    vault.kms.tag_resource(KeyId=other, Tags=wrong)
    done = uploader("convert", "web", "--kms-key", other, check=False)
    assert done.returncode == 2 and "may not use" in done.stderr
    done = uploader("convert", "web", "--kms-key", theirs, check=False)
    assert done.returncode == 2 and theirs in done.stderr
    assert vault.waiting() == 0
    kept = vault.s3.list_objects_v2(Bucket=vault.bucket)["Contents"]
    assert {it["Key"] for it in kept} == {image.key, f"packs/{image.pack_digest}"}
    # What the hint says helps; and the vault's own key needs no tag.
    vault.kms.tag_resource(KeyId=other, Tags=[{"TagKey": KEY_TAG, "TagValue": VAULT}])
    for key in ("alias/other", vault.key, f"alias/{VAULT}"):
        asked(uploader, "web", "--kms-key", key)
    assert vault.waiting() == 3


def test_without_its_parent_a_snapshot_is_whole(vault, uploader, agent):
    first, second = vault.push(sample(version=1)), vault.push(sample(version=2))
    asked(uploader, f"web@{first.digest}")
    agent()
    (ami,) = vault.images()
    vault.ec2.deregister_image(ImageId=ami["ImageId"])
    vault.ec2.delete_snapshot(SnapshotId=vault.snapshots()[0]["SnapshotId"])
    request = asked(uploader, f"web@{second.digest}")
    agent()
    record = vault.record(request)
    assert content(vault.ebs, record["snapshot"]) == second.put


def test_a_parent_that_goes_before_the_snapshot_is_started(vault, uploader, agent, emulator):
    """The record names it already, and EBS is about to be asked: the snapshot is whole after
    all."""
    first, second = vault.push(sample(version=1)), vault.push(sample(version=2))
    asked(uploader, f"web@{first.digest}")
    agent()
    (ami,), (parent,) = vault.images(), vault.snapshots()
    held = "--service ebs --operation StartSnapshot --delay-ms 8000 --limit 1"
    held = fault(emulator, vault.account, held)
    request = asked(uploader, f"web@{second.digest}")
    with uploader.start("agent", "--once", "--json") as running:
        until(lambda: fired(emulator, held), "the snapshot is about to be started")
        named = vault.record(request)["start"]["parent"]["snapshot"]
        assert named == parent["SnapshotId"]
        vault.ec2.deregister_image(ImageId=ami["ImageId"])
        vault.ec2.delete_snapshot(SnapshotId=named)
        stdout, stderr = running.communicate(timeout=LONG)
    emulator.cli("fault", "clear")
    assert running.returncode == 0 and json.loads(stdout)["outcome"] == "finished", stderr
    record = vault.record(request)
    assert record["attempt"] == 2 and "parent" not in record["start"]
    one_each(vault, [request])
    assert content(vault.ebs, record["snapshot"]) == second.put


def test_a_snapshot_that_only_says_it_is_the_image_is_no_parent(vault, uploader, agent):
    first, second = vault.push(sample(version=1)), vault.push(sample(version=2))
    lie = {
        "image-vault:vault": VAULT,
        "image-vault:image": "web",
        "image-vault:digest": first.digest,
        "image-vault:source": vault.manifest(first),
        "image-vault:request": "07070707-0707-4707-8707-070707070707",
    }
    vault.aws.snapshot(
        {0: noise("evil")},
        Encrypted=True,
        KmsKeyArn=vault.key,
        Tags=[{"Key": key, "Value": value} for key, value in lie.items()],
        Description="uploader: request 07070707-0707-4707-8707-070707070707, snapshot 1",
    )
    request = asked(uploader, f"web@{second.digest}")
    agent()
    record = vault.record(request)
    assert "parent" not in record["start"]
    assert content(vault.ebs, record["snapshot"]) == second.put


def test_two_agents_share_twenty_requests(vault, uploader, emulator):
    # However much later one of them starts, the other has not done them all by then.
    faults(emulator, vault.account, "--service ec2 --operation RegisterImage --delay-ms 1000")
    for number in range(4):
        vault.push(sample(name=f"app{number}", blocks=4))
    requests = [asked(uploader, f"app{number % 4}") for number in range(20)]
    arguments = ("agent", "--until-idle", 4, "--json")
    agents = [uploader.start(*arguments) for _ in range(2)]
    said = [it.communicate(timeout=LONG) for it in agents]
    emulator.cli("fault", "clear")
    done = [[json.loads(line) for line in out.splitlines()] for out, _ in said]
    assert all(it["outcome"] == "finished" for some in done for it in some), said
    amis = [it["ami"] for some in done for it in some]
    assert len(amis) == len(set(amis)) == 20
    assert min(len(some) for some in done) >= 5, "the work is shared"
    assert sorted(tags(it)["image-vault:request"] for it in vault.images()) == sorted(requests)
    assert len(vault.snapshots()) == 20 and vault.waiting() == 0


# What each is about to do when it is killed: every state, twice. The last are those that only a
# request gets to that fails, or that has to wait.
STATES = [
    "verify",
    "read-record",
    "write-record",
    "fetch-manifest",
    "find-parent",
    "start-snapshot",
    "look-at-snapshot",
    "put-blocks",
    "complete-snapshot",
    "register-image",
    "find-image",
    "list-snapshots",
    "delete-message",
    "delete-snapshot",
    "dead-letter",
    "wait",
    "release",
]
# Some actions are over before the signal comes: then another agent is killed.
MOST_KILLS = 12
TROUBLE = [
    "--service ebs --operation PutSnapshotBlock --every 5 --reason ACCOUNT_THROTTLED",
    "--service ebs --operation PutSnapshotBlock --every 11 --lose",
    "--service ebs --operation StartSnapshot --every 3 --lose",
    "--service ebs --operation CompleteSnapshot --every 3 --lose",
    "--service ec2 --operation RegisterImage --every 3 --lose",
    "--service ec2 --operation DescribeImages --every 4 --code RequestLimitExceeded --status 503",
    "--service s3 --operation PutObject --every 5 --status 500 --code InternalError",
    "--service s3 --operation PutObject --every 7 --lose",
    "--service s3 --operation GetObject --every 6 --status 503 --code SlowDown",
    "--service sqs --operation DeleteMessage --every 4 --status 500 --code InternalError",
]


def killed_at(running, state, delay=0):
    """Kills an agent that is about to do this, or after a time; gives what it was about to do
    then."""
    with running:
        if state is not None:
            assert says(running, f"uploader: step {state}"), state
        time.sleep(delay)
        running.kill()
        said = running.stderr.read()
    assert running.returncode == -signal.SIGKILL, (state, said)
    steps = [it.removeprefix("uploader: step ") for it in said.splitlines() if "step " in it]
    return steps[-1] if steps else state


def test_an_agent_killed_forty_times_makes_one_ami_for_each_request(
    vault, uploader, agent, emulator, cli
):
    image = vault.push(sample(blocks=24))
    broken, late = vault.push(sample("broken", blocks=4)), vault.push(sample("late", blocks=4))
    vault.s3.delete_object(Bucket=vault.bucket, Key=f"packs/{broken.pack_digest}")
    requests = [asked(uploader, "web") for _ in range(10)]
    failing = []
    faults(emulator, vault.account, *TROUBLE)
    # Of the image that is late no snapshot can be started for a while; and EC2 does not know at
    # once that a snapshot is complete.
    quota = "--service ebs --operation StartSnapshot --resource late --status 400"
    quota = fault(emulator, vault.account, quota + " --code ConcurrentSnapshotLimitExceeded")
    unready = "--service ec2 --operation RegisterImage --limit 1 --status 400 --code IncorrectState"
    arguments = ("agent", "--verbose", "--visibility", 3, "--pause", 1, "--tries", 90)
    killed = []

    def kill(state, delay):
        running = uploader.start(*arguments, "--until-idle", 120)
        killed.append(killed_at(running, state, delay))

    for number in range(1, 15):
        kill(None, 0.13 * number)
    for state in STATES:
        for delay in [0, 0.02] + [0] * MOST_KILLS:
            if killed.count(state) >= 2:
                break
            if state in ("delete-snapshot", "dead-letter"):
                failing.append(asked(uploader, "broken"))
            elif state == "release":
                requests.append(asked(uploader, "late"))
            else:
                # Those before may all be past this state.
                requests.append(asked(uploader, "web"))
            if state == "wait":
                faults(emulator, vault.account, unready)
            kill(state, delay)
        assert killed.count(state) >= 2, (state, killed)
    assert len(killed) >= 40
    emulator.cli("fault", "remove", quota)

    # What is left is made by whoever is left alone. A request that met trouble is laid aside, for
    # longer than an agent without work stays.
    ends = time.monotonic() + 3 * LONG

    def ended(it):
        return (vault.record(it) or {}).get("phase") in ("finished", "failed")

    while vault.waiting() or not all(map(ended, requests + failing)):
        assert time.monotonic() < ends, [vault.record(it) for it in requests + failing]
        done = agent("--tries", 90, idle=8, timeout=3 * LONG)
        assert {it["outcome"] for it in done.ended} <= {"finished", "failed", "released"}, (
            done.stderr
        )
    emulator.cli("fault", "clear")
    emulator.quiet(vault.account)
    one_each(vault, requests, failing)
    # Killed between the two, an agent sends a dead letter again.
    letters = vault.letters()
    assert {it["request"] for it in letters} == set(failing)
    assert all(broken.pack_digest in it["reason"] for it in letters)
    for snapshot in vault.snapshots():
        own = late if tags(snapshot)["image-vault:image"] == "late" else image
        found = content(vault.ebs, snapshot["SnapshotId"])
        assert {index: found[index] for index in own.put} == own.put
    nothing_is_left(vault, uploader, cli)


def nothing_is_left(vault, uploader, cli):
    """But AMIs and what each of them consists of, as `uploader` and the AWS CLI show it."""

    def ask(*arguments):
        # For SQS it does not look at AWS_ENDPOINT_URL.
        said = cli(*arguments, "--output", "json", "--endpoint-url", vault.aws.endpoint)
        return json.loads(said or "null")

    own = ("--owners", "self")
    snapshot = "Images[].BlockDeviceMappings[].Ebs.SnapshotId"
    used = ask("ec2", "describe-images", *own, "--query", snapshot)
    found = ask("ec2", "describe-snapshots", "--owner-ids", "self", "--query", "Snapshots[]")
    assert sorted(it["SnapshotId"] for it in found) == sorted(used)
    assert {it["State"] for it in found} == {"completed"}
    assert ask("ec2", "describe-volumes", "--query", "Volumes[]") == []
    assert ask("ec2", "describe-instances", "--query", "Reservations[]") == []
    assert (
        ask("s3api", "list-multipart-uploads", "--bucket", vault.bucket, "--query", "Uploads")
        is None
    )
    attributes = ("--queue-url", vault.queue, "--attribute-names", "All")
    depth = ask("sqs", "get-queue-attributes", *attributes, "--query", "Attributes")
    depth = {it: depth[f"ApproximateNumberOfMessages{it}"] for it in ("", "NotVisible", "Delayed")}
    assert set(depth.values()) == {"0"}, depth

    shown = uploader("requests", "--limit", 1000, parse=True).json["regions"][0]
    assert (shown["waiting"], shown["taken"], shown["broken"]) == (0, 0, [])
    assert {it["phase"] for it in shown["requests"]} <= {"finished", "failed"}
    assert not any(it.get("left") for it in shown["requests"])
    ended = [it for it in shown["requests"] if it["phase"] == "finished"]
    assert sorted(it["snapshot"] for it in ended) == sorted(used)
    # Heartbeats of those that were killed are looked at no more, and swept by others in a day.
    status = uploader("converter", "status", parse=True, check=False).json["regions"][0]
    assert status["instances"] == []


def one_each(vault, requests, failing=()):
    """One AMI for each request, none for those that fail, and nothing else."""
    made = sorted(tags(it)["image-vault:request"] for it in vault.images())
    assert made == sorted(requests)
    used = [it["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for it in vault.images()]
    assert sorted(used) == sorted(it["SnapshotId"] for it in vault.snapshots())
    assert vault.waiting() == 0
    assert failing or vault.letters() == []
    for request in requests:
        record = vault.record(request)
        assert record["phase"] == "finished" and record["ami"]
    for request in failing:
        record = vault.record(request)
        assert record["phase"] == "failed" and "left" not in record, record


def test_two_agents_with_one_message_make_one_ami(vault, uploader, emulator):
    vault.push(sample(blocks=24))
    request = asked(uploader, "web")
    # The message comes again while the first is at it: its heartbeats are lost.
    faults(
        emulator,
        vault.account,
        "--service sqs --operation ChangeMessageVisibility --status 400 --code AccessDenied",
        "--service ebs --operation PutSnapshotBlock --delay-ms 5000",
    )
    arguments = ("agent", "--verbose", "--json", "--until-idle", 12)
    arguments += ("--visibility", 3, "--pause", 1, "--workers", 4)
    agents = [uploader.start(*arguments) for _ in range(2)]
    # Both are at it at the same time: with these delays neither has come to its end.
    assert all(says(it, "uploader: step put-blocks") for it in agents)
    emulator.cli("fault", "clear")
    said = [it.communicate(timeout=LONG) for it in agents]
    outcomes = [[json.loads(line)["outcome"] for line in out.splitlines()] for out, _ in said]
    assert all("finished" in some for some in outcomes), said
    one_each(vault, [request])


def test_sigterm_leaves_the_request_to_the_next(vault, uploader, agent, emulator):
    vault.push(sample(blocks=24))
    request = asked(uploader, "web")
    # Half a minute a block: whoever ends before that has waited for none.
    slow = "--service ebs --operation PutSnapshotBlock --delay-ms 30000"
    faults(emulator, vault.account, slow)
    running = uploader.start("agent", "--verbose", "--workers", 2, "--visibility", 3600)
    assert says(running, "uploader: step put-blocks")
    began = time.monotonic()
    running.send_signal(signal.SIGTERM)
    _, stderr = running.communicate(timeout=LONG)
    assert running.returncode == 0 and time.monotonic() - began < 30
    assert "left to the next agent" in stderr
    emulator.cli("fault", "clear")
    # It was given back: otherwise it would be hidden for an hour.
    agent("--once", timeout=LONG)
    one_each(vault, [request])


def test_sigterm_gives_back_what_a_poll_is_about_to_bring(vault, uploader, agent, emulator):
    vault.push(sample())
    request = asked(uploader, "web")
    slow = "--service sqs --operation ReceiveMessage --delay-ms 1000"
    slow = fault(emulator, vault.account, slow)
    running = uploader.start("agent", "--visibility", 3600)
    until(lambda: fired(emulator, slow), "the queue is asked")
    running.send_signal(signal.SIGTERM)
    _, stderr = running.communicate(timeout=LONG)
    assert running.returncode == 0, stderr
    emulator.cli("fault", "clear")
    emulator.quiet(vault.account)
    agent("--once", timeout=60)
    one_each(vault, [request])


def test_a_poll_that_is_never_answered_is_asked_again(vault, uploader, agent, emulator):
    """As where a flow was dropped on the way without a word."""
    vault.push(sample())
    request = asked(uploader, "web")
    never = "--service sqs --operation ReceiveMessage --delay-ms 600000 --limit 1"
    never = fault(emulator, vault.account, never)
    began = time.monotonic()
    agent("--once", timeout=LONG)
    assert fired(emulator, never) == 1 and time.monotonic() - began > 30
    one_each(vault, [request])


def test_an_answer_that_breaks_off_is_no_broken_record(vault, uploader, emulator):
    """A cut of the record's text is the way's fault: who waits looks again."""
    vault.push(sample())
    slow = "--service ebs --operation PutSnapshotBlock --delay-ms 1000"
    faults(emulator, vault.account, slow)
    cut = "--service s3 --operation GetObject --resource requests/ --cut answer --after-bytes 20"
    cut = fault(emulator, vault.account, cut + " --every 2")
    with uploader.start("agent", "--pause", 1, "--visibility", 3) as running:
        done = uploader("convert", "web", "--no-launch", parse=True)
        running.terminate()
        running.communicate()
    assert fired(emulator, cut) > 0
    emulator.cli("fault", "clear")
    assert [it["ImageId"] for it in vault.images()] == [done.json["regions"][0]["ami"]]


def test_a_session_that_ends_while_an_ami_is_waited_for(vault, uploader, agent, emulator):
    """Who waits can't look any more, and is told that the request goes on without that."""
    vault.push(sample())
    expired = "--service s3 --operation GetObject --resource requests/ --status 400"
    faults(emulator, vault.account, expired + " --nth 3 --code ExpiredToken")
    done = uploader("convert", "web", "--no-launch", check=False)
    emulator.cli("fault", "clear")
    assert done.returncode == 3 and done.stdout == ""
    assert "the credentials have expired: sign in again" in done.stderr
    request = re.search(r"request (\S+) goes on: uploader requests shows", done.stderr)[1]
    agent()
    one_each(vault, [request])


def test_an_agent_whose_credentials_expire_at_work_goes_on_with_new_ones(
    vault, uploader, agent, emulator
):
    vault.push(sample())
    request = asked(uploader, "web")
    expired = "--service ec2 --operation RegisterImage --status 400 --code RequestExpired --limit 1"
    faults(emulator, vault.account, expired)
    done = agent()
    emulator.cli("fault", "clear")
    assert [it["outcome"] for it in done.ended] == ["released", "finished"], done.stderr
    assert "ec2 RegisterImage: RequestExpired" in done.ended[0]["reason"]
    one_each(vault, [request])


def test_a_denied_call_is_told_with_its_permission_and_who_was_denied(
    vault, uploader, emulator, tmp_path
):
    """To whoever waits, not only on the agent's own console."""
    image = vault.push(sample())
    pack = tmp_path / "web.pack"
    pack.write_bytes(image.pack)
    pack.with_name("web.pack.json").write_bytes(image.text())
    denied = "--service ec2 --operation RegisterImage --status 403 --code UnauthorizedOperation"
    faults(emulator, vault.account, denied)
    role = vault.aws.client("sts").get_caller_identity()["Arn"]
    for command in (("convert", "web"), ("publish", pack)):
        with uploader.start("agent", "--once") as running:
            done = uploader(*command, "--no-launch", check=False)
            assert running.wait(LONG) == 0
            running.communicate()
        assert done.returncode == 1
        assert "lacks the permission ec2:RegisterImage" in done.stderr, done.stderr
        assert f"the caller was {role}" in done.stderr, done.stderr
    emulator.cli("fault", "clear")
    assert vault.is_empty() and len(vault.letters()) == 2


def test_an_agent_without_the_signing_key_gives_up(vault, uploader, agent):
    """Nothing can be verified, so no record says why: the dead letter does."""
    vault.push(sample())
    request = asked(uploader, "web")
    vault.kms.disable_key(KeyId=vault.signing_key)
    done = agent("--tries", 2, idle=8)
    assert [it["outcome"] for it in done.ended] == ["released", "released", "rejected"], done.stderr
    (letter,) = vault.letters()
    assert "given up after 2 tries: kms Verify: " in letter["reason"], letter
    assert "request" not in letter, "nobody verified whose it is"
    assert vault.record(request) is None
    assert vault.waiting() == 0 and vault.is_empty()


def test_a_record_that_is_none_is_given_up(vault, uploader, agent):
    vault.push(sample())
    request = asked(uploader, "web")
    vault.put(f"requests/{request}.json", b"{")
    done = agent("--tries", 1, idle=8)
    assert [it["outcome"] for it in done.ended] == ["released", "rejected"], done.stderr
    (letter,) = vault.letters()
    assert letter["request"] == request and "is not a request's record" in letter["reason"]
    assert vault.waiting() == 0 and vault.is_empty()


def test_what_was_left_when_the_queue_lost_a_message_is_taken_away(vault, uploader, agent):
    """Nobody brings such a request to its end: agents without work find it by its snapshot."""
    image = vault.push(sample())
    snapshots = {}
    for name, updated in (("old", "2026-01-01T12:00:00Z"), ("new", "2099-01-01T12:00:00Z")):
        fields = vault.request(image)
        request = fields["id"]
        own = {"image-vault:vault": VAULT, "image-vault:image": "web"}
        own["image-vault:request"] = request
        snapshot = vault.aws.snapshot(
            {0: noise(name)},
            Encrypted=True,
            KmsKeyArn=vault.key,
            Tags=[{"Key": key, "Value": value} for key, value in own.items()],
            Description=f"uploader: request {request}, snapshot 1",
        )
        record = {
            "version": 1,
            "id": request,
            "request_sha256": "ab" * 32,
            "image": fields["image"],
            "ami_name": f"web-{name}",
            "phase": "working",
            "attempt": 1,
            "incremental": True,
            "start": {"kms_key": vault.key, "at": updated},
            "snapshot": snapshot,
            "created": updated,
            "updated": updated,
        }
        vault.put(f"requests/{request}.json", json.dumps(record).encode())
        snapshots[name] = (request, snapshot)
    done = agent()
    (old, gone), (new, kept) = snapshots["old"], snapshots["new"]
    assert f"deleted what was left behind: {gone}" in done.stderr
    assert [it["SnapshotId"] for it in vault.snapshots()] == [kept]
    record = vault.record(old)
    assert record["phase"] == "failed" and "nobody brought it to its end" in record["reason"]
    assert vault.record(new)["phase"] == "working"
    assert record["reason"] in uploader("requests", "--failed").stdout


# What is no request, or is not this agent's.


def refused(vault, agent, message, *words):
    """The message leads to a dead letter that says why, and to nothing else."""
    vault.send(message)
    done = agent()
    assert vault.is_empty() and vault.waiting() == 0
    (letter,) = vault.letters()
    for word in words:
        assert word in letter["reason"], letter
        assert word in done.stderr
    return letter


def test_a_tampered_message(vault, agent, uploader):
    image = vault.push(sample())
    message = vault.message(vault.request(image))
    message["request"] = message["request"].replace('"ami": {}', '"ami": {"name": "mine"}')
    letter = refused(vault, agent, message, "signature")
    # Nor is its id believed: the true request is not harmed by it.
    assert "request" not in letter
    assert vault.record(json.loads(message["request"])["id"]) is None
    shown = uploader("requests", parse=True).json["regions"][0]
    assert [it["reason"] for it in shown["dead_letters"]] == [letter["reason"]]
    assert letter["reason"] in uploader("requests").stdout
    assert len(vault.letters()) == 1, "they stay"


def test_a_signature_by_another_key(vault, agent):
    image = vault.push(sample())
    other = vault.made_key("alias/x", KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    refused(vault, agent, vault.message(vault.request(image), other), "signature")


def test_what_is_no_request_at_all(vault, agent):
    refused(vault, agent, "hello", "not a signed request")


def test_a_message_that_is_too_long(vault, agent):
    refused(vault, agent, "x" * 40_000, "40000 bytes")


def test_a_field_that_there_is_not(vault, agent):
    image = vault.push(sample())
    message = vault.message(vault.request(image, bucket="theirs"))
    refused(vault, agent, message, "bucket")


@pytest.mark.parametrize(
    ("field", "value"),
    [("account", "999999999999"), ("region", "eu-west-1"), ("vault", "other-vault")],
)
def test_a_request_for_elsewhere(vault, agent, field, value):
    image = vault.push(sample())
    fields = vault.request(image, **{field: value})
    refused(vault, agent, vault.message(fields), field, value)
    assert vault.record(fields["id"])["phase"] == "failed"


def test_an_expired_request(vault, agent):
    image = vault.push(sample())
    fields = vault.request(image, issued="2026-01-01T00:00:00Z", expires="2026-01-02T00:00:00Z")
    refused(vault, agent, vault.message(fields), "expired")


def test_a_request_from_the_future(vault, agent):
    image = vault.push(sample())
    fields = vault.request(image, issued="2099-01-01T00:00:00Z", expires="2099-01-02T00:00:00Z")
    refused(vault, agent, vault.message(fields), "clock")


def test_a_replayed_request(vault, agent):
    image = vault.push(sample())
    fields = vault.request(image)
    message = vault.message(fields)
    vault.send(message)
    agent()
    before = vault.record(fields["id"])
    vault.send(message)
    vault.send(message)
    done = agent()
    assert [it["outcome"] for it in done.ended] == ["finished"] * 2
    assert vault.record(fields["id"]) == before
    one_each(vault, [fields["id"]])


# What can't be converted.


def failed(vault, uploader, agent, *words, image="web", arguments=()):
    """The request fails and says why; nothing is made and nothing left."""
    request = asked(uploader, image, *arguments)
    done = agent()
    assert [it["outcome"] for it in done.ended] == ["failed"], done.stderr
    record = vault.record(request)
    assert record["phase"] == "failed" and "left" not in record
    (letter,) = vault.letters()
    assert letter == {"request": request, "reason": record["reason"]}
    for word in words:
        assert word in record["reason"]
    assert vault.waiting() == 0
    assert record["reason"] in uploader("requests", "--failed").stdout
    return record


def test_a_manifest_that_was_replaced(vault, uploader, agent):
    image = vault.push(sample(), text=sample(version=2).text())
    record = failed(vault, uploader, agent, image.digest, "replaced")
    assert vault.is_empty() and record["attempt"] == 1


def test_a_broken_manifest(vault, uploader, agent):
    image = vault.push(sample(), text=b'{"version":1')
    failed(vault, uploader, agent, image.key, "EOF")
    assert vault.is_empty()


def test_a_manifest_that_is_too_long(vault, uploader, agent):
    image = vault.push(sample(), text=b" " * ((256 << 20) + 1))
    failed(vault, uploader, agent, image.key, str((256 << 20) + 1))
    assert vault.is_empty()


def test_a_manifest_that_was_removed(vault, uploader, agent):
    image = vault.push(sample())
    request = asked(uploader, "web")
    vault.s3.delete_object(Bucket=vault.bucket, Key=image.key)
    agent()
    assert f"web@{image.digest}" in vault.record(request)["reason"]
    assert vault.is_empty()


def test_a_pack_that_is_missing(vault, uploader, agent):
    image = vault.push(sample())
    vault.s3.delete_object(Bucket=vault.bucket, Key=f"packs/{image.pack_digest}")
    failed(vault, uploader, agent, image.pack_digest)
    assert vault.is_empty(), "the snapshot was deleted"


def test_a_tampered_pack(vault, uploader, agent):
    image = vault.push(sample())
    pack = bytearray(image.pack)
    pack[len(pack) // 2] ^= 1
    vault.put(f"packs/{image.pack_digest}", bytes(pack))
    failed(vault, uploader, agent, image.pack_digest)
    assert vault.is_empty()


def test_a_snapshot_that_can_not_be_deleted_is_told(vault, uploader, emulator):
    """To who asked for the AMI, to who runs the agent, and to who looks later."""
    image = vault.push(sample())
    vault.s3.delete_object(Bucket=vault.bucket, Key=f"packs/{image.pack_digest}")
    denied = "--service ec2 --operation DeleteSnapshot --status 403 --code UnauthorizedOperation"
    faults(emulator, vault.account, denied)
    with uploader.start("agent", "--once", "--json") as running:
        done = uploader("convert", "web", "--no-launch", check=False)
        stdout, stderr = running.communicate(timeout=LONG)
    emulator.cli("fault", "clear")
    (snapshot,) = vault.snapshots()
    left = f"{snapshot['SnapshotId']}: ec2 DeleteSnapshot: UnauthorizedOperation: "
    assert done.returncode == 1 and f"; left behind: {left}" in done.stderr
    assert "lacks the permission ec2:DeleteSnapshot" in done.stderr
    (told,) = json.loads(stdout)["left"]
    assert told.startswith(left) and f"left behind: {told}" in stderr
    (shown,) = uploader("requests", parse=True).json["regions"][0]["requests"]
    assert (shown["phase"], shown["left"]) == ("failed", [told])
    assert f"left behind: {told}" in uploader("requests", "--failed").stdout
    assert vault.images() == [] and vault.waiting() == 0 and len(vault.letters()) == 1


def test_a_name_that_is_taken(vault, uploader, agent):
    vault.push(sample())
    theirs = vault.aws.register(Name="theirs")
    failed(vault, uploader, agent, theirs, "theirs", arguments=("--ami-name", "theirs"))
    assert [it["ImageId"] for it in vault.images()] == [theirs]
    assert len(vault.snapshots()) == 1, "theirs"


def test_a_key_that_was_disabled(vault, uploader, agent):
    vault.push(sample())
    other = vault.lent_key("alias/other")
    request = asked(uploader, "web", "--kms-key", "alias/other")
    vault.kms.disable_key(KeyId=other)
    agent()
    record = vault.record(request)
    assert record["phase"] == "failed" and other in record["reason"]
    assert vault.is_empty() and vault.waiting() == 0
    # Before it is asked for, it is not even sent.
    done = uploader("convert", "web", "--kms-key", "alias/other", check=False)
    assert done.returncode == 2 and "disabled" in done.stderr


def test_the_vaults_key_disabled(vault, uploader, agent):
    vault.push(sample())
    request = asked(uploader, "web")
    vault.kms.disable_key(KeyId=vault.key)
    done = agent(check=False)
    assert done.returncode == 3
    assert vault.key in done.stderr and "Disabled" in done.stderr
    assert vault.is_empty()
    vault.kms.enable_key(KeyId=vault.key)
    agent()
    one_each(vault, [request])


def test_a_queue_that_is_gone(vault, uploader, agent):
    vault.push(sample())
    vault.sqs.delete_queue(QueueUrl=vault.queue)
    for done in (agent(check=False), uploader("convert", "web", "--no-launch", check=False)):
        assert done.returncode == 3
        assert f"{VAULT}-requests" in done.stderr and "vault init" in done.stderr
    assert vault.is_empty()


def test_a_bucket_that_is_gone(vault, uploader, agent):
    image = vault.push(sample())
    vault.send(vault.message(vault.request(image)))
    for it in vault.s3.list_objects_v2(Bucket=vault.bucket)["Contents"]:
        vault.s3.delete_object(Bucket=vault.bucket, Key=it["Key"])
    vault.s3.delete_bucket(Bucket=vault.bucket)
    done = agent("--once", check=False)
    assert [it["outcome"] for it in done.ended] == ["released"]
    assert "NoSuchBucket" in done.stderr
    assert vault.is_empty()
    assert vault.waiting() == 1, "the bucket may be made again"
    done = uploader("convert", "web", check=False)
    assert done.returncode == 1 and "vault init" in done.stderr


def test_a_bucket_of_somebody_else(vault, uploader, agent):
    """It has the vault's name and all that a conversion wants, and lets everybody in."""
    image = sample()
    vault.s3.delete_bucket(Bucket=vault.bucket)
    theirs = vault.aws.client("s3", vault.aws.other)
    theirs.create_bucket(Bucket=vault.bucket)
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}
    where = [f"arn:aws:s3:::{vault.bucket}{it}" for it in ("", "/*")]
    policy = {"Version": "2012-10-17", "Statement": [everybody | {"Resource": where}]}
    theirs.delete_public_access_block(Bucket=vault.bucket)
    theirs.put_bucket_policy(Bucket=vault.bucket, Policy=json.dumps(policy))
    vault.push(image)

    def keys():
        return {it["Key"] for it in theirs.list_objects_v2(Bucket=vault.bucket)["Contents"]}

    before = keys()
    whose = f"(bucket {vault.bucket}, which may be another account's)"
    done = uploader("convert", "web", "--no-launch", "--timeout", 5, check=False)
    assert done.returncode == 3 and whose in done.stderr and vault.waiting() == 0
    vault.send(vault.message(vault.request(image)))
    done = agent("--once", check=False)
    assert [it["outcome"] for it in done.ended] == ["released"], done.stderr
    assert whose in done.ended[0]["reason"]
    assert vault.is_empty() and vault.waiting() == 1
    assert keys() == before, "nothing is told there"


def test_an_agent_given_no_peace_gives_up(vault, uploader, agent, emulator):
    vault.push(sample())
    request = asked(uploader, "web")
    faults(
        emulator,
        vault.account,
        "--service ec2 --operation RegisterImage --status 503 --code RequestLimitExceeded",
    )
    done = agent("--tries", 2, idle=8, timeout=300)
    emulator.cli("fault", "clear")
    assert [it["outcome"] for it in done.ended] == ["released", "released", "failed"]
    record = vault.record(request)
    assert "given up after 2 tries" in record["reason"]
    assert "RequestLimitExceeded" in record["reason"]
    assert vault.is_empty() and len(vault.letters()) == 1


def test_bad_arguments_are_told_by_name(vault, uploader):
    vault.push(sample())
    for arguments, word in [
        (("nothing",), "nothing"),
        (("web", "--ami-name", "a"), "ami.name"),
        (("web", "--tag", "aws:x=1"), "aws:x"),
        (("web", "--tag", "x"), "KEY=VALUE"),
        (("web", "--kms-key", "alias/none"), "alias/none"),
        (("web", "--description", "x" * 300), "ami.description"),
        (("web", "--image-version", ""), "ami.version"),
        (("web", "--tag", "image-vault:version=2"), "image-vault:version"),
    ]:
        done = uploader("convert", *arguments, check=False)
        assert done.returncode == 2 and word in done.stderr, (arguments, done.stderr)
    assert vault.waiting() == 0
    done = uploader("convert", "web", "--dry-run")
    assert "would request web-" in done.stdout and vault.waiting() == 0
