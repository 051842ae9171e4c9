"""Waiting for what a program does, however slow the machine is: never for a time."""

import threading
import time

# Nothing takes that long; what does is taken for hung.
LONG = 300


def until(done, what, seconds=LONG, every=0.02):
    """Asks until the answer is true, and gives it; pauses between two questions."""
    end = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < end, f"not after {seconds} s: {what}"
        time.sleep(every)
    return answer


def says(running, line, seconds=LONG):
    """Waits until a program says this line on standard error; whether it did before its end."""
    watchdog = threading.Timer(seconds, running.kill)
    watchdog.start()
    try:
        return any(it.strip() == line for it in running.stderr)
    finally:
        watchdog.cancel()
