"""A program that runs in a guest as a systemd service, so that it goes on when the connection breaks."""

import hashlib
import json

# $1: the unit; $2: a pattern for the units of all jobs of this name; then the program and its arguments, or nothing,
# where the script only waits. One connection starts the program and sees its end, if that comes within ten seconds;
# otherwise the caller connects again. Output: the unit's state, an empty line, and, once the program has ended, what it
# wrote. Exit code 75 with a unit's name on standard error: another job of this name is running.
SCRIPT = """
unit=$1 jobs=$2; shift 2
look() {
  said=$(systemctl show --property=SubState --property=Result --property=ExecMainStatus \\
    --property=ExecMainStartTimestamp "$unit")
  case $said in *SubState=running* | *SubState=start*) ;; *) return 1 ;; esac
}
if [ $# -gt 0 ] && ! look; then
  other=$(systemctl list-units --no-legend --full --state=running,start "$jobs" | sed 's/^ *//; s/ .*//; q')
  if [ -n "$other" ]; then echo "$other" >&2; exit 75; fi
  case $said in
    *SubState=dead*) ;;
    *) systemctl stop "$unit"; systemctl reset-failed "$unit" 2>/dev/null ;;
  esac
  systemd-run --quiet --unit="$unit" --description="$unit" --remain-after-exit -- "$@" || exit
fi
left=40
while look && [ $left -gt 0 ]; do sleep 0.25; left=$((left - 1)); done
echo "$said"
echo
case $said in
  *SubState=running* | *SubState=start*) exit ;;
  *SubState=exited*) ;;
  # The last lines may still be on their way to the journal.
  *) sleep 1 ;;
esac
# "Tue 2026-11-24 21:02:06 UTC": leave out what an earlier run of the same job wrote.
set -- ${said#*ExecMainStartTimestamp=}
journalctl --no-pager --quiet --output=cat --lines=40 --unit="$unit" ${3:+--since="$2 $3"} || exit 0
"""

# The exit code of SCRIPT where another job of the same name runs.
OTHER_RUNS = 75

# $1: the folder of an uploaded file; $2: the file; $3: its SHA-256; then a program and its arguments, which is run if the
# file is the one that was sent. The folder is removed whatever happens.
WITH_FILE = """
folder=$1 file=$2 sum=$3; shift 3
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' HUP INT TERM
if ! echo "$sum  $file" | sha256sum --check --status -; then
  echo "$file does not have the SHA-256 of the file that was sent, $sum: nothing was run"
  exit 1
fi
"$@"
"""


class Job:
    """
    A job's unit. Its name has a digest of the command, and of the uploaded file if there is one: a job that runs is
    taken for this one only if it does the same.
    """

    def __init__(self, name, argv, checksum=None):
        digest = hashlib.sha256(json.dumps([argv, checksum]).encode()).hexdigest()
        self.unit = "%s-%s.service" % (name, digest[:16])
        self.pattern = "%s-*.service" % name

    def watch(self):
        """The command that waits for the job."""
        return ["sh", "-c", SCRIPT, "sh", self.unit, self.pattern]

    def start(self, argv):
        """The command that starts the job unless it runs, and waits for it."""
        # systemd.service(5): a dollar sign begins a variable, two are one.
        return self.watch() + [word.replace("$", "$$") for word in argv]


def running(state):
    """Whether a job with this state runs; the same condition as SCRIPT's."""
    return state.get("SubState", "").startswith(("running", "start"))


def parse(stdout):
    """(state, log) of SCRIPT's output. On a terminal, which sudo is given, lines end otherwise."""
    head, _, log = stdout.replace("\r\n", "\n").partition("\n\n")
    return dict(line.split("=", 1) for line in head.splitlines() if "=" in line), log


def ended(state, log, argv):
    """The result of a job that has ended: rc, stdout, and msg where it failed."""
    rc = int(state.get("ExecMainStatus") or 0)
    said = {"failed": False, "rc": rc, "stdout": log, "stderr": ""}
    # A job that has ended well stays as "exited". After a reboot in the middle there is none, and no failure.
    if state.get("SubState") == "exited" and rc == 0:
        return said
    why = state.get("Result") if state.get("SubState") == "failed" else "gone, or the connection broke before it began"
    last = " ".join(log.split())[-1000:]
    return dict(said, failed=True, msg="%s failed (%s, exit code %s): %s" % (argv[0], why, rc, last))
