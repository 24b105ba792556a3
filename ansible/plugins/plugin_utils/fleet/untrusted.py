"""Reads single values that a guest reported. Root in the guest decides what they are, so every function accepts
anything, and limits the size of what it returns."""

import re

# Times as the agent writes them, such as 2026-03-04T05:06:07.089Z.
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z")

# The largest integer that JavaScript and spreadsheets represent exactly.
LARGEST = 2**53 - 1


def text(value, limit=300):
    """
    Returns a value as one line of at most `limit` characters, which is empty for null. Control characters, invisible
    characters, marks that change the direction of the text and invalid surrogates are replaced, because they could
    make a text appear to be a different one.
    """
    if value is None:
        return ""
    string = value if isinstance(value, str) else "unexpected value of the type %s" % type(value).__name__
    long = len(string) > limit
    string = string[: limit - 1] + "…" if long else string
    if string.isprintable():
        return string
    return "".join(each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in string)


def number(value):
    """Returns a finite number from 0 to LARGEST, or None for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # NaN is not in this range either.
    return value if 0 <= value <= LARGEST else None


def whole(value):
    """Returns an integer from 0 to LARGEST, or None for any other value."""
    return int(value) if number(value) is not None else None


def choice(value, known):
    """Returns the value if it is one of `known`, otherwise None."""
    return value if isinstance(value, str) and value in known else None


def time(value):
    """Returns a time in UTC as the agent writes it, or None for any other value."""
    return value if isinstance(value, str) and TIME.fullmatch(value) else None


def items(value, limit):
    """Returns the first `limit` objects of a list of objects. Other elements are omitted."""
    return [each for each in value[:limit] if isinstance(each, dict)] if isinstance(value, list) else []


def fields(value):
    """Returns an object, which is empty if the value is not an object."""
    return value if isinstance(value, dict) else {}
