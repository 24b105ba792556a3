"""Mounts a FUSE file system with a file whose content is never delivered: hanging-file.py FOLDER (fuse(4)).

The first open(2) of the file uses the page cache; later ones bypass it (FOPEN_DIRECT_IO).
"""

import ctypes
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 26, 36, 42
ROOT, FILE = 1, 2
DIRECT_IO = 1
ENOSYS = 38


def attributes(node):
    mode = 0o40755 if node == ROOT else 0o100755
    return struct.pack("<6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
if libc.mount(b"hang", sys.argv[1].encode(), b"fuse", 0, options.encode()) != 0:
    raise OSError(ctypes.get_errno(), "mount")
opened = 0
while True:
    _, opcode, unique, node = struct.unpack_from("<IIQQ", request := os.read(fd, 1 << 20))
    body, error = b"", 0
    if opcode in (READ, FORGET, INTERRUPT, BATCH_FORGET):
        continue
    if opcode == INIT:
        body = struct.pack("<IIIIHHIIHH28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0)
    elif opcode == LOOKUP:
        body = struct.pack("<4QII", FILE, 0, 3600, 3600, 0, 0) + attributes(FILE)
    elif opcode == GETATTR:
        body = struct.pack("<QII", 3600, 0, 0) + attributes(node)
    elif opcode == OPEN:
        body = struct.pack("<QII", 0, DIRECT_IO if opened else 0, 0)
        opened += 1
    else:
        error = -ENOSYS
    os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
