"""Judges the backlog of the forwarder, and what is present again after a restart."""

import datetime
import json

from ansible_collections.immutafs.agent.plugins.plugin_utils.evidence import is_notable
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.untrusted import number, time, whole

# The layer of files in home directories that no overlay covers (agent/changes/homes.ts). They are on a disk.
HOMES = "home directories"


def moment(text):
    """Parses a time of a report, ISO 8601 in UTC with Z. Raises ValueError."""
    if time(text) is None:
        raise ValueError("not a time: %r" % (text,))
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def backlog(status, since):
    """
    Returns a message for each reason why the log server may not have everything that was logged before the time
    `since` (ISO 8601, the time of the guest): empty if it has acknowledged all of it. `status` is a report of
    `immutafs-agent status --json`.
    """
    forward = status.get("forward")
    if forward is None:
        return ["the guest forwards no logs (FORWARD is empty, or the forwarder has not run in this boot)"]
    wrong = []
    if forward["state"] != "connected":
        words = ["the forwarder is %s, not connected, to %s" % (forward["state"], forward["target"])]
        wrong.append(": ".join(words + [forward["error"]] if forward["error"] else words))
    lag = forward["lag"]
    entries = whole(lag["entries"])
    if entries is None:
        wrong.append("the number of unacknowledged journal entries is unknown")
    elif entries > 0 and not is_younger(status["at"], lag["seconds"], since):
        wrong.append("%d journal entries are not acknowledged" % entries)
    for source in forward["sources"]:
        if source["error"]:
            wrong.append("%s: %s" % (source["path"], source["error"]))
        elif whole(source["behindBytes"]) is None:
            wrong.append("the number of unacknowledged bytes of %s is unknown" % source["path"])
        elif whole(source["behindBytes"]) > 0:
            wrong.append("%d bytes of %s are not acknowledged" % (whole(source["behindBytes"]), source["path"]))
    return wrong


def is_younger(now, seconds, since):
    """
    Whether the oldest unacknowledged entry, which is `seconds` old, was logged after `since`. False if a value is not a
    time.
    """
    if number(seconds) is None:
        return False
    try:
        return moment(now) - datetime.timedelta(seconds=seconds) > moment(since)
    except (ValueError, OverflowError):
        return False


def present_again(output, before, expected=()):
    """
    Returns the paths of notable changes before a restart that are notable changes again. `output`: that of
    `immutafs-agent changes --json` after the restart. `before`: the notable changes of the evidence. Leaves out the
    paths in `expected`, and files in home directories on a disk, which outlive a restart.
    """
    paths = {change["path"] for change in before}
    lines = [json.loads(line) for line in output.splitlines() if line.strip()]
    again = {line["path"] for line in lines if is_notable(line) and line["layer"] != HOMES}
    return sorted((paths & again) - set(expected))


class FilterModule:
    def filters(self):
        return {"backlog": backlog, "present_again": present_again}
