"""Files made in a container belong to root: gives them to whom the directory belongs."""

import functools
import os


@functools.cache
def _owner(home):
    found = os.stat(home)
    return found.st_uid, found.st_gid


def give(path):
    """Gives a file to the owner of EMULATOR_HOME, if that is another user and we may."""
    if os.geteuid() == 0:
        uid, gid = _owner(os.environ["EMULATOR_HOME"])
        if uid != 0:
            os.chown(path, uid, gid)


def make_dirs(path):
    """Makes a directory and its parents."""
    if not os.path.isdir(path):
        make_dirs(os.path.dirname(path))
        os.makedirs(path, exist_ok=True)
        give(path)
