"""Runs a program in a guest: see plugins/modules/guest.py for the options."""

import json
import shlex
import time

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

# Seconds between two tries.
INTERVAL = 1

# A guest that has gone without a word ends the connection after 15 seconds; ssh takes the first value that it is given,
# so that the user's counts.
KEEPALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"

# $1: the unit; then the program and its arguments, or nothing, where it is only waited for. One connection starts it and
# sees its end, if that comes soon; else there is another one after ten seconds, since a guest that has gone answers
# none. Said: the unit's state, an empty line, and, once it has ended, what it wrote.
JOB = """
unit=$1; shift
look() {
  said=$(systemctl show --property=SubState --property=Result --property=ExecMainStatus \\
    --property=ExecMainStartTimestamp "$unit")
  case $said in *SubState=running* | *SubState=start*) ;; *) return 1 ;; esac
}
if [ $# -gt 0 ] && ! look; then
  case $said in
    *SubState=dead*) ;;
    *) systemctl stop "$unit"; systemctl reset-failed "$unit" 2>/dev/null ;;
  esac
  systemd-run --quiet --unit="$unit" --remain-after-exit -- "$@" || exit
fi
left=40
while look && [ $left -gt 0 ]; do sleep 0.25; left=$((left - 1)); done
echo "$said"
echo
case $said in
  *SubState=running* | *SubState=start*) exit ;;
  *SubState=exited*) ;;
  # What it wrote at last may still be on its way to the journal.
  *) sleep 1 ;;
esac
# "Tue 2026-11-24 21:02:06 UTC": what jobs of that name wrote before is not of interest.
set -- ${said#*ExecMainStartTimestamp=}
journalctl --no-pager --quiet --output=cat --lines=40 --unit="$unit" ${3:+--since="$2 $3"} || exit 0
"""


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
        source = self._find_needle("files", args["src"]) if "src" in args else None
        begin = time.time()
        try:
            if source is not None:
                self._connection.put_file(source, args["dest"])
            said = self.job(argv) if "job" in args else self.patiently(argv)
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

    def once(self, argv):
        """rc, stdout and stderr of one run; throws AnsibleConnectionFailure."""
        # A terminal only for sudo, which may ask on it: on one, stdout and stderr are one.
        become = getattr(self._connection, "become", None) is not None
        said = self._low_level_execute_command(shlex.join(argv), sudoable=become)
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

    def job(self, argv):
        """Runs it as a service and waits for its end; one of that name that runs already is only waited for."""
        unit = self._task.args["job"] + ".service"
        end = time.time() + int(self._task.args.get("timeout", 3600))
        # systemd.service(5): a dollar sign begins a variable, two are one.
        start = [word.replace("$", "$$") for word in argv]
        answered = time.time()
        while True:
            try:
                said = self.once(["sh", "-c", JOB, "sh", unit] + start)
                answered = time.time()
                if said["rc"] != 0:
                    raise AnsibleError("systemd-run: " + said["stderr"].strip())
                # On a terminal, which sudo is given, lines end otherwise.
                head, _, log = said["stdout"].replace("\r\n", "\n").partition("\n\n")
                state = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
                # As JOB has it.
                if not state.get("SubState", "").startswith(("running", "start")):
                    return ended(state, log, argv)
            except AnsibleConnectionFailure:
                if time.time() >= answered + int(self._task.args.get("wait", 120)):
                    raise
                self.forget()
                time.sleep(INTERVAL)
            if time.time() >= end:
                raise AnsibleError("%s still runs, as %s" % (argv[0], unit))
            # Whether a connection that broke has started it or not: it is not started twice.
            start = []


def ended(state, log, argv):
    """What became of a job, with the end of what it wrote."""
    rc = int(state.get("ExecMainStatus") or 0)
    said = {"failed": False, "rc": rc, "stdout": log, "stderr": ""}
    # A job that has ended well stays as "exited". After a reboot in the middle there is none, and no failure.
    if state.get("SubState") == "exited" and rc == 0:
        return said
    why = state.get("Result") if state.get("SubState") == "failed" else "gone, or the connection broke before it began"
    last = " ".join(log.split())[-1000:]
    return dict(said, failed=True, msg="%s failed (%s, exit code %s): %s" % (argv[0], why, rc, last))
