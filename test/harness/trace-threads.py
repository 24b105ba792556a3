"""
Usage: trace-threads.py PROGRAM COUNT. Starts exit-threads (exit-threads.c), traces COUNT of its threads, so that they
remain as zombies, and lets all threads but the last exit. Prints the process ID when they have.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

PTRACE_SEIZE = 0x4206

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def states(pid):
    """Returns the state of each thread, in ascending order of the threads."""
    tasks = sorted(int(task) for task in os.listdir("/proc/%d/task" % pid))
    return {task: open("/proc/%d/task/%d/stat" % (pid, task)).read().rpartition(")")[2].split()[0] for task in tasks}


def wait_for(pid, expected):
    while list(states(pid).values()) != expected:
        time.sleep(0.05)


program, count = sys.argv[1], int(sys.argv[2])
process = subprocess.Popen([program, str(count)], stdin=subprocess.PIPE)
wait_for(process.pid, ["S"] * (count + 2))
for task in list(states(process.pid))[1:-1]:
    if libc.ptrace(PTRACE_SEIZE, task, None, None):
        sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))
process.stdin.close()
wait_for(process.pid, ["Z"] * (count + 1) + ["S"])
print(process.pid, flush=True)
signal.pause()
