"""Writes the fleet document as CSV (RFC 4180), one line for each guest."""

import csv
import io

# A spreadsheet program treats a cell that begins with one of these characters as a formula, also in their full-width
# forms, and some programs ignore white space before them.
FORMULA = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠")


def cell(value):
    """Returns a value as a cell. A text that a spreadsheet program could treat as a formula begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + value if value.lstrip("\"' \u00a0\ufffd").startswith(FORMULA) else value


def columns(entry):
    """Returns the columns of a guest in their order."""
    host, claim, receipt = entry["host"] or {}, entry["claim"] or {}, entry["receipt"] or {}
    var, forward = claim.get("var") or {}, claim.get("forward") or {}
    return {
        "guest": entry["name"],
        "hypervisor": entry["hypervisor"],
        "domain": entry["domain"],
        "state": entry["state"],
        "problem": entry["problem"],
        "domain_state": host.get("state"),
        "host_readonly": host.get("readOnly"),
        "host_readonly_next_start": host.get("readOnlyNextStart"),
        "guest_verdict": claim.get("verdict"),
        "guest_mode": claim.get("mode"),
        "guest_enforcement": claim.get("enforcement"),
        "differences": "; ".join(entry["differences"]),
        "failed_checks": " ".join(claim.get("failed", [])),
        "footholds": len(claim["footholds"]) if claim else None,
        "var_percent": var.get("percent"),
        "var_seconds_until_full": var.get("secondsUntilFull"),
        "forward_state": forward.get("state"),
        "forward_lag_seconds": forward.get("lagSeconds"),
        "forward_lag_entries": forward.get("lagEntries"),
        "forward_lost": forward.get("lost"),
        "forward_refused": forward.get("refused"),
        "agent": claim.get("agent"),
        "os": claim.get("os"),
        "last_update": entry["lastUpdate"],
        "receipt_at": receipt.get("at"),
        "receipt_by": receipt.get("by"),
        "receipt_signed": receipt.get("signed"),
        "image": (claim.get("image") or {}).get("name"),
        "image_version": (claim.get("image") or {}).get("version"),
    }


def render(document):
    """Returns the document as CSV text."""
    out = io.StringIO(newline="")
    rows = [columns(entry) for entry in document["guests"]]
    writer = csv.writer(out)
    writer.writerow(rows[0] if rows else columns_of_nothing())
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def columns_of_nothing():
    """Returns the header of a document without guests."""
    empty = {"host": None, "claim": None, "receipt": None, "problem": None, "differences": [], "lastUpdate": None}
    return columns(dict(empty, name="", hypervisor="", domain="", state=""))
