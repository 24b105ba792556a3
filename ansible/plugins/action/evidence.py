"""Fetches the evidence of a guest. See plugins/modules/evidence.py for the options."""

import base64
import hashlib
import os
import stat
import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.immutafs.agent.plugins.action.guest import INTERVAL, LIMIT
from ansible_collections.immutafs.agent.plugins.action.guest import ActionModule as GuestAction
from ansible_collections.immutafs.agent.plugins.plugin_utils.evidence import (
    EXPORT,
    FETCH,
    FILTER,
    PIPE,
    START,
    STOP,
    parse_size,
    piece_name,
    summary_of,
)

# The export may be larger than its maximum size by the end of the tar file.
SLACK = 1024 * 1024


def create(path):
    """Opens a new file, which only its owner can read, for writing. Raises FileExistsError if the file exists."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")


def reserve(part, target):
    """
    Tries before the download whether the file system has hard links. If not (vfat, exFAT, some CIFS), reserves the name
    `target` with an empty file, and returns True.
    """
    try:
        os.link(part, part + ".link")
    except OSError:
        create(target).close()
        return True
    os.unlink(part + ".link")
    return False


def is_empty(path):
    """Returns whether a path is an empty regular file."""
    return os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode) and os.lstat(path).st_size == 0


def give_name(part, target, reserved):
    """Gives the complete file its name, and does not replace a file that was created meanwhile."""
    if not reserved:
        # Fails if the file exists, in contrast to a rename.
        os.link(part, target)
    elif os.path.lexists(target) and not is_empty(target):
        raise FileExistsError("another file has taken the name %s" % target)
    else:
        try:
            os.rename(part, target)
        except FileExistsError:
            # Some servers and FUSE file systems do not replace a file.
            os.unlink(target)
            os.rename(part, target)


class ActionModule(GuestAction):
    def run(self, tmp=None, task_vars=None):
        """Fetches the evidence and returns file, sha256, size, complete, problems, boot_id, ended, changes, notable."""
        result = super(GuestAction, self).run(tmp, task_vars)
        if self._task.check_mode:
            return dict(result, changed=False, skipped=True, msg="would fetch the evidence")
        self.set_keepalive()
        begin = time.time()
        try:
            said = self.fetch(str((task_vars or {}).get("inventory_hostname", "")))
        except (AnsibleError, OSError, ValueError) as error:
            said = {"failed": True, "msg": "the evidence: %s" % error}
        return dict(result, changed=not said.get("failed"), seconds=round(time.time() - begin, 1), **said)

    def fetch(self, host):
        """Fetches the export into a new file, and returns the result of the task."""
        args = self._task.args
        limit = parse_size(str(args.get("max_size", "256M")))
        target = self.new_file(str(args["dest"]), host)
        part, reserved = target + ".part", False
        try:
            with create(part) as file:
                reserved = reserve(part, target)
                code, errors, checksum = self.stream(file, limit + SLACK)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            if code not in (0, 3) or size == 0:
                raise AnsibleError("immutafs-agent changes ended with %s: %s" % (code, errors))
            summary = summary_of(part)
            give_name(part, target, reserved)
            reserved = False
        finally:
            for each in [part] + ([target] if reserved and is_empty(target) else []):
                if os.path.lexists(each):
                    os.unlink(each)
        with create(target + ".sha256") as file:
            file.write(("%s  %s\n" % (checksum, os.path.basename(target))).encode())
        return {
            "failed": False,
            "file": target,
            "sha256": checksum,
            "size": size,
            "complete": code == 0,
            "problems": errors.splitlines(),
            "boot_id": summary["host"].get("bootId"),
            "ended": summary.get("ended"),
            "changes": summary.get("changes"),
            "bytes": summary.get("bytes"),
            "notable": summary["notable"],
        }

    def new_file(self, dest, host):
        """Returns the path of a file that does not exist, in the directory of the guest, which only its owner can enter."""
        if not os.path.isabs(dest):
            raise ValueError("dest must be an absolute path, not %s" % dest)
        if host in ("", ".", "..") or "/" in host:
            raise ValueError("the name of the guest cannot be the name of a directory: %s" % host)
        folder = os.path.join(dest, host)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        target = os.path.join(folder, time.strftime("%Y%m%dT%H%M%SZ.tar", time.gmtime()))
        if os.path.lexists(target):
            raise ValueError("%s exists" % target)
        return target

    def stream(self, file, limit):
        """Copies the export to a file. Returns the exit code of the export, its error messages and the SHA-256."""
        args = self._task.args
        timeout = int(args.get("timeout", 1800))
        size = str(args.get("max_size", "256M"))
        words = [size, str(timeout), EXPORT, PIPE, FILTER]
        # systemd expands variables in the command; $$ is a literal dollar sign (systemd.service(5)).
        words = [word.replace("$", "$$") for word in words]
        folder = self.run_for_line(["sh", "-c", START, "sh"] + words).splitlines()[-1].strip()
        checksum, number, end = hashlib.sha256(), 0, time.time() + timeout
        try:
            while True:
                said = self.answer(["sh", "-c", FETCH, "sh", folder, piece_name(number), piece_name(number - 1)], end)
                head, _, body = said.replace("\r\n", "\n").partition("\n")
                word, _, value = head.strip().partition(" ")
                if word == "end":
                    return int(value), body.strip(), checksum.hexdigest()
                if word == "gone":
                    raise AnsibleError("the export was removed in the guest")
                if word != "piece":
                    continue
                piece = base64.b64decode(body)
                if hashlib.sha256(piece).hexdigest() != value:
                    raise AnsibleError("a piece of the export does not have the checksum that the guest reports")
                if file.tell() + len(piece) > limit:
                    raise AnsibleError("the guest sends more than %s" % size)
                file.write(piece)
                checksum.update(piece)
                number += 1
        finally:
            try:
                self.once(["sh", "-c", STOP, "sh", folder])
            except AnsibleError:
                # The export ends by itself (EXPORT).
                pass

    def answer(self, argv, end):
        """Runs a command, and again after the connection broke, until the time `end`. Returns its output."""
        while True:
            if time.time() >= end:
                raise AnsibleError("the export did not end in time")
            try:
                said = self.once(argv, limit=max(1, min(LIMIT, end - time.time())))
                if said["rc"] != 0:
                    raise AnsibleError("the guest: %s" % " ".join(said["stderr"].split())[-1000:])
                return said["stdout"]
            except AnsibleConnectionFailure:
                self.reset_connection()
                time.sleep(INTERVAL)
