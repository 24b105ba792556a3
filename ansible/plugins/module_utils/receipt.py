"""What a seal receipt contains, and how two states of a guest differ. Pure functions.

Source: UEFI specification, 5.3 "GUID Partition Table (GPT) Disk Layout".
"""

import hashlib
import os
import struct

# The disk is hashed in chunks of this size, so that a receipt shows where the disk has changed.
CHUNK = 4 * 2**20

# The version of the format of a receipt.
VERSION = 1

SECTOR = 512

# Differences that are listed one by one. More are counted.
LISTED = 20

# Upper bound on the packages, and on the files in /boot, that a guest reports. A large installation has 10,000 packages.
CLAIMS = 100000


def hash_chunks(stream):
    """
    Reads a stream to its end. Returns (the SHA-256 of each chunk, the number of bytes, the first chunk). A sparse disk
    has many chunks of zeros, whose hash is computed once.
    """
    zeros = bytes(CHUNK)
    of_zeros = hashlib.sha256(zeros).hexdigest()
    hashes, size, first = [], 0, b""
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return hashes, size, first
        first = first or chunk
        hashes.append(of_zeros if chunk == zeros else hashlib.sha256(chunk).hexdigest())
        size += len(chunk)


def hash_of(chunks):
    """Returns the hash of a disk: the SHA-256 of the concatenated binary hashes of its chunks."""
    return hashlib.sha256(b"".join(bytes.fromhex(each) for each in chunks)).hexdigest()


def partitions_in(first):
    """
    Returns the partitions that the first bytes of a disk describe: a list of {number, start, end, name}, where `end` is
    the first byte behind the partition. Returns an empty list for unknown or damaged tables, because they only serve to
    name a difference.
    """
    try:
        return gpt(first) if first[SECTOR : SECTOR + 8] == b"EFI PART" else mbr(first)
    except (struct.error, IndexError):
        return []


def gpt(first):
    """Parses a GUID partition table."""
    entries, count, size = struct.unpack_from("<QII", first, SECTOR + 72)
    found = []
    if not (128 <= size <= 4096 and count <= 1024):
        return found
    for number in range(count):
        at = entries * SECTOR + number * size
        kind, begin, last = first[at : at + 16], *struct.unpack_from("<QQ", first, at + 32)
        if any(kind) and begin <= last:
            name = first[at + 56 : at + 128].decode("utf-16-le", "replace").partition("\0")[0]
            name = "".join(each if each.isprintable() else "?" for each in name)
            part = {"number": number + 1, "start": begin * SECTOR, "end": (last + 1) * SECTOR, "name": name}
            found.append(part)
    return found


def mbr(first):
    """Parses the four entries of a master boot record. The contents of an extended partition are not parsed."""
    found = []
    if first[510:512] != b"\x55\xaa":
        return found
    for number in range(4):
        kind, begin, count = struct.unpack_from("<4xB3xII", first, 446 + 16 * number)
        if kind and count:
            end = (begin + count) * SECTOR
            found.append({"number": number + 1, "start": begin * SECTOR, "end": end, "name": ""})
    return found


def parse_claims(text):
    """
    Parses what a guest reports about itself: lines "agent VERSION", "kernel VERSION", "package NAME VERSION" (of rpm),
    "deb NAME VERSION" (of dpkg) and "file SHA256  PATH". Ignores other lines, which are for the bill of materials (see
    sbom). Returns {agent, kernel, packages, files}. Raises ValueError if a part is missing or has more than CLAIMS entries.
    """
    claims = {"agent": None, "kernel": None, "packages": [], "files": {}}
    for line in text.replace("\r\n", "\n").splitlines():
        word, _, rest = line.partition(" ")
        if word in ("agent", "kernel"):
            claims[word] = rest
        elif word in ("package", "deb"):
            claims["packages"].append(rest)
        elif word == "file":
            # sha256sum starts a line with a backslash if it escapes the name.
            digest, _, path = rest.lstrip("\\").partition("  ")
            claims["files"][path] = digest
    claims["packages"] = sorted(set(claims["packages"]))
    for key in ("packages", "files"):
        if len(claims[key]) > CLAIMS:
            raise ValueError("the guest reported more than %d %s" % (CLAIMS, key))
    missing = [key for key, value in claims.items() if not value]
    if missing:
        raise ValueError("the guest reported no %s" % ", no ".join(missing))
    return claims


def role_of(path):
    """Returns what a file in /boot is for: "kernel", "initramfs" or "boot configuration"."""
    name = os.path.basename(path)
    if name.startswith(("vmlinuz", "vmlinux", "linux")):
        return "kernel"
    return "initramfs" if name.startswith(("initr", "initramfs")) else "boot configuration"


def problem_of(receipt):
    """Returns why a parsed receipt was not written by this version or is damaged, or None."""
    if receipt.get("version") != VERSION:
        return "its version is %r, not %d" % (receipt.get("version"), VERSION)
    disk = receipt.get("disk")
    try:
        if disk["chunk"] != CHUNK:
            return "it has a hash for each %r bytes, not for each %d" % (disk["chunk"], CHUNK)
        chunks = -(-disk["size"] // CHUNK)
        if len(disk["chunks"]) != chunks or hash_of(disk["chunks"]) != disk["sha256"]:
            return "its SHA-256 is not that of its %d chunks" % chunks
    except (KeyError, TypeError, ValueError) as error:
        return "it is incomplete: %r" % error
    return None


def disk_differences(old, new):
    """Returns a message for each part in which the recorded disk and the disk now differ."""
    if old["sha256"] == new["sha256"] and old["size"] == new["size"]:
        return []
    wrong = []
    if old["size"] != new["size"]:
        wrong.append("the disk has %d bytes, recorded: %d" % (new["size"], old["size"]))
    pairs = list(zip(old["chunks"], new["chunks"]))
    changed = [number for number, (one, other) in enumerate(pairs) if one != other]
    changes = spans(changed)
    ranges = ["the disk differs in bytes %d-%d (%s)" % (*span, place(span, new)) for span in changes[:LISTED]]
    if old["partitions"] != new["partitions"]:
        wrong.append("the partition table differs")
    if not ranges and old["size"] == new["size"]:
        wrong.append("the disk has the SHA-256 %s, recorded: %s" % (new["sha256"], old["sha256"]))
    return wrong + limited(ranges, "parts of the disk", len(changes))


def spans(numbers):
    """Merges the numbers of successive chunks into (first byte, last byte)."""
    found = []
    for number in numbers:
        if found and found[-1][1] + 1 == number * CHUNK:
            found[-1] = (found[-1][0], (number + 1) * CHUNK - 1)
        else:
            found.append((number * CHUNK, (number + 1) * CHUNK - 1))
    return found


def place(span, disk):
    """Names the partitions that overlap a range of bytes."""
    begin, end = span
    within = [part for part in disk["partitions"] if part["start"] <= end and part["end"] > begin]
    names = ["partition %d%s" % (each["number"], " '%s'" % each["name"] if each["name"] else "") for each in within]
    return ", ".join(names) or "in no partition"


def claim_differences(old, new):
    """Returns a message for each difference between what the guest reported when it was sealed and what it reports now."""
    wrong = [
        "%s: %s, recorded: %s" % (name, new[key], old[key])
        for key, name in (("agent", "agent version"), ("kernel", "running kernel"))
        if old[key] != new[key]
    ]
    files = []
    for path in sorted(set(old["files"]) | set(new["files"])):
        before, after = old["files"].get(path), new["files"].get(path)
        if before != after:
            what = "is new" if before is None else "is missing" if after is None else "has other content"
            files.append("%s %s %s" % (role_of(path), path, what))
    gone = by_name(set(old["packages"]) - set(new["packages"]))
    added = by_name(set(new["packages"]) - set(old["packages"]))
    names = sorted(set(gone) | set(added))
    packages = [package_difference(name, gone.get(name, []), added.get(name, [])) for name in names[:LISTED]]
    return wrong + limited(files, "files", len(files)) + limited(packages, "packages", len(names))


def by_name(packages):
    """Maps the names of packages, as "NAME VERSION", to their versions, sorted."""
    found = {}
    for name, _, version in (each.partition(" ") for each in sorted(packages)):
        found.setdefault(name, []).append(version)
    return found


def package_difference(name, before, after):
    """Returns the message for a package whose versions differ."""
    old, new = (", ".join(limited(versions[:LISTED], "versions", len(versions))) for versions in (before, after))
    if before and after:
        return "package %s is %s, recorded: %s" % (name, new, old)
    return "package %s %s %s" % (name, old or new, "was added" if after else "was removed")


def limited(messages, what, count):
    """Returns the first messages of a list that has `count`, which may be longer, and the number of the others."""
    more = count - LISTED
    return messages if more <= 0 else messages[:LISTED] + ["%d more %s differ" % (more, what)]
