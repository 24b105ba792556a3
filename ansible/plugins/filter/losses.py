"""Judges which state the restart of a guest discards."""

import json

from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.untrusted import text, whole
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.words import size

# Maximum number of lines for a guest.
MOST = 50


def losses(result):
    """
    Judges the result of the module `guest` for `immutafs-agent changes --state --json`. Returns `lines`, a line for each
    service or directory whose state a restart discards, and which is neither kept nor accepted, the largest first; and
    `problem`, the reason why not everything is known, or None.
    """
    found = [parsed(line) for line in result.get("stdout", "").splitlines() if line.startswith("{")]
    known = sorted((each for each in found if each is not None), key=lambda each: -each["bytes"])
    lines = [described(each) for each in known[:MOST]]
    if len(known) > MOST:
        lines.append("and state in %d further places" % (len(known) - MOST))
    problem = problem_of(result)
    if problem is None and None in found:
        problem = "immutafs-agent changes --state printed something that is not a loss"
    return {"lines": lines, "problem": problem}


def problem_of(result):
    """Returns the reason why the agent did not name every loss, or None. 4: no layer, so a restart discards nothing."""
    code = result.get("rc")
    said = text(" ".join(str(result.get("stderr") or result.get("stdout") or "").split()), 500)
    if code in (0, 4):
        return None
    if code is None:
        return text(result.get("msg")) or "the guest does not answer"
    if code == 127 or "unknown option" in said or "unknown command" in said:
        return "the agent in the guest is missing, or older than the option --state of immutafs-agent changes (%s)" % said
    return "immutafs-agent changes --state ended with %s: %s" % (code, said)


def parsed(line):
    """Returns the values of a line of `changes --state --json`, or None if it is not one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    number, count = whole(value.get("bytes")), whole(value.get("files"))
    places = value.get("directories")
    if number is None or count is None or not isinstance(places, list) or not value.get("name"):
        return None
    return {"name": value["name"], "service": value.get("service"), "places": places, "units": value.get("units"),
            "bytes": number, "files": count, "loses": value.get("loses")}


def described(loss):
    """Returns a loss as one line."""
    units = loss["units"] if isinstance(loss["units"], list) else []
    words = [text(loss["name"])]
    if loss["service"] is not None:
        words += [text(each) for each in loss["places"][:3]]
    unit = " (%s)" % ", ".join(text(each) for each in units[:5]) if units else ""
    count = "%d %s" % (loss["files"], "file" if loss["files"] == 1 else "files")
    return "%s%s: %s in %s: a restart loses %s" % (
        ", ".join(words), unit, size(loss["bytes"]), count, text(loss["loses"]))


class FilterModule:
    def filters(self):
        return {"losses": losses}
