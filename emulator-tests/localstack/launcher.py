"""Runs LocalStack for as long as its parent lives, with state that outlives it.

Started in place of `python -m localstack.runtime.main`, on the host and in the container alike.

EMULATOR_HOME   where objects and state are kept
EMULATOR_LEASE  a file that the parent holds locked: when the lock can be had, the parent is gone,
                however it went, and LocalStack ends as on SIGTERM
EMULATOR_KEEP   1: state is loaded at the start and saved at the end
EMULATOR_SCRATCH  a directory that is removed at the end if the parent did not live to do so
"""

import gc

# A million objects that all stay are made while modules load: half the time went to looking for
# garbage among them.
gc.disable()

import fcntl
import os
import resource
import shutil
import signal
import sys
import threading
import time
import traceback

import objects
import polls
import state

# An orderly end takes a second; what takes this long has hung.
END_SECONDS = 10
SAVE_EVERY_SECONDS = 60

parent_is_gone = threading.Event()


def end_with_parent(path):
    """Ends this process when the lock on the lease can be had."""
    with open(path, "rb") as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        parent_is_gone.set()
        print("emulator: the parent is gone", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        # The lock stays held for as long as this process lives: nobody else starts on this state.
        threading.Event().wait()


def save_now_and_then(states):
    """Saves what has changed: for the day that this process itself is killed."""
    pause = SAVE_EVERY_SECONDS
    while True:
        time.sleep(pause)
        start = time.monotonic()
        try:
            states.save()
        # Pickling while a request changes something: the next time will do.
        except Exception as error:
            print(f"emulator: not saved this time: {error!r}", file=sys.stderr, flush=True)
        # Hundreds of accounts take seconds, in which nothing else is done.
        pause = max(SAVE_EVERY_SECONDS, 20 * (time.monotonic() - start))


def fail(message):
    """Ends the process at once: threads that LocalStack has started would keep it alive."""
    print(f"emulator: {message}", file=sys.stderr, flush=True)
    # A container's log goes with it.
    with open(os.path.join(os.environ["EMULATOR_HOME"], "failure.log"), "w") as log:
        print(message, file=log)
    os._exit(1)


def end(code):
    """Ends the process at once. Python would free each object first, for seconds, and wait for
    threads that LocalStack has started, for ever."""
    scratch = os.environ.get("EMULATOR_SCRATCH")
    if scratch and parent_is_gone.is_set():
        shutil.rmtree(scratch, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Keeper:
    """Loads state before LocalStack's server listens, and saves it after that has stopped."""

    def __init__(self, runtime, states, keep):
        self.states = states
        self.keep = keep
        # Never save what was not loaded whole: it would replace what is there.
        self.loaded = threading.Event()
        server = runtime.components.runtime_server
        self.serve, server.run = server.run, self.run
        self.stop_server, server.shutdown = server.shutdown, self.shutdown
        self.exit, runtime.exit = runtime.exit, self.exit_in_time
        self.loop = getattr(server, "loop", None)

    def run(self):
        self.load()
        # What is there by now is not garbage, and is not looked at again.
        gc.freeze()
        gc.enable()
        try:
            self.serve()
        finally:
            self.save()

    def load(self):
        try:
            self.states.load_services()
            if self.keep:
                self.states.load()
                self.loaded.set()
                threading.Thread(target=save_now_and_then, args=(self.states,), daemon=True).start()
        except state.Damaged as damaged:
            fail(damaged)
        except Exception:
            traceback.print_exc()
            fail("LocalStack's services did not load")

    def save(self):
        if self.loaded.is_set():
            try:
                self.states.save(retries=20)
            except Exception:
                traceback.print_exc()
                fail("LocalStack's state was not saved")

    def shutdown(self):
        self.stop_server()
        # LocalStack stops the event loop from another thread, which may not wake it: for good.
        if self.loop:
            self.loop.call_soon_threadsafe(self.loop.stop)

    def exit_in_time(self, code=0):
        """In place of what LocalStack does on SIGTERM: an end that hangs is cut short, saved."""

        def cut_short():
            time.sleep(END_SECONDS)
            print("emulator: LocalStack's end hangs", file=sys.stderr, flush=True)
            self.save()
            end(1)

        threading.Thread(target=cut_short, daemon=True).start()
        self.exit(code)


def main():
    home = os.environ["EMULATOR_HOME"]
    if lease := os.environ.get("EMULATOR_LEASE"):
        threading.Thread(target=end_with_parent, args=(lease,), daemon=True).start()

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    from localstack.logging.setup import setup_logging_from_config
    from localstack.runtime import current
    from localstack.runtime import main as localstack

    setup_logging_from_config()
    runtime = current.initialize_runtime()
    objects.install(os.path.join(home, "objects"))
    polls.install()
    keep = os.environ.get("EMULATOR_KEEP") == "1"
    Keeper(runtime, state.States(os.path.join(home, "state")), keep)
    try:
        localstack.main()
    except SystemExit as ended:
        end(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    end(1)


if __name__ == "__main__":
    main()
