"""Rules that AWS enforces, each as one call that AWS refuses.

A rule sets up what it needs on a `Target`, and gives the call, and if something could be harmed by
it also a function that reads what must stay as it was.
"""

# Each module adds its own, in this order.
from . import buckets, ebs, images, instances, snapshots, tags
from .rule import RULES, Rule, moves_clock, rule, steps

__all__ = [
    "RULES",
    "Rule",
    "buckets",
    "ebs",
    "images",
    "instances",
    "moves_clock",
    "rule",
    "snapshots",
    "steps",
    "tags",
]
