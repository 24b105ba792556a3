"""Decides whether the update of a guest fits into a maintenance window. Pure functions."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from ansible.errors import AnsibleFilterError

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

KEYS = {"days", "from", "to", "zone"}


def window_fit(windows, now, duration):
    """
    Returns whether an update that begins at `now` (seconds since the epoch) and takes `duration` seconds ends before a
    window closes: {"fits": bool, "reason": str}. The reason is empty if it fits.

    Each window is a dictionary: `days` (list of mon to sun, the days on which the window opens; every day if absent),
    `from` and `to` (HH:MM; if `to` is not later than `from`, the window closes on the next day) and `zone` (name of a
    time zone, UTC if absent). Raises AnsibleFilterError for any other content.
    """
    duration = seconds_of(duration)
    if not isinstance(windows, list):
        raise AnsibleFilterError("immutafs_window must be a list of windows, but is %r" % (windows,))
    parsed = [parse(each) for each in windows]
    spans = sorted({span for each in parsed for span in spans_of(each, now)})
    if any(begin <= now and now + duration <= end for begin, end in spans):
        return {"fits": True, "reason": ""}
    left = [end - now for begin, end in spans if begin <= now < end]
    coming = [begin for begin, end in spans if begin > now and end - begin >= duration]
    following = "the next window opens at %s" % utc(coming[0]) if coming else "no window is long enough"
    if left:
        missing = "the window closes in %d min, but an update may take %d min" % (max(left) // 60, duration // 60)
        return {"fits": False, "reason": "%s; %s" % (missing, following)}
    return {"fits": False, "reason": "outside of every window; %s" % following}


def seconds_of(duration):
    """Returns a duration as a number. Raises AnsibleFilterError unless it is positive."""
    try:
        number = int(str(duration))
    except ValueError:
        number = 0
    if number <= 0:
        raise AnsibleFilterError("immutafs_window_duration is '%s', but must be a number of seconds" % (duration,))
    return number


def parse(window):
    """Returns (days as numbers, from, to, zone) of a window. Raises AnsibleFilterError if the window is invalid."""
    if not isinstance(window, dict) or not {"from", "to"} <= set(window) <= KEYS:
        raise AnsibleFilterError("a window needs from and to, and may have days and zone, but is %r" % (window,))
    days = window.get("days", DAYS)
    wrong = [day for day in days if day not in DAYS] if isinstance(days, list) else [days]
    if wrong or not days:
        raise AnsibleFilterError("the days of a window are %r, but must be a list of %s" % (days, ", ".join(DAYS)))
    name = window.get("zone", "UTC")
    try:
        zone = ZoneInfo(name)
    except Exception as error:
        raise AnsibleFilterError("the time zone '%s' of a window is unknown on the controller" % (name,)) from error
    return {DAYS.index(day) for day in days}, minutes(window["from"]), minutes(window["to"]), zone


def minutes(text):
    """Returns a time of day as minutes. Raises AnsibleFilterError unless it is HH:MM, in quotes."""
    try:
        if len(text) != 5:
            raise ValueError(text)
        time = datetime.strptime(text, "%H:%M")
    except (TypeError, ValueError) as error:
        # YAML 1.1 reads 22:00 without quotes as the number 1320.
        raise AnsibleFilterError("the time %r of a window must be HH:MM in quotes, such as '22:00'" % (text,)) from error
    return 60 * time.hour + time.minute


def spans_of(window, now):
    """Returns (begin, end) in seconds since the epoch of the window's openings from yesterday to nine days from now."""
    days, begin, end, zone = window
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    spans = []
    for offset in range(-1, 10):
        day = today + timedelta(days=offset)
        if day.weekday() in days:
            closes = day + timedelta(days=0 if end > begin else 1, minutes=end)
            spans.append((instant(day + timedelta(minutes=begin), zone, False), instant(closes, zone, True)))
    return [span for span in spans if span[0] < span[1]]


def instant(wall, zone, earliest):
    """
    Returns the seconds since the epoch of a local time. At the end of summer time, a time occurs twice: the first one is
    returned. At its beginning, a time does not exist: the later of the two possible instants is returned, or the earlier
    one if `earliest` is set. In this way, a window is never longer than its local times say.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    return int(min(first, second) if earliest else first)


def utc(seconds):
    """Returns the time in the form of ISO 8601."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


class FilterModule:
    def filters(self):
        return {"window_fit": window_fit}
