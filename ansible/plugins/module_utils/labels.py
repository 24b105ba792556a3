"""Determines whether a guest finds a seed on a disk: a file system iso9660 or vfat with the label of a seed (boot/seed/seed.ts).

udev in the guest examines each disk and each partition with libblkid. A disk is known only if its content is: other file systems
can have no seed, but volumes (LVM, RAID, LUKS) can have one, which only the guest finds.

Sources: libblkid (util-linux, libblkid/src/superblocks: iso9660.c, vfat.c); ECMA-119, 8.4; Joliet; the FAT file system (Microsoft,
FAT: General Overview of On-Disk Format); UEFI, 5.3 (GPT); Linux, block/partitions: msdos.c, efi.c.
"""

import os

# The labels that boot/seed/seed.ts accepts.
SEED_LABELS = (b"cidata", b"CIDATA")

# The first bytes of a file system or a disk that are examined.
WINDOW = 66 * 1024

# What identifies other file systems, by its place: XFS, squashfs, ext2 to ext4, EROFS, Btrfs, swap, NTFS and UDF.
OTHERS = (
    (0, b"XFSB"),
    (0, b"hsqs"),
    (1080, b"\x53\xef"),
    (1024, b"\xe2\xe1\xf5\xe0"),
    (65600, b"_BHRfS_M"),
    (4086, b"SWAPSPACE2"),
    (3, b"NTFS    "),
    (32769, b"BEA01"),
)

# The volume descriptors of ISO 9660: place, size and number of those that libblkid reads; their types; the escape sequences of Joliet.
DESCRIPTORS, DESCRIPTOR, MOST_DESCRIPTORS = 32768, 2048, 16
PRIMARY, SUPPLEMENTARY, END = 1, 2, 255
JOLIET = (b"%/@", b"%/C", b"%/E")

# Upper bound on the clusters of a root directory that libblkid reads.
MOST_CLUSTERS = 100

# Types of a partition in an MBR: extended ones, and the one that stands for a GPT. Upper bounds on the entries of a GPT.
EXTENDED, PROTECTIVE = (0x05, 0x0F, 0x85), 0xEE
MOST_ENTRIES, LARGEST_ENTRY = 1024, 4096


class UnknownContent(Exception):
    """Why it is unknown whether a disk has a seed."""


def has_seed(file, sector):
    """
    Whether a guest finds a seed on an open disk. `sector`: the size of its logical sectors in bytes, or None for a CD-ROM drive, in
    which Linux finds no partitions. Root in a guest may have written the disk. Raises UnknownContent.
    """
    partitions = None if sector is None else partitions_of(file, sector)
    found = [is_seed(file, 0, partitions is not None)]
    found += [is_seed(file, begin, False) for begin in partitions or []]
    return any(found)


def is_seed(file, begin, is_known):
    """Whether there is a seed at a place. `is_known`: whether the content need not be that of a file system. Raises UnknownContent."""
    start = read_at(file, begin, WINDOW)
    labels = labels_of_iso(start) + labels_of_fat(file, begin, start)
    seeds = [label in SEED_LABELS for label in labels]
    if any(seeds) and not all(seeds):
        # Which of them libblkid prefers depends on its version.
        raise UnknownContent("its file system at byte %d has two labels" % begin)
    is_known = is_known or labels or any(start[at : at + len(magic)] == magic for at, magic in OTHERS)
    if not is_known and start.strip(b"\0"):
        raise UnknownContent("its content at byte %d is unknown" % begin)
    return any(seeds)


def labels_of_iso(start):
    """Returns the labels of an ISO 9660 file system: that of its primary descriptor and that of Joliet; empty if it is none."""
    labels = []
    for at in range(DESCRIPTORS, DESCRIPTORS + MOST_DESCRIPTORS * DESCRIPTOR, DESCRIPTOR):
        found = start[at : at + DESCRIPTOR]
        if found[1:6] != b"CD001" or found[0] == END:
            break
        if found[0] == PRIMARY:
            labels.append(trimmed(found[40:72]))
        elif found[0] == SUPPLEMENTARY and found[88:91] in JOLIET:
            labels.append(trimmed(found[40:72].decode("utf-16-be", "replace").encode("utf-8")))
    return labels


def labels_of_fat(file, begin, start):
    """
    Returns the labels of a FAT file system: that in its root directory, and that in its boot sector, if it is another one. None is a
    label as well. Empty if it is no such file system. A signature is not required, because neither libblkid nor Linux require it.
    """
    sector, cluster, reserved, fats = number(start, 11, 2), number(start, 13, 1), number(start, 14, 2), number(start, 16, 1)
    media, entries, length, long_length = number(start, 21, 1), number(start, 17, 2), number(start, 22, 2), number(start, 36, 4)
    is_fat = sector in (512, 1024, 2048, 4096) and cluster and not cluster & (cluster - 1) and reserved and fats
    if not is_fat or not (media == 0xF0 or media >= 0xF8) or not (length or long_length):
        return []
    data = begin + (reserved + fats * (length or long_length)) * sector
    if length:
        root, own = label_in(read_at(file, data, entries * 32)), start[43:54]
    else:
        root, own = label_of_fat32(file, start, begin + reserved * sector, data), start[71:82]
    label = trimmed(own)
    return [root] if label in (b"NO NAME", root) else [root, label]


def label_of_fat32(file, start, table, data):
    """Returns the label in the root directory of FAT32. `table`, `data`: the places of the first FAT and of the first cluster."""
    size = number(start, 13, 1) * number(start, 11, 2)
    entries = number(start, 36, 4) * number(start, 11, 2) // 4
    cluster = number(start, 44, 4)
    for _ in range(MOST_CLUSTERS):
        if not 2 <= cluster < entries:
            break
        label = label_in(read_at(file, data + (cluster - 2) * size, size))
        if label is not None:
            return label
        cluster = number(read_at(file, table + cluster * 4, 4), 0, 4) & 0x0FFFFFFF
    return None


def label_in(directory):
    """Returns the label in a directory of a FAT file system, or None."""
    for at in range(0, len(directory) - 31, 32):
        entry = directory[at : at + 32]
        if entry[0] == 0:
            break
        is_used = entry[0] != 0xE5 and entry[11] & 0x3F != 0x0F and entry[20:22] + entry[26:28] == bytes(4)
        # A volume label, and no directory.
        if is_used and entry[11] & 0x18 == 0x08:
            return trimmed(entry[:11])
    return None


def partitions_of(file, sector):
    """Returns where the partitions of a disk begin, in bytes, or None if it has no partition table. Raises UnknownContent."""
    table = read_at(file, 0, 512)
    entries = [table[at : at + 16] for at in range(446, 510, 16)]
    # As in Linux; else it is the code of a boot sector.
    if table[510:] != b"\x55\xaa" or any(entry[0] & 0x7F for entry in entries):
        return None
    used = [entry for entry in entries if number(entry, 12, 4)]
    kinds = [entry[4] for entry in used]
    if PROTECTIVE in kinds:
        return partitions_of_gpt(file, sector)
    if any(kind in EXTENDED for kind in kinds):
        raise UnknownContent("it has an extended partition")
    return [number(entry, 8, 4) * sector for entry in used] or None


def partitions_of_gpt(file, sector):
    """See partitions_of."""
    header = read_at(file, sector, 92)
    count, size = number(header, 80, 4), number(header, 84, 4)
    if header[:8] != b"EFI PART" or count > MOST_ENTRIES or not 128 <= size <= LARGEST_ENTRY:
        raise UnknownContent("its GPT cannot be read")
    table = read_at(file, number(header, 72, 8) * sector, count * size)
    entries = [table[at : at + size] for at in range(0, len(table), size)]
    return [number(entry, 32, 8) * sector for entry in entries if entry[:16].strip(b"\0")]


def read_at(file, at, size):
    """Returns the bytes at a place; fewer or none at the end."""
    if at >= 2**62:
        return b""
    file.seek(at, os.SEEK_SET)
    return file.read(size)


def number(data, at, size):
    """Returns a number with its lowest byte first, 0 beyond the end of the data."""
    return int.from_bytes(data[at : at + size], "little")


def trimmed(label):
    """Returns a label without what fills its field."""
    return label.partition(b"\0")[0].rstrip()
