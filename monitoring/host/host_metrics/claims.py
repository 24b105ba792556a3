"""Reads the report of the agent through the QEMU guest agent. Root in the guest can forge every part of the answer.

Sources: qemu-ga's guest-file-open, guest-file-read and guest-file-close (qga/qapi-schema.json); virsh(1),
qemu-agent-command.
"""

import base64
import calendar
import json
import time

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.plugin_utils.report import problem_of

REPORT = "/run/immutafs/report.json"
# Maximum size of a report in bytes.
LIMIT = 1024 * 1024
# Seconds to wait for an answer of the guest agent, of which a query takes three.
ANSWER = 5

# What is compared with the host.
FIELDS = ("verdict", "mode", "at", "disks.name", "disks.bus", "disks.hostReadOnly", "disks.holds")


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
    list of name, bus, hostReadOnly and holds. Raises ClaimError unless each part is valid.
    """
    problem = problem_of(report, FIELDS)
    if problem is not None:
        raise ClaimError(problem)
    try:
        time_of_report = calendar.timegm(time.strptime(report["at"][:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise ClaimError("at is not a time")
    return {
        "verdict": report["verdict"],
        "mode": report["mode"],
        "time": time_of_report,
        "disks": [{key: disk[key] for key in ("name", "bus", "hostReadOnly", "holds")} for disk in report["disks"]],
    }
