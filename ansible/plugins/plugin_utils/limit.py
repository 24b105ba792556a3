"""Limits how long the controller waits for a command in a guest, and how much of its output the controller stores.

Root in the guest decides when a command ends and what it prints, and sshd in the guest can keep the connection alive.
"""

import contextlib
import resource
import signal
import sys
import time

# Interval between two examinations, in seconds.
INTERVAL = 0.2

# By how much the memory of this process may grow, in bytes. Connection plug-ins store the whole output of a command. An
# answer is usually smaller than 1 MiB, and a piece of the evidence takes about 50 MiB until it is decoded.
MEMORY = 256 * 1024 * 1024


class LimitExceeded(BaseException):
    """A command exceeded a limit. Not an Exception, because connection plug-ins handle each of them by trying again."""


class TimeExceeded(LimitExceeded):
    """A command did not end in time."""


class OutputExceeded(LimitExceeded):
    """A command has printed too much."""


def memory():
    """Returns the largest amount of memory that this process has used, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextlib.contextmanager
def limited(seconds):
    """
    Raises TimeExceeded in the body after `seconds`, and OutputExceeded if the body takes more than MEMORY. The timer of
    an outer `timeout` of the task continues.
    """
    begin, before = time.monotonic(), memory()
    outer = signal.getsignal(signal.SIGALRM)
    left = signal.getitimer(signal.ITIMER_REAL)[0]

    def examine(number, frame):
        passed = time.monotonic() - begin
        if left and passed >= left:
            outer(number, frame)
        if passed >= seconds:
            raise TimeExceeded("did not end within the time limit of %d s" % seconds)
        if memory() - before > MEMORY:
            raise OutputExceeded("prints more than the controller stores (%d MiB)" % (MEMORY // 2**20))

    signal.signal(signal.SIGALRM, examine)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, outer)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begin), 0.001))
