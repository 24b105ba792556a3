"""The guest's report compared with what its host says."""

MIB = 1024 * 1024

# Between what boot loader, kernel and initramfs are (measured: 50 MiB) and a whole boot with them (149 MiB).
SYSTEM_READ = 96 * MIB
# Between what a boot reads from a disk with /home (measured: 1.5 MiB) and what a system on it takes (over 42 MiB).
OTHER_READ = 16 * MIB

# A guest's bus (agent/facts/disks/disks.ts) by libvirt's.
BUSES = {
    "virtio": ["virtio-blk"],
    "scsi": ["virtio-scsi", "scsi"],
    "sata": ["ata"],
    "ide": ["ata"],
    "usb": ["usb"],
}


def root_disks(status):
    """The disks under / in a report of `immutafs-agent status --json`."""
    return [disk for disk in status["disks"] if "/" in disk["holds"]]


def differences(status, seen, boot=True):
    """
    Sentences: each names a thing on which the guest's report and the host (see the module `domain`) do not agree, or,
    with `boot`, by which something else than the host decides what a sealed guest boots.

    A guest that cannot tell (`hostReadOnly` is null) does not agree with anything.
    """
    words = {True: "read-only", False: "writable", None: "unknown"}
    wrong = []
    if seen["live"] is None:
        return ["the domain does not run, but something answers in its place"]
    if seen["qemu"] != seen["live"]:
        wrong.append("libvirt has the disk %s, QEMU %s" % (words[seen["live"]], words[seen["qemu"]]))
    if seen["persistent"] != seen["live"]:
        wrong.append("the disk is %s now and %s from the next start on" % (words[seen["live"]], words[seen["persistent"]]))
    disks = root_disks(status)
    if not disks:
        wrong.append("the guest names no disk under /")
    for disk in disks:
        if disk["hostReadOnly"] != seen["now"]:
            says = words[disk["hostReadOnly"]]
            wrong.append("the guest says that its host has %s %s, the host says %s" % (disk["name"], says, words[seen["now"]]))
        if disk["bus"] not in BUSES.get(seen["bus"], [disk["bus"]]):
            claims = "the guest says that / is on %s (%s), the host has the system disk %s on %s"
            wrong.append(claims % (disk["name"], disk["bus"], seen["target"], seen["bus"]))
    if (status["mode"] == "sealed") != seen["now"]:
        wrong.append("the guest's mode is %s, its disk %s" % (status["mode"], words[seen["now"]]))
    if seen["now"]:
        wrong += other_disk(status, seen)
    return wrong + (open_boot(seen) if boot and seen["now"] else [])


def other_disk(status, seen):
    """A sentence where QEMU's counters say that the guest runs from another disk than from the sealed one."""
    read = seen["read"]
    own = read.get(seen["target"])
    others = {name: count for name, count in read.items() if name != seen["target"]}
    if own is None or not others:
        return []
    most = max(others, key=others.get)
    if own >= SYSTEM_READ or others[most] < OTHER_READ:
        return []
    names = ", ".join(disk["name"] for disk in root_disks(status)) or "no disk"
    return [
        "the guest says that / is on %s, but since its start QEMU has read only %d MiB from %s, no more than a boot "
        "loader needs, and %d MiB from %s" % (names, own // MIB, seen["target"], others[most] // MIB, most)
    ]


def open_boot(seen):
    """Sentences on what else than the host decides the boot: of this start, and of the next one."""
    facts = seen["boot_now"]["wrong"] + seen["boot"]["wrong"] + seen["boot"]["blockers"]
    return list(dict.fromkeys(facts))


def is_sealed(seen):
    """Whether the guest runs sealed, and will from the next start on, with nothing that the module `boot` can correct."""
    if not (seen["now"] and seen["persistent"]):
        return False
    return not seen["boot"]["wrong"] and not seen["boot_now"]["wrong"]


def failing(status):
    """The ids of the required checks that did not pass."""
    required = [check for check in status["checks"] if check["severity"] == "required"]
    return [check["id"] for check in required if check["status"] in ("fail", "error")]


def state_name(seen, status=None):
    """The guest's state in words; the same words in every report."""
    kind = "sealed" if (seen["persistent"] if seen["now"] is None else seen["now"]) else "open"
    if seen["state"] != "running":
        return "%s, %s" % (seen["state"], kind)
    if not status:
        return "running, %s, does not answer" % kind
    name = status["verdict"]
    if failing(status):
        name = "%s, %s: %s" % (kind, name, ", ".join(failing(status)))
    wrong = differences(status, seen)
    return name + "; BUT " + "; ".join(wrong) if wrong else name


class FilterModule:
    """The filters."""

    def filters(self):
        """By name."""
        return {"differences": differences, "is_sealed": is_sealed, "state_name": state_name}
