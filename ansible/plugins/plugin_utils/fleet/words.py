"""Numbers and times of the fleet document in words, for the page."""

from datetime import datetime, timezone

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def size(count):
    """Returns a number of bytes in words, such as "256 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            break
        count /= 1024
    else:
        unit = "TiB"
    return "%s %s" % ("%.1f" % count if count < 10 and unit != "B" else "%d" % count, unit)


def duration(seconds):
    """Returns a period in words, rounded down to its largest unit, such as "3 h"."""
    for length, unit in UNITS:
        if seconds >= length:
            return "%d %s" % (seconds // length, unit)
    return "%d s" % seconds


def moment(value):
    """Returns a time of the document as a datetime, or None if the value is not a valid time."""
    try:
        return datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        return None


def age(value, now):
    """Returns the age of a time in seconds, or None. `now`: the time of the document, a datetime."""
    then = moment(value)
    return None if then is None else max(0, int((now - then).total_seconds()))


def minute(value):
    """Returns a time in UTC to the minute, such as "2026-03-04 05:06", or an empty string."""
    then = moment(value)
    return "" if then is None else then.strftime("%Y-%m-%d %H:%M")


def readonly(value):
    """Returns whether a disk is read-only, in words."""
    return {True: "read-only", False: "writable"}.get(value, "unknown")
