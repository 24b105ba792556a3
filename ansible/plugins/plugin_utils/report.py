"""Verifies that the output of a guest has the form of a report before the collection uses it.

The report comes from the guest, so root in the guest decides what it contains. See agent/report/report.schema.json.
"""

STRING = (str,)
NUMBER = (int, float)
NUMBER_OR_NULL = (int, float, type(None))


class OrNull:
    """The shape of a value that may be null."""

    def __init__(self, shape):
        self.shape = shape


# The fields that the collection reads without a default. A list with one element describes each element of a list.
SHAPE = {
    "at": STRING,
    "host": {"bootId": STRING},
    "verdict": STRING,
    "mode": STRING,
    "enforcement": STRING,
    "disks": [{"name": STRING, "bus": STRING, "hostReadOnly": (bool, type(None)), "holds": [STRING]}],
    "checks": [{"id": STRING, "status": STRING, "severity": STRING}],
    "forward": OrNull(
        {
            "target": STRING,
            "state": STRING,
            "error": STRING,
            "lag": {"entries": NUMBER_OR_NULL, "seconds": NUMBER_OR_NULL},
            "sources": [{"path": STRING, "behindBytes": NUMBER, "error": STRING}],
        }
    ),
}

# Upper bound on the elements of each list. A report has about 35 checks and one disk for each device.
LONGEST = 1000


def problem_of(value, shape=None, name="the report"):
    """Returns why a parsed JSON value is not a report, such as "disks[0].holds is missing", or None if it is one."""
    shape = SHAPE if shape is None else shape
    if isinstance(shape, OrNull):
        return None if value is None else problem_of(value, shape.shape, name)
    if isinstance(shape, tuple):
        return None if isinstance(value, shape) else "%s has the wrong type" % name
    if isinstance(shape, list):
        return list_problem(value, shape[0], name)
    if not isinstance(value, dict):
        return "%s is not an object" % name
    for key, inner in shape.items():
        path = key if name == "the report" else "%s.%s" % (name, key)
        problem = problem_of(value[key], inner, path) if key in value else "%s is missing" % path
        if problem is not None:
            return problem
    return None


def list_problem(value, shape, name):
    """Returns why a value is not a list of the shape, or None."""
    if not isinstance(value, list):
        return "%s is not a list" % name
    if len(value) > LONGEST:
        return "%s has more than %d elements" % (name, LONGEST)
    problems = (problem_of(each, shape, "%s[%d]" % (name, index)) for index, each in enumerate(value))
    return next((problem for problem in problems if problem is not None), None)
