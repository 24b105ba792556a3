"""Writes the fleet document as one HTML file that needs no network.

Guests decide what many of the values are. Three measures keep a value from becoming markup or a program: untrusted.py
limits and cleans the values, the template engine escapes every value, and the content security policy of the page
permits only the style sheet and the script whose digests it contains, and no connection at all.
"""

import base64
import hashlib
import os

from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet import words
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.document import STATES, attention
from jinja2 import Environment, FileSystemLoader, StrictUndefined

# The folder of the template, the style sheet and the script.
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")

# The reasons for attention, see document.attention.
REASONS = {
    "differences": "Host and guest differ",
    "footholds": "Footholds",
    "var": "/var 80 % full, or full within 6 hours",
    "behind": "Logs unacknowledged for 5 minutes",
    "losses": "Log entries lost or refused",
    "no-receipt": "No receipt",
}

ENFORCEMENT = {
    "host": "host enforces",
    "guest": "guest enforces",
    "partial": "host enforces in part",
    "none": "not enforced",
}

PASSED = {"pass": "Checks that passed", "skip": "Checks that do not apply in this mode"}


def render(document):
    """Returns the page as text."""
    with open(os.path.join(FOLDER, "page.css"), encoding="utf-8") as file:
        style = file.read()
    with open(os.path.join(FOLDER, "page.js"), encoding="utf-8") as file:
        script = file.read()
    now = words.moment(document["at"])
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(size=words.size, duration=words.duration, minute=words.minute, readonly=words.readonly)
    return environment.get_template("page.html.j2").render(
        at=document["at"],
        states=[(state, STATES[state], count) for state, count in document["counts"].items()],
        before=before(document["counts"]),
        reasons=reasons(document["guests"]),
        rows=[row(number, entry, now) for number, entry in enumerate(document["guests"], 1)],
        hypervisors=sorted({entry["hypervisor"] for entry in document["guests"]}),
        versions=versions(document["guests"]),
        images=images(document["guests"]),
        style=style,
        script=script,
        style_digest=digest(style),
        script_digest=digest(script),
    )


def digest(content):
    """Returns the digest of an inline style sheet or script as the content security policy expects it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def before(counts):
    """Maps each state to the number of guests in the states before it."""
    numbers = list(counts.values())
    return {state: sum(numbers[:index]) for index, state in enumerate(counts)}


def reasons(entries):
    """Returns the name, the label and the number of guests of each reason for attention."""
    found = [attention(entry) for entry in entries]
    return [(name, label, sum(name in each for each in found)) for name, label in REASONS.items()]


def versions(entries):
    """Returns each version of the agent with the number of its guests, the most frequent first."""
    found = [entry["claim"]["agent"] for entry in entries if entry["claim"]]
    return sorted(((each, found.count(each)) for each in set(found)), key=lambda pair: (-pair[1], pair[0]))


def images(entries):
    """Returns each image with the number of its guests, the most frequent first."""
    found = [image_words(entry["claim"]) for entry in entries]
    named = {each for each in found if each}
    return sorted(((each, found.count(each)) for each in named), key=lambda pair: (-pair[1], pair[0]))


def image_words(claim):
    """Returns the image that a guest names, with its version; an empty text if it names none."""
    image = claim["image"] if claim else None
    return "%s %s" % (image["name"], image["version"]) if image else ""


def row(number, entry, now):
    """Returns what the template needs of a guest: the entry, and the texts of the table with their sort keys."""
    claim = entry["claim"]
    failed = [] if claim is None else [each for each in claim["checks"] if each["status"] in ("fail", "error", "warn")]
    found = [entry[key] for key in ("name", "hypervisor", "domain")] + [check["id"] for check in failed]
    found.append(image_words(claim))
    return {
        "id": "guest-%d" % number,
        "guest": entry,
        "label": STATES[entry["state"]],
        "rank": list(STATES).index(entry["state"]),
        "search": " ".join(found + [claim["agent"], claim["os"]] if claim else found).lower(),
        "flags": " ".join(attention(entry)),
        "host": host_words(entry["host"]),
        "image": image_words(claim),
        "claim": "no report" if claim is None else claim["verdict"] or "unknown",
        "enforcement": ENFORCEMENT.get(claim["enforcement"], "") if claim else "",
        "failed": failed,
        "others": [(PASSED[status], names) for status, names in others_of(claim).items() if names],
        "forward": forward_words(claim),
        "update_age": words.age(entry["lastUpdate"], now),
        "receipt_age": words.age(entry["receipt"]["at"], now) if entry["receipt"] else None,
        "open_age": words.age(claim["bootRecordedAt"], now) if claim and claim["mode"] == "maintenance" else None,
    }


def host_words(host):
    """Returns what the host enforces, in words."""
    if host is None:
        return "unknown"
    if not host["running"]:
        return "%s from the next start" % words.readonly(host["readOnlyNextStart"])
    return words.readonly(host["readOnly"])


def others_of(claim):
    """Maps each status that needs no attention to the ids of its checks."""
    checks = claim["checks"] if claim else []
    return {status: [check["id"] for check in checks if check["status"] == status] for status in PASSED}


def forward_words(claim):
    """Returns the lag and the losses of the forwarder with their sort keys, or None if there is no report."""
    if claim is None:
        return None
    forward = claim["forward"]
    if forward is None:
        return {"lag": "not configured", "losses": "", "key": -1}
    seconds, entries = forward["lagSeconds"], forward["lagEntries"]
    lag = "lag unknown" if seconds is None else "up to date" if seconds < 1 and not entries else words.duration(seconds)
    if entries:
        lag += ", %d %s" % (entries, "entry" if entries == 1 else "entries")
    lost = ["%d %s" % (forward[key], key) for key in ("lost", "corrupt", "refused") if forward[key]]
    lost += ["%s of files lost" % words.size(forward["filesLostBytes"])] if forward["filesLostBytes"] else []
    return {"lag": lag, "losses": ", ".join(lost), "key": seconds or 0}
