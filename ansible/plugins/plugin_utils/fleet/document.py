"""Combines what hosts and guests reported into one document, from which every format is written.

`guest_entry` makes the entry of one guest, and `document` the document. README.md of the collection describes the
fields. Every value from a guest passes through a function of untrusted.py.
"""

from datetime import datetime, timezone

from ansible_collections.immutafs.agent.plugins.filter.proof import differences, root_disks
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.untrusted import (
    choice,
    fields,
    items,
    number,
    text,
    time,
    whole,
)
from ansible_collections.immutafs.agent.plugins.plugin_utils.report import choices, problem_of

# The states of a guest, the most urgent first. A guest has exactly one of them.
STATES = {
    "differs": "Differs from host",
    "failed": "Checks failed",
    "no-answer": "No usable answer",
    "unknown": "Not determined",
    "off": "Off",
    "maintenance": "Maintenance",
    "rehearsal": "Rehearsal",
    "shut-off": "Shut off",
    "sealed": "Sealed",
}

# A layer that is full within this period, in seconds, needs attention.
SOON = 6 * 3600
# Entries that the log server has not acknowledged for longer than this period, in seconds, need attention.
BEHIND = 300

MOST = {"checks": 100, "footholds": 50, "differences": 20, "impostors": 20, "disks": 20}


def document(entries, at=None):
    """Returns the document. `entries`: the results of guest_entry. `at`: the time as a datetime, by default now."""
    at = at or datetime.now(timezone.utc)
    order = list(STATES)
    entries = sorted(entries, key=lambda entry: (order.index(entry["state"]), entry["name"]))
    counts = {state: sum(entry["state"] == state for entry in entries) for state in STATES}
    return {"schema": 1, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "counts": counts, "guests": entries}


def guest_entry(name, query=None, status=None, **more):
    """
    Returns the entry of a guest. `query`: the result of the module `domain`; `status`: the result of the module
    `guest` for `immutafs-agent status --json`. Either may be missing or have failed. `more`: domain, hypervisor and
    disk from the inventory; `failure`, the reason if the playbook failed for this guest; `boot`, whether the boot
    settings count as differences; `receipt`, the receipt of the seal or None.
    """
    host = host_view(fields(query))
    report, problem = report_of(fields(status), host, more.get("failure"))
    wrong = differences(report, query, more.get("boot", True)) if report is not None and host is not None else []
    entry = {
        "name": text(name, 100),
        "hypervisor": text(more.get("hypervisor"), 100),
        "domain": text(more.get("domain"), 100),
        "disk": text(more.get("disk"), 40),
        "state": "",
        "problem": text(problem, 500) if problem else None,
        "host": host,
        "claim": claim_of(report) if report is not None else None,
        "differences": [text(each, 500) for each in wrong[: MOST["differences"]]],
        "lastUpdate": last_update(fields(query)),
        "receipt": receipt_of(more.get("receipt")),
    }
    return dict(entry, state=state_of(entry))


def host_view(query):
    """Returns what the host enforces, or None if the host could not be queried."""
    if "persistent" not in query:
        return None
    boot = (query.get("boot") or {}, query.get("boot_now") or {})
    wrong = [each for facts in boot for each in facts.get("wrong", []) + facts.get("blockers", [])]
    return {
        "running": query["state"] == "running",
        "state": text(query["state"], 40),
        "readOnly": query["now"],
        "readOnlyNextStart": query["persistent"],
        "readOnlyInQemu": query["qemu"],
        "bootProblems": [text(each, 500) for each in dict.fromkeys(wrong)],
    }


def report_of(status, host, failure):
    """Returns the report and None, or None and the reason why there is no report (None if none is expected)."""
    if host is None:
        return None, failure or "the host could not be queried"
    if not host["running"]:
        return None, failure
    if "json" not in status:
        return None, status.get("msg") or failure or "the guest did not answer"
    problem = problem_of(status["json"])
    if problem is not None:
        return None, "the guest answered with something else than a report: %s" % problem
    return status["json"], failure


def state_of(entry):
    """Returns the state of a guest, which is a key of STATES."""
    host, claim = entry["host"], entry["claim"]
    if host is None:
        return "unknown"
    if not host["running"]:
        return "shut-off" if host["state"] == "shut off" else "unknown"
    if claim is None:
        return "no-answer"
    if entry["differences"]:
        return "differs"
    if claim["verdict"] == "failed" or claim["failed"]:
        return "failed"
    return claim["verdict"]


def claim_of(report):
    """Returns what the guest reports about itself."""
    host, boot, checks = fields(report.get("host")), fields(report.get("boot")), checks_of(report)
    return {
        "at": time(report.get("at")),
        "agent": text(fields(report.get("agent")).get("version"), 40),
        "image": image_of(report.get("image")),
        "os": text(host.get("os"), 100),
        "kernel": text(host.get("kernel"), 100),
        "verdict": report["verdict"],
        "mode": report["mode"],
        "reason": text(report.get("reason")),
        "enforcement": report["enforcement"],
        "rootDisks": [text(disk["name"], 40) for disk in root_disks(report)[: MOST["disks"]]],
        "bootRecordedAt": time(boot.get("at")),
        "failed": [
            check["id"] for check in checks if check["severity"] == "required" and check["status"] in ("fail", "error")
        ],
        "checks": checks,
        "footholds": footholds_of(report),
        "impostors": impostors_of(report),
        "foreignPrograms": whole(fields(report.get("programs")).get("count")),
        "var": var_of(fields(report.get("var"))),
        "forward": forward_of(report.get("forward")),
    }


def image_of(image):
    """Returns name, version and build time of the image of the guest, or None if the guest names none."""
    if not isinstance(image, dict):
        return None
    return {"name": text(image.get("name"), 128), "version": text(image.get("version"), 128), "built": time(image.get("built"))}


def checks_of(report):
    """Returns the checks."""
    return [
        {
            "id": text(check["id"], 60),
            "status": check["status"],
            "severity": check["severity"],
            **{key: text(check.get(key), 500) for key in ("subject", "expected", "observed", "remedy")},
        }
        for check in items(report["checks"], MOST["checks"])
    ]


def footholds_of(report):
    """Returns the footholds."""
    return [
        {
            "target": text(each.get("target"), 200),
            "executable": each.get("executable") is True,
            "persistent": each.get("persistent") is True,
            "reason": text(each.get("reason")),
            "tighten": text(each.get("tighten")),
        }
        for each in items(report.get("footholds"), MOST["footholds"])
    ]


def impostors_of(report):
    """Returns the devices that carry an identity of the sealed disk."""
    found = items(report.get("impostors"), MOST["impostors"])
    return [{key: text(each.get(key), 200) for key in ("device", "sealedDevice", "identity")} for each in found]


def var_of(var):
    """Returns the usage of the writable layer: the larger of the shares of bytes and inodes, and the forecast."""
    used = {key: whole(var.get(key)) for key in ("usedBytes", "sizeBytes", "inodesUsed", "inodes")}
    shares = [share(used["usedBytes"], used["sizeBytes"]), share(used["inodesUsed"], used["inodes"])]
    forecast = fields(var.get("forecast"))
    return {
        "overlay": var.get("overlay") is True,
        **used,
        "percent": max((each for each in shares if each is not None), default=None),
        "secondsUntilFull": number(forecast.get("secondsUntilFull")),
        "fullOf": choice(forecast.get("limit"), choices("var.forecast.limit")),
    }


def share(used, size):
    """Returns the used share in percent, at most 100, or None."""
    return None if used is None or not size else min(100, round(100 * used / size))


def forward_of(forward):
    """Returns the state of the forwarder, or None if the guest does not forward."""
    if not isinstance(forward, dict):
        return None
    lag = fields(forward.get("lag"))
    files = items(forward.get("sources"), 100)
    return {
        "target": text(forward.get("target"), 200),
        "state": forward["state"],
        "error": text(forward.get("error")),
        "lagEntries": whole(lag.get("entries")),
        "lagSeconds": number(lag.get("seconds")),
        "lost": whole(forward.get("lost")),
        "corrupt": whole(forward.get("corrupt")),
        "refused": whole(forward.get("refused")),
        "filesBehindBytes": sum(whole(each.get("behindBytes")) or 0 for each in files),
        "filesLostBytes": sum(whole(each.get("lostBytes")) or 0 for each in files),
    }


def last_update(query):
    """
    Returns when the disk was written last, from the host's point of view, or None if the host does not know. This is the
    end of the last maintenance, or the time at which the host last created, restored or deleted a snapshot.
    """
    written = number(query.get("written"))
    return None if written is None else datetime.fromtimestamp(written, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def receipt_of(receipt):
    """Returns when and by whom the receipt of the seal was recorded, and whether it is signed. None without a receipt."""
    receipt = fields(receipt)
    if not receipt:
        return None
    return {"at": time(receipt.get("at")), "by": text(receipt.get("by"), 100), "signed": receipt.get("state") == "signed"}


def attention(entry):
    """Returns the reasons, besides its state, for which a guest needs attention: names that the page filters by."""
    claim = entry["claim"] or {}
    forward, seconds = claim.get("forward") or {}, (claim.get("var") or {}).get("secondsUntilFull")
    losses = ("lost", "corrupt", "refused", "filesLostBytes")
    found = {
        "differences": bool(entry["differences"]),
        "footholds": bool(claim.get("footholds")),
        "var": seconds is not None and seconds < SOON or ((claim.get("var") or {}).get("percent") or 0) >= 80,
        "behind": (forward.get("lagSeconds") or 0) > BEHIND,
        "losses": any(forward.get(key) for key in losses),
        "no-receipt": entry["receipt"] is None,
    }
    return [name for name, holds in found.items() if holds]
