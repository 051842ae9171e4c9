"""The shipped program `uploader`, as a user runs it."""

import json
import subprocess

from harness.programs import UPLOADER


class Uploader:
    """Runs `uploader` with the environment that `emulator up` prints, for one account."""

    def __init__(self, emulator, account):
        self.emulator = emulator
        self.account = account

    def environment(self, account=None, region="us-east-1", **more):
        """What the program sees of the world, and `more` of it; what is None there, it does not."""
        world = self.emulator.environment(account or self.account, region) | more
        return {name: it for name, it in world.items() if it is not None}

    def start(self, *arguments, account=None, region="us-east-1", env=None, **more):
        """Starts it, and does not wait: for those that end it before its time."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        return subprocess.Popen(
            [str(it) for it in (UPLOADER, *arguments)],
            env=self.environment(account, region, **(env or {})),
            **more,
        )

    def __call__(self, *arguments, check=True, parse=False, timeout=600, **more):
        """Runs it to its end. With `parse`, `--json` is added, and what it printed is in the
        result's `json`; with `check`, it has to succeed."""
        if parse:
            arguments += ("--json",)
        process = self.start(*arguments, **more)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as late:
            process.kill()
            stdout, stderr = process.communicate()
            raise AssertionError(
                f"{arguments}: no end after {timeout} s\n{stdout}\n{stderr}"
            ) from late
        done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        said = f"uploader {' '.join(str(it) for it in arguments)}: exit {done.returncode}"
        if check and done.returncode != 0:
            raise AssertionError(f"{said}\n{stdout[-4000:]}\n{stderr[-4000:]}")
        if parse:
            try:
                done.json = json.loads(stdout)
            except ValueError as error:
                done.json = None
                if check:
                    raise AssertionError(
                        f"{said}: no JSON\n{stdout[-4000:]}\n{stderr[-4000:]}"
                    ) from error
        return done
