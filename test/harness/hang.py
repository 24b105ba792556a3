"""Mounts a FUSE file system that never answers a request: hang.py FOLDER (fuse(4), mount.fuse3(8))."""

import ctypes
import os
import signal
import sys

fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0"
if libc.mount(b"hang", sys.argv[1].encode(), b"fuse", 0, options.encode()) != 0:
    raise OSError(ctypes.get_errno(), "mount")
signal.pause()
