"""What the guest says beside what its host says."""


def root_disks(status):
    """The disks under / in a report of `immutafs-agent status --json`."""
    return [disk for disk in status["disks"] if "/" in disk["holds"]]


def differences(status, seen):
    """Sentences: each names a thing on which the guest's report and the host (see the module `domain`) do not agree.

    A guest that cannot tell (`hostReadOnly` is null) does not agree with anything.
    """
    wrong = []
    words = {True: "read-only", False: "writable", None: "unknown"}
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
    if (status["mode"] == "sealed") != seen["now"]:
        wrong.append("the guest's mode is %s, its disk %s" % (status["mode"], words[seen["now"]]))
    return wrong


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
        return {"differences": differences, "state_name": state_name}
