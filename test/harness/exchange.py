"""exchange.py PATH TARGET: exchanges PATH with a symbolic link to TARGET (renameat2(2)), until it is killed."""
import ctypes
import os
import sys

path, target = sys.argv[1:]
link = path + '.link'
os.symlink(target, link)
libc = ctypes.CDLL(None)
names = path.encode(), link.encode()
while True:
    libc.syscall(316, -100, names[0], -100, names[1], 2)
