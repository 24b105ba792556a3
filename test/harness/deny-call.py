"""deny-call.py ioctl|read COMMAND...: runs a command for which PROCMAP_QUERY fails as on a kernel before 6.11 (ENOTTY), or
read(2) from every file but stdin (EIO). Uses a seccomp filter."""

import ctypes
import errno
import os
import struct
import sys

# linux/bpf_common.h, linux/seccomp.h, linux/audit.h
LOAD, EQUAL, GREATER, RETURN = 0x20, 0x15, 0x25, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, FIRST, SECOND = 0, 16, 24
READ, IOCTL, PROCMAP_QUERY = 0, 16, 0xC0686611

which, command = sys.argv[1], sys.argv[2:]
condition = {
    "ioctl": [(LOAD, 0, 0, SECOND), (EQUAL, 0, 1, PROCMAP_QUERY)],
    "read": [(LOAD, 0, 0, FIRST), (GREATER, 0, 1, 2)],
}[which]
number, error = {"ioctl": (IOCTL, errno.ENOTTY), "read": (READ, errno.EIO)}[which]
program = [
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 0, 3, number),
    *condition,
    (RETURN, 0, 0, ERRNO | error),
    (RETURN, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
prctl = ctypes.CDLL(None, use_errno=True).prctl
# PR_SET_NO_NEW_PRIVS, and PR_SET_SECCOMP with SECCOMP_MODE_FILTER. The command replaces this process at once, because
# the interpreter itself reads files.
arguments = [os.fsencode(each) for each in command]
if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, fprog, 0, 0) != 0:
    sys.exit(f"deny-call: {os.strerror(ctypes.get_errno())}")
os.execv(arguments[0], arguments)
