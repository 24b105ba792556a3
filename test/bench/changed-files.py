"""Measures `immutafs-agent changes` in a private mount namespace, with the layers in tmpfs. Prints one JSON object.

  changed-files.py compare AGENT   an upper layer of 1,000 changed files over a lower layer of 100,000 files
  changed-files.py disk AGENT      the same with the lower layer on an XFS file system that was just mounted
  changed-files.py stream AGENT N  N added files
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

LOWER, UPPER = "/run/immutafs/lower", "/run/var/upper"

# The sizes of the files below /var in a Debian 13 guest with the packages of the tests, in bytes: the median of each
# twentieth of the files, and the mean of the last, which has most of the bytes.
SIZES = [0, 2, 2, 2, 36, 68, 103, 240, 331, 479, 841, 1438, 1956, 2578, 3842, 7388, 10139, 10895, 12374, 101846]
CONTENT = os.urandom(max(SIZES))


def mount_layers(make_lower, lower=("-t", "tmpfs", "-o", "mode=0755", "bench")):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "bench", "/run"], check=True)
    for folder in (LOWER, "/run/var"):
        os.makedirs(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1000k", "bench", "/run/var"], check=True)
    for folder in (UPPER, "/run/var/work"):
        os.mkdir(folder)
    subprocess.run(["mount", *lower, LOWER], check=True)
    make_lower()
    mount_overlay()


def mount_overlay():
    options = f"lowerdir={LOWER},upperdir={UPPER},workdir=/run/var/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "bench", "/var"], check=True)


def make_files(root, count):
    for index in range(count):
        folder = f"{root}/d{index // 1000}/e{index // 100 % 10}"
        if index % 100 == 0:
            os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/file{index}", "wb") as file:
            file.write(CONTENT[:SIZES[index % len(SIZES)]])


def timed(command):
    """Returns the processor time of a command, because this machine may be busy with something else."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    usage = os.wait4(process.pid, 0)[2]
    return usage.ru_utime + usage.ru_stime


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def naive():
    """Compares two trees as `ostree admin config-diff` does: it reads and hashes each file of both (ostree_diff_dirs)."""
    start, differing = time.process_time(), 0
    for folder, _, names in os.walk("/var"):
        for name in names:
            path = os.path.join(folder, name)
            other = LOWER + path[len("/var"):]
            if not os.path.lexists(other) or checksum(path) != checksum(other):
                differing += 1
    for folder, _, names in os.walk(LOWER):
        for name in names:
            differing += not os.path.lexists("/var" + os.path.join(folder, name)[len(LOWER):])
    return time.process_time() - start, differing


def median(values):
    return sorted(values)[len(values) // 2]


def change_files():
    for first in range(0, 100_000, 100):
        # A file of each size in turn.
        index = first + first // 100 % len(SIZES)
        with open(f"/var/d{index // 1000}/e{index // 100 % 10}/file{index}", "a") as file:
            file.write("changed")


def compare_on_disk(agent, image):
    with open(image, "wb") as file:
        file.truncate(2 << 30)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)

    def elapsed(command):
        for folder in ("/var", LOWER):
            subprocess.run(["umount", folder], check=True)
        with open(image, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        subprocess.run(["mount", "-o", "loop,ro", image, LOWER], check=True)
        mount_overlay()
        start = time.monotonic()
        command()
        return time.monotonic() - start

    mount_layers(lambda: make_files(LOWER, 100_000), ("-o", "loop", image))
    change_files()
    run = lambda *command: subprocess.run(command, stdout=subprocess.DEVNULL)
    return {
        "changes": median([elapsed(lambda: run(agent, "changes", "/var")) for _ in range(3)]),
        "diff": median([elapsed(lambda: run("diff", "-rq", "--no-dereference", LOWER, "/var")) for _ in range(3)]),
        "naive": median([elapsed(naive) for _ in range(3)]),
    }


def compare(agent):
    mount_layers(lambda: make_files(LOWER, 100_000))
    start = median([timed([agent, "changes", "/var"]) for _ in range(5)])
    change_files()
    walked, differing = naive()
    lines = subprocess.run([agent, "changes", "--json", "/var"], stdout=subprocess.PIPE, check=True).stdout
    return {
        "found": lines.count(b"\n"),
        "naiveFound": differing,
        "start": start,
        "changes": median([timed([agent, "changes", "/var"]) for _ in range(5)]),
        "diff": median([timed(["diff", "-rq", "--no-dereference", LOWER, "/var"]) for _ in range(3)]),
        "naive": median([walked, naive()[0], naive()[0]]),
    }


def stream(agent, count):
    mount_layers(lambda: None)
    make_files("/var", count)
    results = {}
    for name, options in (("json", ["--json"]), ("text", [])):
        start = time.monotonic()
        process = subprocess.Popen([agent, "changes", "/var", *options], stdout=subprocess.PIPE)
        process.stdout.read(1)
        first, size = time.monotonic() - start, 1
        while piece := process.stdout.read(1 << 20):
            size += len(piece)
        _, status, usage = os.wait4(process.pid, 0)
        results[name] = {
            "first": first,
            "processor": usage.ru_utime + usage.ru_stime,
            "kibibytes": usage.ru_maxrss,
            "bytes": size,
            "exit": os.waitstatus_to_exitcode(status),
        }
    return results


resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
if sys.argv[1] == "compare":
    print(json.dumps(compare(sys.argv[2])))
elif sys.argv[1] == "disk":
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(sys.argv[2])) as image:
        print(json.dumps(compare_on_disk(sys.argv[2], image.name)))
else:
    print(json.dumps(stream(sys.argv[2], int(sys.argv[3]))))
