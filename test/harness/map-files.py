"""map-files.py KIND...: maps memory as executable and sleeps. KIND is the path of a file, `zero` (/dev/zero), `sysv`,
`anonymous` (shared memory), `huge` (a huge page), `memfd:NAME`, `unlinked:FOLDER` (as libffi maps its memory for
closures), or `many:FOLDER` (every file in a folder)."""

import ctypes
import mmap
import os
import sys
import time

PROTECTION = mmap.PROT_READ | mmap.PROT_EXEC
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
kept = []


def map_file(path, flags=mmap.MAP_PRIVATE):
    descriptor = os.open(path, os.O_RDWR)
    if path != "/dev/zero":
        os.ftruncate(descriptor, 4096)
    kept.append(mmap.mmap(descriptor, 4096, flags, PROTECTION))
    os.close(descriptor)


def map_unlinked(folder):
    path = folder + b"/ffi%06d" % len(kept)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    os.ftruncate(descriptor, 4096)
    kept.append(mmap.mmap(descriptor, 4096, mmap.MAP_SHARED, PROTECTION))
    kept.append(mmap.mmap(descriptor, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
    os.close(descriptor)


for kind in map(os.fsencode, sys.argv[1:]):
    if kind == b"zero":
        map_file("/dev/zero", mmap.MAP_SHARED)
    elif kind == b"anonymous":
        kept.append(mmap.mmap(-1, 4096, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, PROTECTION))
    elif kind == b"huge":
        # MAP_HUGETLB and MAP_NORESERVE, because there may be no huge page.
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x44000
        kept.append(mmap.mmap(-1, 2 << 20, flags, PROTECTION))
    elif kind.startswith(b"unlinked:"):
        map_unlinked(kind[9:])
    elif kind.startswith(b"memfd:"):
        map_file("/proc/self/fd/%d" % os.memfd_create(os.fsdecode(kind[6:])))
    elif kind == b"sysv":
        # IPC_PRIVATE; SHM_RDONLY and SHM_EXEC; IPC_RMID.
        segment = libc.shmget(0, 4096, 0o1600)
        if libc.shmat(segment, None, 0o110000) in (None, ctypes.c_void_p(-1).value):
            sys.exit("shmat: " + os.strerror(ctypes.get_errno()))
        libc.shmctl(segment, 0, None)
    elif kind.startswith(b"many:"):
        # The paths are longer than the kernel accepts in one call.
        os.chdir(kind[5:])
        while len(names := os.listdir(b".")) == 1:
            os.chdir(names[0])
        for name in names:
            map_file(name)
    else:
        map_file(kind)
print("mapped", flush=True)
time.sleep(60)
