"""Runs a program in a guest: see plugins/modules/guest.py for the options."""

import hashlib
import json
import os
import shlex
import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.immutafs.agent.plugins.plugin_utils.job import (
    OTHER_RUNS,
    WITH_FILE,
    Job,
    ended,
    parse,
    running,
)

# Seconds between two tries.
INTERVAL = 1

# A guest that has gone without a word ends the connection after 15 seconds; ssh takes the first value that it is given,
# so that the user's counts.
KEEPALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"

def parsed(said):
    """The JSON on standard output; a failed status is described by its verdict and the checks that fail."""
    try:
        value = json.loads(said["stdout"])
    except ValueError:
        return {} if said.get("failed") else {"failed": True, "msg": "not JSON: " + said["stdout"][:200]}
    if not said.get("failed") or "verdict" not in value:
        return {"json": value}
    wrong = [check["id"] for check in value["checks"] if check["status"] in ("fail", "error")]
    return {"json": value, "msg": "the guest's verdict is %s: %s" % (value["verdict"], ", ".join(wrong))}


class ActionModule(ActionBase):
    """The action."""

    # No temporary folder in the guest.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """The task's result: rc, stdout, stderr, json, seconds."""
        result = super().run(tmp, task_vars)
        args = self._task.args
        argv = [str(each) for each in args.get("argv", [])]
        reads = bool(args.get("reads", False))
        if self._task.check_mode and not reads:
            return dict(result, changed=True, skipped=True, msg="would run: " + shlex.join(argv))
        self.notice_silence()
        begin = time.time()
        try:
            if "src" in args:
                said = self.with_file(argv, self._find_needle("files", args["src"]))
            elif "job" in args:
                said = self.job(Job(args["job"], argv), argv, argv)
            else:
                said = self.patiently(argv)
        except AnsibleError as error:
            said = {"failed": True, "msg": "the guest: %s" % error, "rc": None, "stdout": ""}
        if args.get("json"):
            said.update(parsed(said))
        seconds = round(time.time() - begin, 1)
        return dict(result, changed=not reads, seconds=seconds, **said)

    def patiently(self, argv):
        """Runs it until its exit code is one of `ok`, or for `wait` seconds."""
        ok = [int(code) for code in self._task.args.get("ok", [0])]
        end = time.time() + int(self._task.args.get("wait", 0))
        while True:
            try:
                said = self.once(argv)
                if said["rc"] in ok:
                    return said
                if time.time() >= end:
                    words = " ".join((said["stderr"] or said["stdout"]).split())[-1000:]
                    return dict(said, failed=True, msg="%s ended with %s: %s" % (argv[0], said["rc"], words))
            except AnsibleConnectionFailure:
                if time.time() >= end:
                    raise
                self.forget()
            time.sleep(INTERVAL)

    def become(self):
        """Whether commands are run by sudo or the like, as another user than the one who logs in."""
        return getattr(self._connection, "become", None) is not None

    def once(self, argv, sudoable=True):
        """rc, stdout and stderr of one run; throws AnsibleConnectionFailure."""
        # A terminal only for sudo, which may ask on it: on one, stdout and stderr are one.
        said = self._low_level_execute_command(shlex.join(argv), sudoable=sudoable and self.become())
        # Ansible itself takes an rc other than 0 for a failure, where `failed` is not there.
        return {"failed": False, "rc": said["rc"], "stdout": said["stdout"], "stderr": said["stderr"]}

    def notice_silence(self):
        """Has ssh ask the guest whether it is there: it would wait for an answer for ever."""
        if self._connection.transport == "ssh":
            given = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", "%s %s" % (given, KEEPALIVE))

    def forget(self):
        """A connection that is kept open may be one to a machine that has been shut down."""
        reset = getattr(self._connection, "reset", None)
        if reset is not None:
            try:
                reset()
            except AnsibleError:
                pass

    def word(self, argv, sudoable=True):
        """The one line that a command writes. Throws AnsibleError where the command fails."""
        said = self.once(argv, sudoable)
        if said["rc"] != 0:
            words = " ".join((said["stderr"] or said["stdout"]).split())[-1000:]
            raise AnsibleError("%s ended with %s: %s" % (argv[0], said["rc"], words))
        return said["stdout"].strip()

    def with_file(self, argv, source):
        """Runs the job with an uploaded file's path as the last argument; waits if the same job runs already."""
        with open(source, "rb") as file:
            checksum = hashlib.sha256(file.read()).hexdigest()
        job = Job(self._task.args["job"], argv, checksum)
        if running(parse(self.word(job.watch()))[0]):
            return self.job(job, argv)
        folder = self.upload(source)
        file = folder + "/" + os.path.basename(source)
        try:
            return self.job(job, argv, ["sh", "-c", WITH_FILE, "sh", folder, file, checksum] + argv + [file])
        finally:
            # A job that runs on, unseen, needs the folder and removes it at its end.
            if not self.may_run(job):
                self.once(["rm", "-rf", folder])

    def may_run(self, job):
        """Whether a job runs, or the guest does not say."""
        try:
            return running(parse(self.word(job.watch()))[0])
        except AnsibleError:
            return True

    def upload(self, source):
        """
        Copies a file into a new folder that only the user who runs the commands can enter; the folder's path. No other
        user can foresee the name, or change the file before it is used.
        """
        make = ["mktemp", "-d", "/var/tmp/immutafs.XXXXXXXXXX"]
        name = os.path.basename(source)
        landing = self.word(make, sudoable=False)
        self._connection.put_file(source, landing + "/" + name)
        if not self.become():
            return landing
        # Only the user who logs in can upload. What becomes of the copy here is compared with the checksum later.
        try:
            folder = self.word(make)
            self.word(["cp", landing + "/" + name, folder + "/" + name])
        finally:
            self.once(["rm", "-rf", landing], sudoable=False)
        return folder

    def job(self, job, argv, start=None):
        """
        Waits for the end of a job, and starts it with the command `start`, if there is one, unless it runs already.
        `argv` is what messages call it.
        """
        end = time.time() + int(self._task.args.get("timeout", 3600))
        command = job.start(start) if start else job.watch()
        answered = time.time()
        while True:
            try:
                said = self.once(command)
                answered = time.time()
                if said["rc"] == OTHER_RUNS:
                    raise AnsibleError(other_runs(said["stderr"] or said["stdout"]))
                if said["rc"] != 0:
                    raise AnsibleError("systemd-run: " + said["stderr"].strip())
                state, log = parse(said["stdout"])
                if not running(state):
                    return ended(state, log, argv)
            except AnsibleConnectionFailure:
                if time.time() >= answered + int(self._task.args.get("wait", 120)):
                    raise
                self.forget()
                time.sleep(INTERVAL)
            if time.time() >= end:
                raise AnsibleError("%s still runs, as %s" % (argv[0], job.unit))
            # Whether a connection that broke has started it or not: it is not started twice.
            command = job.watch()


def other_runs(unit):
    """The message for a job that is not started because another one of its name runs."""
    return (
        "%s still runs another command, so this one was not started: wait for its end (systemctl status), "
        "then run the playbook again" % unit.strip()
    )
