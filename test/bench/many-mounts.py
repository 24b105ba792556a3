"""Measures a command on a system with many mounts: many-mounts.py KIND COUNT COMMAND... (mount(2)).

Must run in a mount namespace that the caller created. Prints JSON: the CPU time of the command in seconds, and the size
of its output in bytes.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys

MS_BIND = 4096
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind=None, flags=0, options=None):
    texts = [text and text.encode() for text in (source, target, kind, options)]
    if libc.mount(texts[0], texts[1], texts[2], flags, texts[3]) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def folder(name):
    os.makedirs(name, exist_ok=True)
    return name


def main(kind, count, command):
    mount("many", "/mnt", "tmpfs")
    lower, upper, work = (folder(f"/mnt/{name}") for name in ("lower", "upper", "work"))
    merged = folder("/mnt/merged")
    mount("o", merged, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")
    etc = [folder("/mnt/etc-upper"), folder("/mnt/etc-work")]
    mount("e", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={etc[0]},workdir={etc[1]}")
    with open(folder("/etc/immutafs") + "/immutafs.conf", "w", encoding="ascii") as file:
        file.write("MODE=sealed\n")
    for index in range(count):
        target = folder("/mnt/stacked" if kind == "stacked" else f"/mnt/p/{index}")
        if kind in ("tmpfs", "stacked"):
            mount("x", target, "tmpfs")
        else:
            mount({"overlay": merged, "root": "/usr"}[kind], target, None, MS_BIND)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = (getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    print(json.dumps({"user": user, "system": system, "bytes": len(output)}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
