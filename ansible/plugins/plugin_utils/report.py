"""Verifies that the output of a guest is a report before its values are used on the host.

Root in the guest decides what the output contains. report.schema.json, the agent's JSON schema, defines a report.
Only the fields that the caller requires are verified, so a report from a later version of the agent may have additional
fields. This module implements the keywords of JSON Schema, draft 7, that these fields use.
"""

import json
import os
import re

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "report.schema.json"), encoding="utf-8") as file:
    SCHEMA = json.load(file)

# The fields that the collection requires. The name of a list stands for each of its elements.
FIELDS = (
    "at host.bootId verdict mode enforcement disks.name disks.bus disks.hostReadOnly disks.holds checks.id"
    " checks.status checks.severity forward.target forward.state forward.error forward.lag.entries"
    " forward.lag.seconds forward.sources.path forward.sources.behindBytes forward.sources.error"
).split()

# Upper bound on the elements of each list. A report has about 45 checks and one disk for each device.
LONGEST = 1000

TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def problem_of(report, names=FIELDS):
    """
    Returns why a parsed JSON value is not a report, such as "disks[0].holds is missing", or None if it is one.
    `names`: the fields that the caller requires, as in FIELDS.
    """
    fields = {}
    for name in names:
        level = fields
        for part in name.split("."):
            level = level.setdefault(part, {})
    return next(problems(report, SCHEMA, fields, ""), None)


def choices(name):
    """Returns the values that the schema permits for an optional field."""
    schema = SCHEMA
    for part in name.split("."):
        schema = schema["properties"][part]
    return schema["enum"]


def problems(value, schema, fields, path):
    """Yields what is wrong with a value, and with the fields inside of it. `fields`: maps their names to their fields."""
    name = path or "the report"
    if "anyOf" in schema:
        # Null or an object: the schema has no other alternatives.
        if value is None:
            return
        schema = schema["anyOf"][1]
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if types and not any(TYPES[each](value) for each in types):
        yield "%s is not of type %s" % (name, " or ".join(types))
    elif "enum" in schema and value not in schema["enum"]:
        yield "%s is none of %s" % (name, ", ".join(schema["enum"]))
    elif isinstance(value, str) and not re.fullmatch(schema.get("pattern", ".*"), value, re.DOTALL | re.ASCII):
        yield "%s has an invalid value" % name
    elif TYPES["number"](value) and value < schema.get("minimum", value):
        yield "%s is less than %d" % (name, schema["minimum"])
    elif isinstance(value, list) and len(value) > schema.get("maxItems", LONGEST):
        yield "%s has more than %d elements" % (name, schema.get("maxItems", LONGEST))
    elif isinstance(value, list) and len(value) < schema.get("minItems", 0):
        yield "%s has fewer than %d elements" % (name, schema["minItems"])
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from problems(each, schema["items"], fields, "%s[%d]" % (path, index))
    elif isinstance(value, dict):
        for key, inner in fields.items():
            field = "%s.%s" % (path, key) if path else key
            if key in value:
                yield from problems(value[key], schema["properties"][key], inner, field)
            elif key in schema["required"]:
                yield "%s is missing" % field
