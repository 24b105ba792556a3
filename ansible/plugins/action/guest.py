"""Runs a program in a guest. See plugins/modules/guest.py for the options."""

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
from ansible_collections.immutafs.agent.plugins.plugin_utils.limit import OutputExceeded, TimeExceeded, limited
from ansible_collections.immutafs.agent.plugins.plugin_utils.report import problem_of

# Interval between attempts, in seconds.
INTERVAL = 1

# Closes the connection 15 seconds after the guest has stopped responding. ssh uses the first value of an option, so a
# value that the user sets takes precedence.
KEEPALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"

# The default of `limit`, in seconds.
LIMIT = 120

# The beginning of a line on stderr that says what a long command is doing.
PROGRESS = "immutafs-agent: progress: "


def reason_of(said):
    """Returns the end of the error messages of a command, or of its output if there are none."""
    errors = [line for line in said["stderr"].splitlines() if not line.startswith(PROGRESS)]
    return " ".join((" ".join(errors).strip() or said["stdout"]).split())[-1000:]


def parsed(said):
    """
    Returns the report of a status command in `json`. If the command failed, also returns `msg` with the verdict and
    the failed checks. If the output is not a report, returns only `msg`, because other code relies on its fields.
    """
    try:
        value = json.loads(said["stdout"])
    except (ValueError, RecursionError):
        return {} if said.get("failed") else {"failed": True, "msg": "the output is not JSON: " + said["stdout"][:200]}
    problem = problem_of(value)
    if problem is not None:
        return {"failed": True, "msg": "the output is not a report of immutafs-agent: " + problem}
    if not said.get("failed"):
        return {"json": value}
    wrong = [check["id"] for check in value["checks"] if check["status"] in ("fail", "error")]
    return {"json": value, "msg": "the verdict of the guest is %s: %s" % (value["verdict"], ", ".join(wrong))}


class ActionModule(ActionBase):
    # The plugin needs no temporary directory in the guest.
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Runs the program and returns the result of the task: rc, stdout, stderr, json, seconds."""
        result = super().run(tmp, task_vars)
        args = self._task.args
        argv = [str(each) for each in args.get("argv", [])]
        reads = bool(args.get("reads", False))
        if self._task.check_mode and not reads:
            return dict(result, changed=True, skipped=True, msg="would run: " + shlex.join(argv))
        self.set_keepalive()
        begin = time.time()
        try:
            if "src" in args:
                said = self.with_file(argv, self._find_needle("files", args["src"]))
            elif "job" in args:
                said = self.job(Job(args["job"], argv), argv, argv)
            else:
                said = self.run_until_ok(argv)
        except AnsibleError as error:
            said = {"failed": True, "msg": "the guest: %s" % error, "rc": None, "stdout": ""}
        if args.get("json"):
            said.update(parsed(said))
        seconds = round(time.time() - begin, 1)
        return dict(result, changed=not reads, seconds=seconds, **said)

    def run_until_ok(self, argv):
        """Repeats the command until its exit code is one of `ok`, for at most `wait` seconds."""
        ok = self.ok()
        end = time.time() + int(self._task.args.get("wait", 0))
        while True:
            try:
                said = self.once(argv)
                if said["rc"] in ok:
                    return said
                if time.time() >= end:
                    return dict(said, failed=True, msg="%s ended with %s: %s" % (argv[0], said["rc"], reason_of(said)))
            except AnsibleConnectionFailure:
                if time.time() >= end:
                    raise
                self.reset_connection()
            time.sleep(INTERVAL)

    def ok(self):
        """Returns the exit codes that are not treated as a failure."""
        return [int(code) for code in self._task.args.get("ok", [0])]

    def become(self):
        """Whether commands run as a different user than the login user, by means of sudo or a similar program."""
        return getattr(self._connection, "become", None) is not None

    def once(self, argv, sudoable=True, limit=None):
        """
        Runs a command once and returns rc, stdout and stderr. Raises AnsibleConnectionFailure if the connection breaks
        or the command does not end within `limit` seconds (by default, the option), and AnsibleError if it prints too much.
        """
        seconds = int(self._task.args.get("limit", LIMIT)) if limit is None else limit
        try:
            with limited(seconds):
                # Request a terminal only for sudo, which may need it for the password. A terminal mixes stdout and stderr.
                said = self._low_level_execute_command(shlex.join(argv), sudoable=sudoable and self.become())
        except TimeExceeded as error:
            raise AnsibleConnectionFailure("%s %s" % (argv[0], error)) from None
        except OutputExceeded as error:
            raise AnsibleError("%s %s" % (argv[0], error)) from None
        # Without `failed`, Ansible treats any rc other than 0 as a failure.
        return {"failed": False, "rc": said["rc"], "stdout": said["stdout"], "stderr": said["stderr"]}

    def set_keepalive(self):
        """Configures ssh to detect a guest that no longer responds. By default, ssh waits indefinitely."""
        if self._connection.transport == "ssh":
            given = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", "%s %s" % (given, KEEPALIVE))

    def reset_connection(self):
        """Closes a persistent connection, because it may be a connection to a guest that has been shut down."""
        reset = getattr(self._connection, "reset", None)
        if reset is not None:
            try:
                reset()
            except AnsibleError:
                pass

    def run_for_line(self, argv, sudoable=True):
        """Runs a command that prints one line, and returns the line. Raises AnsibleError if the command fails."""
        said = self.once(argv, sudoable)
        if said["rc"] != 0:
            raise AnsibleError("%s ended with %s: %s" % (argv[0], said["rc"], reason_of(said)))
        return said["stdout"].strip()

    def with_file(self, argv, source):
        """
        Uploads a file and runs the job with the path of the file as the last argument. If the same job is already
        running, waits for it instead.
        """
        with open(source, "rb") as file:
            checksum = hashlib.sha256(file.read()).hexdigest()
        job = Job(self._task.args["job"], argv, checksum)
        if running(parse(self.run_for_line(job.watch()))[0]):
            return self.job(job, argv)
        folder = self.upload(source)
        file = folder + "/" + os.path.basename(source)
        try:
            return self.job(job, argv, ["sh", "-c", WITH_FILE, "sh", folder, file, checksum] + argv + [file])
        finally:
            # A job that is still running needs the directory, and removes it when it ends.
            if not self.may_run(job):
                self.once(["rm", "-rf", folder])

    def may_run(self, job):
        """Whether the job is running or its state cannot be determined."""
        try:
            return running(parse(self.run_for_line(job.watch()))[0])
        except AnsibleError:
            return True

    def upload(self, source):
        """
        Copies a file into a new directory that only the user who runs the commands can enter, and returns the path of
        the directory. Other users can neither predict this path nor change the file before it is used.
        """
        make = ["mktemp", "-d", "/var/tmp/immutafs.XXXXXXXXXX"]
        name = os.path.basename(source)
        landing = self.run_for_line(make, sudoable=False)
        self._connection.put_file(source, landing + "/" + name)
        if not self.become():
            return landing
        # Files can be uploaded only as the login user. The job verifies the checksum of the copy before using the copy.
        try:
            folder = self.run_for_line(make)
            self.run_for_line(["cp", landing + "/" + name, folder + "/" + name])
        finally:
            self.once(["rm", "-rf", landing], sudoable=False)
        return folder

    def job(self, job, argv, start=None):
        """
        Waits for the end of a job. If the command `start` is given, first starts the job unless it is already running.
        Error messages contain the program in `argv`.
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
                    result = ended(state, log, argv, self.ok())
                    if not result["failed"] and state.get("SubState") == "failed":
                        # Otherwise, a job that ended as expected would count as a failed unit of the guest.
                        self.once(["systemctl", "reset-failed", job.unit])
                    return result
            except AnsibleConnectionFailure:
                if time.time() >= answered + int(self._task.args.get("wait", 120)):
                    raise
                self.reset_connection()
                time.sleep(INTERVAL)
            if time.time() >= end:
                raise AnsibleError("%s is still running as %s" % (argv[0], job.unit))
            # Only wait from now on, because the job may have been started before the connection broke.
            command = job.watch()


def other_runs(unit):
    """Returns the message for a job that is not started, because another job with the same name is running."""
    return (
        "%s is still running another command, so this command was not started: wait until it ends (systemctl status), "
        "then run the playbook again" % unit.strip()
    )
