"""Runs a program in a guest as a systemd service, which continues if the connection breaks."""

import hashlib
import json

# Starts a job and waits for it. Arguments: $1: the unit; $2: a pattern for the units of all jobs with this name; $3 and
# following: the program and its arguments, or nothing if the script only waits. The script waits at most ten seconds
# for the end of the program, and the caller then connects again. Output: the state of the unit, an empty line and, if
# the program has ended, its output. If another job with this name is running, the script prints the name of its unit on
# standard error and exits with 75. In a slow guest, a query alone takes seconds, so the clock limits the wait.
SCRIPT = """
unit=$1 jobs=$2; shift 2
query() {
  said=$(systemctl show --property=SubState --property=Result --property=ExecMainStatus \\
    --property=ExecMainStartTimestamp "$unit")
  case $said in *SubState=running* | *SubState=start*) ;; *) return 1 ;; esac
}
if [ $# -gt 0 ] && ! query; then
  other=$(systemctl list-units --no-legend --full --state=running,start "$jobs" | sed 's/^ *//; s/ .*//; q')
  if [ -n "$other" ]; then echo "$other" >&2; exit 75; fi
  case $said in
    *SubState=dead*) ;;
    *) systemctl stop "$unit"; systemctl reset-failed "$unit" 2>/dev/null ;;
  esac
  systemd-run --quiet --unit="$unit" --description="$unit" --remain-after-exit -- "$@" || exit
fi
uptime() { read -r now _ </proc/uptime; now=${now%.*}; }
uptime; end=$((now + 10))
while query && { uptime; [ $now -lt $end ]; }; do sleep 0.25; done
echo "$said"
echo
case $said in
  *SubState=running* | *SubState=start*) exit ;;
  *SubState=exited*) ;;
  # Give journald time to store the last lines of a program that failed.
  *) sleep 1 ;;
esac
# Omit the output of an earlier run of the same job. The timestamp has the form "Tue 2026-11-24 21:02:06 UTC". Before
# systemd 254, journalctl with --since and --lines prints the first lines instead of the last ones.
set -- ${said#*ExecMainStartTimestamp=}
journalctl --no-pager --quiet --output=cat --unit="$unit" ${3:+--since="$2 $3"} | tail -n 40
"""

# Exit code of SCRIPT if another job with the same name is running.
OTHER_RUNS = 75

# Verifies an uploaded file, runs a program and always removes the directory of the file. Arguments: $1: the directory;
# $2: the file; $3: its SHA-256; $4 and following: the program and its arguments. The program runs only if the checksum
# matches.
WITH_FILE = """
folder=$1 file=$2 sum=$3; shift 3
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' HUP INT TERM
if ! echo "$sum  $file" | sha256sum --check --status -; then
  echo "$file does not have the SHA-256 of the uploaded file, $sum: nothing was run"
  exit 1
fi
"$@"
"""


class Job:
    """
    The unit of a job. Its name contains a digest of the command and of the uploaded file, if any, so that the caller
    waits for a running job only if that job runs the same command with the same file.
    """

    def __init__(self, name, argv, checksum=None):
        digest = hashlib.sha256(json.dumps([argv, checksum]).encode()).hexdigest()
        self.unit = "%s-%s.service" % (name, digest[:16])
        self.pattern = "%s-*.service" % name

    def watch(self):
        """Returns the command that waits for the job."""
        return ["sh", "-c", SCRIPT, "sh", self.unit, self.pattern]

    def start(self, argv):
        """Returns the command that starts the job, unless it is already running, and waits for it."""
        # systemd expands variables in the command; $$ is a literal dollar sign (systemd.service(5)).
        return self.watch() + [word.replace("$", "$$") for word in argv]


def running(state):
    """Whether a job in this state is running. SCRIPT uses the same condition."""
    return state.get("SubState", "").startswith(("running", "start"))


def parse(stdout):
    """Parses the output of SCRIPT into (state, log). With sudo, a terminal is used, and lines end with CR LF."""
    head, _, log = stdout.replace("\r\n", "\n").partition("\n\n")
    return dict(line.split("=", 1) for line in head.splitlines() if "=" in line), log


def ended(state, log, argv, ok):
    """
    Returns the result of a job that has ended: rc, stdout, and msg if the job failed. A job fails if its exit code is not
    one of `ok`, or if it did not end by itself, for example because of a signal.
    """
    rc = int(state.get("ExecMainStatus") or 0)
    said = {"failed": False, "rc": rc, "stdout": log, "stderr": ""}
    # The unit of a job whose exit code is 0 remains in the state "exited". After a reboot of the guest, the unit is gone.
    has_exited = state.get("SubState") == "exited" or (
        state.get("SubState") == "failed" and state.get("Result") == "exit-code"
    )
    if has_exited and rc in ok:
        return said
    gone = "the unit is gone, or the connection broke before the start"
    why = state.get("Result") if state.get("SubState") == "failed" else gone
    last = " ".join(log.split())[-1000:]
    return dict(said, failed=True, msg="%s failed (%s, exit code %s): %s" % (argv[0], why, rc, last))
