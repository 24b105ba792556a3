"""Describes a guest: its receipt in one line, and its entry in the fleet report."""

from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.document import guest_entry

UNITS = [("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)]


def receipt_line(receipt):
    """Returns a line about a receipt as the module `receipt` returns it: "receipt of 2026-11-26T15:00:00Z, …"."""
    if not receipt:
        return "no receipt"
    words = (receipt["at"], age(receipt["age"]), receipt["by"], receipt["state"])
    return "receipt of %s, %s old, by %s, %s" % words


def age(seconds):
    """Returns a number of seconds in the largest unit of which there are two or more."""
    for name, length in UNITS:
        if seconds >= 2 * length:
            return "%d %s" % (seconds // length, name)
    return "%d seconds" % seconds


class FilterModule:
    def filters(self):
        return {"fleet_guest": guest_entry, "receipt_line": receipt_line}
