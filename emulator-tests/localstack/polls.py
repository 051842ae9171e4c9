"""SQS's messages for clients that are there.

LocalStack's ReceiveMessage waits for a message in a thread, takes it, and sends it: that the client
has gone meanwhile it finds out last, and the message is hidden from all others until its visibility
time-out is over. Here, who has gone takes none, and does not wait on.
"""

import threading
import time
from queue import Empty

# How often a thread that waits looks whether its client is there: a message wakes it at once.
LOOK_SECONDS = 0.5

_serving = threading.local()


def _client_is_gone():
    """Whether the connection of the request that this thread serves has been closed. False for
    LocalStack's own requests, which have none."""
    return getattr(getattr(_serving, "stream", None), "closed", False)


def _remembering(serve):
    """Lets the thread of a request know hypercorn's stream, which knows when it is closed."""

    def serve_and_remember(self, environ, start_response):
        _serving.stream = getattr(getattr(start_response, "send", None), "__self__", None)
        try:
            return serve(self, environ, start_response)
        finally:
            _serving.stream = None

    return serve_and_remember


def _get(self, block=True, timeout=None):
    """InterruptibleQueue.get, which takes nothing for who has gone."""
    end = None if timeout is None else time.monotonic() + timeout
    with self.not_empty:
        while not self.is_shutdown and not _client_is_gone():
            if self._qsize():
                item = self._get()
                self.not_full.notify()
                return item
            left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
            if not block or left <= 0:
                break
            self.not_empty.wait(left)
        # If a message woke this one, the wake-up was for somebody who takes it.
        self.not_empty.notify()
    raise Empty


def install():
    """Makes LocalStack's SQS so."""
    from localstack.services.sqs.queue import InterruptibleQueue
    from rolo.gateway.wsgi import WsgiGateway

    WsgiGateway.__call__ = _remembering(WsgiGateway.__call__)
    InterruptibleQueue.get = _get
