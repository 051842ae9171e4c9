"""What AWS refuses is refused here, with AWS's code and status, and harms nothing."""

import pytest
from botocore.exceptions import ClientError

from clients.rules import RULES, moves_clock, steps
from clients.table import AS_AWS, SEEN
from harness.target import refusal


# One of two emulators, by a name that pytest does not see.
@pytest.mark.usefixtures("localstack")
@pytest.mark.parametrize("name", RULES)
def test_rule(name, request):
    rule = RULES[name]
    emulator = request.getfixturevalue("clocked" if moves_clock(rule) else "emulator")
    call, harmed = steps(rule, emulator.target(request.node.nodeid))
    before = harmed()
    with pytest.raises(ClientError) as refused:
        call()
    code, status, reason = refusal(refused.value)
    assert (code, status) == (rule.code, rule.status), refused.value
    if rule.reason:
        assert reason == rule.reason
    # KMS says nothing of a ciphertext that it does not like.
    assert refused.value.response["Error"].get("Message") or name == "wrong_encryption_context"
    assert harmed() == before
    SEEN[name] = AS_AWS


def test_there_are_as_many_rules_as_promised():
    assert len(RULES) >= 40
