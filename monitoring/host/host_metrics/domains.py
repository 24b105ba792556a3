"""Determines what libvirt and QEMU enforce for a domain, and where the claims of its guest differ."""

import re
import time
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.filter.proof import differences
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    describe_disk,
    system_disk,
    targets_of,
)
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError, qemu_readonly
from ansible_collections.immutafs.agent.plugins.module_utils.programs import Programs

from host_metrics.claims import ClaimError, read_claim

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def list_domains(uri, seconds):
    """Returns the UUIDs of all domains. Unlike a name, a UUID cannot be mistaken for an option. Raises LibvirtError."""
    lister = Domain(Programs({"uri": uri, "domain": "all domains", "target": None}, seconds))
    lines = lister.run("/usr/bin/virsh", "--connect", uri, "list", "--all", "--uuid").split()
    return sorted(line for line in lines if UUID.fullmatch(line))


def query_domain(options, uuid, begin):
    """
    Returns a dictionary about a domain. `begin`: the monotonic time at which the program began.

    - name, or the UUID if the name is unknown; running; error: whether libvirt or QEMU did not answer;
    - disks: maps targets to views ("libvirt", "qemu", "next_start"), which map to whether the disk is read-only;
    - answers: whether the guest delivered its report, or None if it was not asked; claim: see `read_claim`, or None;
    - differences: messages, or None if there is nothing to compare;
    - messages for the log.
    """
    found = {"name": uuid, "running": False, "error": False, "disks": {}, "answers": None, "claim": None}
    found.update({"differences": None, "messages": []})
    end = begin + options.total_timeout
    seconds = min(options.timeout, max(0, end - time.monotonic()))
    domain = Domain(Programs({"uri": options.uri, "domain": uuid, "target": None}, seconds))
    # virsh is given the UUID itself, and not a name that looks like one.
    domain.uuid = uuid
    try:
        state = domain.state()[0]
        found["running"] = state not in ("shut off", "crashed")
        seen = query_host(domain, found, dict(options.disk))
    except (LibvirtError, OSError, ElementTree.ParseError, ValueError, LookupError, TypeError) as error:
        found["error"] = True
        found["messages"].append("cannot be queried: %s" % (error or type(error).__name__))
        return found
    if found["running"] and not options.no_guests:
        # What libvirt and QEMU enforce is more important than what guests claim, so some time is left for it.
        reserve = min(2 * options.timeout, options.total_timeout / 2)
        if time.monotonic() < end - reserve:
            query_guest(domain, found, seen)
        else:
            found["answers"] = False
            found["messages"].append("the guest agent was not queried, because the time for all domains is over")
    return found


def query_host(domain, found, system_disks):
    """Sets name and disks. Returns what the filter `differences` takes for the system disk, or None without disks."""
    text = domain.xml(inactive=True)
    root = ElementTree.fromstring(text)
    found["name"] = root.findtext("name") or found["name"]
    now = domain.xml(inactive=False) if found["running"] else None
    live_root = root if now is None else ElementTree.fromstring(now)
    descriptions = {}
    # A disk that was attached to the running domain alone is not in the XML of the next start.
    for target in dict.fromkeys(targets_of(root) + targets_of(live_root)):
        descriptions[target] = describe(domain, target, text, now)
        views = {view: descriptions[target][view] for view in ("next_start", "libvirt", "qemu")}
        found["disks"][target] = {view: value for view, value in views.items() if value is not None}
    target = system_disks.get(found["name"], system_disk(live_root))
    if target not in descriptions:
        if found["name"] in system_disks:
            raise LibvirtError("the domain has no disk %s" % target)
        return None
    seen = descriptions[target]
    live, qemu = seen["libvirt"], seen["qemu"]
    return {
        "target": target,
        "bus": seen["bus"],
        "serial": seen["serial"],
        "wwn": seen["wwn"],
        "persistent": seen["next_start"],
        "live": live,
        "qemu": qemu,
        "now": live if qemu is None else qemu,
    }


def describe(domain, target, text, now):
    """Returns whether a disk is read-only in each view (None: unknown), and its bus, serial and wwn."""
    persistent = describe_disk(text, target)
    live = None if now is None else describe_disk(now, target)
    return {
        **{name: (live or persistent)[name] for name in ("bus", "serial", "wwn")},
        "next_start": None if persistent is None else persistent["readonly"],
        "libvirt": None if live is None else live["readonly"],
        "qemu": None if live is None else qemu_readonly(domain, live["alias"]),
    }


def query_guest(domain, found, seen):
    """Sets answers, claim and differences."""
    try:
        found["claim"] = read_claim(domain)
        found["answers"] = True
    except (LibvirtError, ClaimError, OSError) as error:
        found["answers"] = False
        found["messages"].append("the report of the guest cannot be read: %s" % error)
    if found["claim"] is not None and seen is not None:
        found["differences"] = differences(found["claim"], seen, boot=False)
        found["messages"] += found["differences"]
