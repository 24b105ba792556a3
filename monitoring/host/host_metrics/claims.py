"""Reads the report of the agent through the QEMU guest agent. Root in the guest can forge every part of the answer.

Sources: qemu-ga's guest-file-open, guest-file-read and guest-file-close (qga/qapi-schema.json); virsh(1),
qemu-agent-command; agent/report/report.schema.json.
"""

import base64
import calendar
import json
import re
import time

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

REPORT = "/run/immutafs/report.json"
# Maximum size of a report in bytes.
LIMIT = 1024 * 1024
# Seconds to wait for an answer of the guest agent, of which a query takes three.
ANSWER = 5

VERDICTS = ("sealed", "rehearsal", "maintenance", "off", "unknown", "failed")
MODES = ("sealed", "maintenance", "off")
# Maximum number of disks of a report, and of paths on a disk.
MOST = 256


class ClaimError(Exception):
    """The answer of a guest is not a report."""


def read_claim(domain):
    """Returns the checked report of a guest, see `claim_of`. Raises LibvirtError or ClaimError."""
    handle = ask(domain, "guest-file-open", {"path": REPORT, "mode": "r"})
    if not isinstance(handle, int) or isinstance(handle, bool):
        raise ClaimError("guest-file-open did not return a number")
    try:
        answer = ask(domain, "guest-file-read", {"handle": handle, "count": LIMIT})
    finally:
        try:
            ask(domain, "guest-file-close", {"handle": handle})
        except (LibvirtError, ClaimError):
            pass
    return claim_of(decode(answer))


def ask(domain, command, arguments):
    """Runs a command of the guest agent and returns its result."""
    request = json.dumps({"execute": command, "arguments": arguments})
    answer = parse(domain.virsh("qemu-agent-command", "--timeout", str(ANSWER), request))
    if not isinstance(answer, dict) or "return" not in answer:
        raise ClaimError("%s returned no result" % command)
    return answer["return"]


def decode(answer):
    """Returns the value of the JSON in the result of guest-file-read."""
    if not isinstance(answer, dict) or not isinstance(answer.get("buf-b64"), str):
        raise ClaimError("guest-file-read returned no data")
    if answer.get("eof") is not True:
        raise ClaimError("%s is larger than %d bytes" % (REPORT, LIMIT))
    try:
        return parse(base64.b64decode(answer["buf-b64"], validate=True).decode("utf-8"))
    except ValueError:
        raise ClaimError("%s is not base64 or not UTF-8" % REPORT)


def parse(text):
    """Parses JSON. Raises ClaimError for anything else, including a nesting that Python's parser does not support."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ClaimError("the answer is not JSON")


def claim_of(report):
    """
    Returns the parts of a report that are compared with the host: verdict, mode, time (seconds since 1970) and disks, a
    list of name, bus, hostReadOnly and holds. Every text is from a short list of characters, so that it can be shown.
    Raises ClaimError unless each part is valid.
    """
    if not isinstance(report, dict):
        raise ClaimError("the report is not an object")
    disks = report.get("disks")
    if report.get("verdict") not in VERDICTS or report.get("mode") not in MODES:
        raise ClaimError("the report has no valid verdict and mode")
    if not isinstance(disks, list) or len(disks) > MOST:
        raise ClaimError("the report has no valid list of disks")
    return {
        "verdict": report["verdict"],
        "mode": report["mode"],
        "time": time_of(report.get("at")),
        "disks": [disk_of(disk) for disk in disks],
    }


def disk_of(disk):
    """Returns the checked entry of a disk."""
    if not isinstance(disk, dict) or not (matches("[A-Za-z0-9_.-]{1,64}", disk.get("name"))):
        raise ClaimError("the report has a disk without a valid name")
    holds, read_only = disk.get("holds"), disk.get("hostReadOnly")
    if not matches("[a-z0-9-]{1,32}", disk.get("bus")):
        raise ClaimError("the report has a disk without a valid bus")
    if read_only is not None and not isinstance(read_only, bool):
        raise ClaimError("the report has a disk without a valid hostReadOnly")
    if not isinstance(holds, list) or len(holds) > MOST or not all(isinstance(each, str) for each in holds):
        raise ClaimError("the report has a disk without a valid list of paths")
    return {"name": disk["name"], "bus": disk["bus"], "hostReadOnly": read_only, "holds": holds}


def time_of(text):
    """Converts a time such as 2026-03-04T05:06:07.089Z to seconds since 1970."""
    if not matches(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,9})?Z", text):
        raise ClaimError("the report has no valid time")
    try:
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise ClaimError("the report has no valid time")


def matches(pattern, value):
    """Whether a value is a text that matches a pattern as a whole."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None
