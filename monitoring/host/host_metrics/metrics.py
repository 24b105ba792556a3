"""Formats the metrics of a host in Prometheus's text format. Pure functions."""

# Upper bound on the disks of a guest that get a series, because root in the guest can name any number of disks.
DISKS = 20


def render(domains, now, seconds):
    """Returns the text. `domains`: see `query_domain`; `now`: since 1970; `seconds`: duration of the queries."""
    samples = [
        ("metrics_timestamp_seconds", "Time at which the domains were queried.", [({}, round(now, 3))]),
        ("metrics_duration_seconds", "Seconds that the queries took.", [({}, round(seconds, 3))]),
        ("domain_running", "Whether the domain runs.", [(of(each), int(each["running"])) for each in domains]),
        (
            "domain_error",
            "Whether libvirt or QEMU did not answer about the domain.",
            [(of(each), int(each["error"])) for each in domains],
        ),
        (
            "disk_read_only",
            "Whether a disk is read-only in a view: qemu (QEMU, now), libvirt (the running domain) or next_start.",
            [
                (of(each, disk=disk, view=view), int(value))
                for each in domains
                for disk, views in each["disks"].items()
                for view, value in views.items()
            ],
        ),
        (
            "guest_answers",
            "Whether the guest agent of a running domain delivered the report of immutafs-agent.",
            [(of(each), int(each["answers"])) for each in domains if each["answers"] is not None],
        ),
        (
            "guest_report_timestamp_seconds",
            "Time of the report, as claimed by the guest.",
            [(of(each), each["claim"]["time"]) for each in claiming(domains)],
        ),
        (
            "guest_verdict",
            "The verdict that the guest claims; the value is always 1.",
            [(of(each, verdict=each["claim"]["verdict"]), 1) for each in claiming(domains)],
        ),
        (
            "guest_disk_read_only",
            "Whether the host made a disk under / read-only, as claimed by the guest.",
            [
                (of(each, guest_disk=name), value)
                for each in claiming(domains)
                for name, value in root_disks(each["claim"]).items()
            ],
        ),
        (
            "differences",
            "Number of differences between the report of the guest and what libvirt and QEMU enforce.",
            [(of(each), len(each["differences"])) for each in domains if each["differences"] is not None],
        ),
    ]
    return "".join(family("immutafs_host_" + name, text, found) for name, text, found in samples if found)


def claiming(domains):
    """Returns the domains whose guest delivered a report."""
    return [each for each in domains if each["claim"] is not None]


def root_disks(claim):
    """
    Maps the disks under / to 1 or 0. A disk that a report names twice counts once, as writable if in doubt. Of more than
    DISKS, the writable ones come first.
    """
    disks = {}
    for disk in claim["disks"]:
        if "/" in disk["holds"]:
            disks[disk["name"]] = min(disks.get(disk["name"], 1), int(disk["hostReadOnly"] is True))
    return dict(sorted(disks.items(), key=lambda item: (item[1], item[0]))[:DISKS])


def of(domain, **labels):
    """Returns the labels of a sample of a domain."""
    return dict({"domain": domain["name"]}, **labels)


def family(name, text, samples):
    """Returns the lines of one metric."""
    lines = ["# HELP %s %s" % (name, text), "# TYPE %s gauge" % name]
    for labels, value in samples:
        pairs = ",".join('%s="%s"' % (label, label_value(each)) for label, each in labels.items())
        lines.append("%s%s %s" % (name, "{%s}" % pairs if pairs else "", value))
    return "\n".join(lines) + "\n"


def label_value(text):
    """Escapes a label's value. Different names remain different, because duplicates invalidate the whole file."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')


def printable(text):
    """Replaces unprintable characters by escape sequences, and doubles backslashes."""
    doubled = text.replace("\\", "\\\\")
    return "".join(char if char.isprintable() else "\\u%04x" % ord(char) for char in doubled)
