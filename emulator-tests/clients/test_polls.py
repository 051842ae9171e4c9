"""A client that waits for a message and is killed takes none: the next one has it at once, not
after the visibility time-out."""

import subprocess
import sys
import time

import pytest

RECEIVE = """
import boto3, sys
sqs = boto3.client("sqs")
print("asks", flush=True)
sqs.receive_message(QueueUrl=sys.argv[1], WaitTimeSeconds=20, VisibilityTimeout=600)
print("answered", flush=True)
"""


def wait_for_work(emulator, account, count):
    """Until so many of an account's requests are being answered."""
    end = time.monotonic() + 60
    while emulator.at_work(account) != count:
        assert time.monotonic() < end, f"{emulator.at_work(account)} at work, not {count}"
        time.sleep(0.02)


@pytest.fixture
def waiting(emulator, aws):
    """Starts clients that wait for a message."""
    started = []

    def start(url):
        client = subprocess.Popen(
            (sys.executable, "-c", RECEIVE, url),
            stdout=subprocess.PIPE,
            text=True,
            env=emulator.environment(aws.account),
        )
        started.append(client)
        assert client.stdout.readline() == "asks\n"
        wait_for_work(emulator, aws.account, len([it for it in started if it.poll() is None]))
        return client

    yield start
    for client in started:
        client.kill()
        client.communicate()


@pytest.fixture(params=("standard", "fifo"))
def queue(request, aws):
    """A queue's URL, and what a message of it needs."""
    sqs = aws.client("sqs")
    if request.param == "standard":
        return sqs.create_queue(QueueName="requests")["QueueUrl"], {}
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="requests.fifo", Attributes=attributes)["QueueUrl"]
    return url, {"MessageGroupId": "group"}


def test_who_was_killed_takes_no_message(emulator, aws, waiting, queue):
    url, more = queue
    for number in range(3):
        client = waiting(url)
        client.kill()
        client.wait()
        wait_for_work(emulator, aws.account, 0)
        sqs = aws.client("sqs")
        sqs.send_message(QueueUrl=url, MessageBody=f"request {number}", **more)
        [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)["Messages"]
        assert message["Body"] == f"request {number}"
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_who_is_there_gets_the_message_beside_who_was_killed(emulator, aws, waiting, queue):
    url, more = queue
    killed, there = waiting(url), waiting(url)
    killed.kill()
    killed.wait()
    wait_for_work(emulator, aws.account, 1)
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="request", **more)
    since = time.monotonic()
    assert there.stdout.readline() == "answered\n"
    assert time.monotonic() - since < 10
