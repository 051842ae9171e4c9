"""How xdist deals tests out to its workers: those that share what takes long to start go to one of
them together, every other one to whoever is free.

That is `--dist loadgroup`, whose marks do nothing under pytest 9.2 (pytest-dev/pytest-xdist#1386):
here the groups follow from the tests' names.
"""

import re

from xdist.scheduler import LoadScopeScheduling

# A test's parameter for one of several ways in which LocalStack runs; or a file of tests that share
# the emulator which boots machines, of which two at a time would only slow each other down.
GROUP = re.compile(r"localstack=\w+|(?<=/)test_live")


class GroupScheduling(LoadScopeScheduling):
    """Tests of one group are one piece of work, and so is each other test."""

    def _split_scope(self, nodeid):
        found = GROUP.search(nodeid)
        return found[0] if found else nodeid
