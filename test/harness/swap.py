"""swap.py FILE TARGET: makes FILE alternately a regular file and a symbolic link to TARGET, until it is killed."""
import os
import sys

file, target = sys.argv[1:]
other = file + '.new'
while True:
    with open(other, 'w') as new:
        new.write('good\n')
    os.rename(other, file)
    os.symlink(target, other)
    os.rename(other, file)
