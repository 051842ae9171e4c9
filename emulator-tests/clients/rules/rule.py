"""What a rule is, and all that there are."""

from collections.abc import Callable
from dataclasses import dataclass

RULES: dict[str, "Rule"] = {}


@dataclass(frozen=True)
class Rule:
    """One rule."""

    # What is refused, as the table says it.
    what: str
    # `ebs PutSnapshotBlock`
    call: str
    # As AWS answers.
    code: str
    status: int
    # The EBS direct API's Reason, where its reference says which.
    reason: str | None
    # Where it is written down.
    source: str
    # Sets up; gives the call, or the call and what must stay as it was.
    prepare: Callable

    @property
    def answer(self):
        """Code, status and reason, in the table's words."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.status} {self.code}{reason}"


def rule(what, call, answer, source):
    """Adds a rule. `answer` is `400 ValidationException` and, if it is known, ` REASON`."""
    status, code, *reason = answer.split()

    def add(prepare):
        name = prepare.__name__
        assert name not in RULES, name
        reason_or_none = reason[0] if reason else None
        RULES[name] = Rule(what, call, code, int(status), reason_or_none, source, prepare)
        return prepare

    return add


def steps(rule, target):
    """Sets a rule up: the call, and what reads what must stay (or nothing)."""
    prepared = rule.prepare(target)
    return prepared if isinstance(prepared, tuple) else (prepared, lambda: None)


def moves_clock(rule):
    """Whether it needs an emulator whose clock may be moved."""
    return "advance" in rule.prepare.__code__.co_names
