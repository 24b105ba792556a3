"""Writes the fleet report on the controller. See plugins/modules/fleet_report.py for the options."""

import json
import os
import tempfile

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet import page, table
from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.document import document


def as_json(content):
    """Returns the document as JSON text in ASCII."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


FORMATS = {"html": page.render, "json": as_json, "csv": table.render}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("path", "format", "guests", "mode"))

    def run(self, tmp=None, task_vars=None):
        """Verifies the paths and, if there are guests, writes each file. Returns the absolute paths in `paths`."""
        result = super().run(tmp, task_vars)
        args = self._task.args
        paths = args.get("path")
        paths = paths if isinstance(paths, list) else [paths]
        targets = [(absolute(path), format_of(path, args.get("format"))) for path in paths]
        mode = mode_of(args.get("mode", "0640"))
        result.update(changed=False, paths=[path for path, _ in targets])
        if "guests" not in args:
            return result
        if self._task.check_mode:
            return dict(result, msg="would write: " + ", ".join(result["paths"]))
        content = document(args["guests"])
        for path, kind in targets:
            write(path, FORMATS[kind](content), mode)
        return dict(result, changed=True)


def absolute(path):
    """Returns the absolute path of a file in an existing folder. Raises AnsibleError for any other value."""
    if not isinstance(path, str) or not path:
        raise AnsibleError("the path of the fleet report is not a string: %r" % (path,))
    full = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(full):
        raise AnsibleError("%s is a directory: give the fleet report a file name, such as fleet.html" % full)
    if not os.path.isdir(os.path.dirname(full)):
        raise AnsibleError("the directory %s of the fleet report does not exist" % os.path.dirname(full))
    return full


def format_of(path, wanted=None):
    """Returns the format of a file: `wanted`, or the extension of the path. Raises AnsibleError if it is unknown."""
    kind = wanted or os.path.splitext(path)[1].lstrip(".").lower()
    kind = "html" if kind == "htm" else kind
    if kind not in FORMATS:
        known = ", ".join(FORMATS)
        raise AnsibleError("%s: the format of a fleet report is one of %s, not %r" % (path, known, kind))
    return kind


def mode_of(mode):
    """Returns the permissions in `mode`, such as "0640". Raises AnsibleError for any other value."""
    try:
        value = int(mode, 8) if isinstance(mode, str) else -1
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise AnsibleError("the mode of the fleet report is an octal number in quotes, such as '0640', not %r" % (mode,))
    return value


def write(path, content, mode):
    """Replaces a file in one step, so that a reader never gets a part of it. Raises AnsibleError."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".immutafs-")
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise AnsibleError("cannot write the fleet report %s: %s" % (path, error.strerror)) from error
