"""Compares the report of a guest with libvirt and QEMU."""

import re

# The bytes of a serial number that virtio-blk has (VIRTIO_BLK_ID_BYTES).
VIRTIO_SERIAL = 20

# Maps the bus in the domain XML to the buses that the guest may report (agent/facts/disks/disks.ts).
BUSES = {
    "virtio": ["virtio-blk"],
    "scsi": ["virtio-scsi", "scsi"],
    "sata": ["ata"],
    "ide": ["ata"],
    "usb": ["usb"],
}

# The directories with the programs of the system, which are never data (agent/facts/security/places.ts), and the rules by
# which a guest mounts data there, but in sealed boots only.
PROGRAMS = (
    *("/bin", "/boot", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/root", "/sbin", "/usr"),
    "/var/roothome",
)
SEALED_ONLY = ("persist", "scratch")


def root_disks(status):
    """Returns the disks under / in a report of `immutafs-agent status --json`."""
    return [disk for disk in status["disks"] if "/" in disk["holds"]]


def differences(status, seen, boot=True):
    """
    Returns a message for each difference between the report of the guest and the state on the host (see the module
    `domain`). If `boot` is true, also returns a message for each setting with which root in a sealed guest can
    influence what the guest boots.

    If the guest does not know whether the host made a disk read-only (`hostReadOnly` is null), this is a difference.
    """
    words = {True: "read-only", False: "writable", None: "unknown"}
    wrong = []
    if seen["live"] is None:
        return ["the domain is not running, but a machine answers at the address of the guest"]
    if seen["qemu"] != seen["live"]:
        wrong.append("libvirt reports the disk as %s, QEMU as %s" % (words[seen["live"]], words[seen["qemu"]]))
    if seen.get("writers"):
        wrong.append("the image of %s can also be written by %s" % (seen["target"], ", ".join(seen["writers"])))
    if seen["persistent"] != seen["live"]:
        wrong.append("the disk is %s now, but %s from the next start" % (words[seen["live"]], words[seen["persistent"]]))
    disks = root_disks(status)
    if not disks:
        wrong.append("the guest reports no disk under /")
    for disk in disks:
        if disk["hostReadOnly"] != seen["now"]:
            says = words[disk["hostReadOnly"]]
            claims = "the guest reports %s as %s on the host, the host reports it as %s"
            wrong.append(claims % (disk["name"], says, words[seen["now"]]))
        if disk["bus"] not in BUSES.get(seen["bus"], [disk["bus"]]):
            claims = "the guest reports that / is on %s (%s), but on the host the system disk is %s on %s"
            wrong.append(claims % (disk["name"], disk["bus"], seen["target"], seen["bus"]))
    if (status["mode"] == "sealed") != seen["now"]:
        wrong.append("the guest is in mode %s, but its disk is %s" % (status["mode"], words[seen["now"]]))
    wrong += other_system_disks(status, seen)
    if seen["now"]:
        wrong += other_disk(status, seen)
    return wrong + (open_boot(seen) if boot and seen["now"] else [])


def other_system_disks(status, seen):
    """
    Returns a message for each disk that makes the verdict `sealed` wrong: a disk that the host leaves writable and that
    holds a mount that the guest does not report as data; and if the guest reports more disks as read-only than there are.
    """
    wrong = []
    if status["verdict"] == "sealed" and "data" in status:
        for disk in status["disks"]:
            held = [] if disk["hostReadOnly"] is True else [each for each in disk["holds"] if not is_data(status, each)]
            if held and "/" not in held:
                says = "the guest reports that it is sealed, but %s is writable and holds %s, which is not data"
                wrong.append(says % (disk["name"], ", ".join(held[:8])))
    claimed = [disk["name"] for disk in status["disks"] if disk["hostReadOnly"] is True]
    if seen.get("read_only") is not None and len(claimed) > len(seen["read_only"]):
        says = "the guest reports %s as read-only on the host, but the read-only disks of the domain are %s"
        wrong.append(says % (", ".join(claimed[:8]), ", ".join(seen["read_only"]) or "none"))
    return wrong


def is_data(status, target):
    """Whether the guest reports a mount as data. Root in the guest decides what the report contains."""
    data = status["data"] if isinstance(status["data"], list) else []
    rules = [each.get("rule") for each in data if isinstance(each, dict) and each.get("target") == target]
    if target == "/" or any((target + "/").startswith(each + "/") for each in PROGRAMS):
        return bool(rules) and all(rule in SEALED_ONLY for rule in rules)
    return bool(rules)


def other_disk(status, seen):
    """
    Returns a message if the serial numbers show that / is on a disk other than the sealed disk. If the domain or the guest
    names none, there is no verdict: how much QEMU has read from a disk does not show what the guest does with the data.
    """
    expected, disks = serials_of(seen), root_disks(status)
    found = [disk.get("serial") for disk in disks]
    known = [serial for serial in found if isinstance(serial, str)]
    if not expected or not known or len(known) < len(found):
        return []
    if any(is_serial(serial, expected, seen["bus"]) for serial in known):
        return []
    claims = "the guest reports that / is on %s with the serial number %s, but on the host the system disk %s has %s"
    names = ", ".join(disk["name"] for disk in disks)
    return [claims % (names, ", ".join(map(in_udev, known)), seen["target"], " or ".join(expected))]


def serials_of(seen):
    """Returns the serial numbers of the system disk in the XML of the domain, as udev in the guest writes them."""
    serial, wwn = seen.get("serial") or "", seen.get("wwn") or ""
    if seen["bus"] == "virtio":
        serial, wwn = serial[:VIRTIO_SERIAL], ""
    elif seen["bus"] != "scsi":
        return []
    # udev writes the type of the identifier before a WWN.
    return [in_udev(each) for each in (wwn and "3" + wwn.lower().replace("0x", ""), serial) if each]


def is_serial(claimed, expected, bus):
    """Whether a serial number is one of the expected ones. For SCSI without WWN, vendor and model come before it."""
    own = in_udev(claimed)
    return own in expected or (bus == "scsi" and any(own.endswith("_" + serial) for serial in expected))


def in_udev(serial):
    """Replaces the characters of a serial number that udev replaces; also for a text from the guest, which root decides."""
    return re.sub(r"[^0-9A-Za-z#+.:=@_-]", "_", re.sub(r"\s+", "_", serial.strip()))[:256]


def open_boot(seen):
    """Returns the messages about boot settings of this start and of the next start that do not ensure a sealed boot."""
    facts = [seen[boot][kind] for boot in ("boot_now", "boot") for kind in ("wrong", "blockers")]
    return list(dict.fromkeys(sum(facts, [])))


def is_sealed(seen):
    """
    Whether the guest is sealed now and at the next start, and its boot settings need neither a correction by `boot` nor
    another start, because an administrator has corrected them since the last one.
    """
    if not (seen["now"] and seen["persistent"]):
        return False
    ends = set(seen["boot_now"]["blockers"]) - set(seen["boot"]["blockers"])
    return not (seen["boot"]["wrong"] or seen["boot_now"]["wrong"] or ends)


def failing(status):
    """Returns the ids of the required checks that did not pass."""
    required = [check for check in status["checks"] if check["severity"] == "required"]
    return [check["id"] for check in required if check["status"] in ("fail", "error")]


def state_name(seen, status=None):
    """Returns the state of the guest in words, which are the same in every report."""
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
    def filters(self):
        return {"differences": differences, "is_sealed": is_sealed, "state_name": state_name}
