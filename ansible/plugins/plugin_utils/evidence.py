"""Scripts that stream an export of a guest in pieces, and functions that read the export."""

import json
import re
import tarfile

from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.untrusted import text, time, whole
from ansible_collections.immutafs.agent.plugins.plugin_utils.limit import LimitExceeded, OutputExceeded, limited

# Name of the tar member with the summary, and the prefix of those with a line for each change (docs/changes.md).
SUMMARY = "manifest.json"
CHANGES = "manifest/"

# Maximum size of the summary, and of a line for a change, in bytes. A guest could write anything.
LIMIT = 16 * 1024 * 1024
# Maximum number of notable changes that a result lists.
NOTABLE = 1000
# Time limit for reading an export, in seconds. An export of 256 MB takes a few seconds.
READING = 300

# Starts the export as a service and prints its directory. Arguments: $1: the maximum size; $2: the timeout in seconds;
# $3: EXPORT; $4: PIPE; $5: FILTER. Only root can enter the directory, and its name cannot be predicted.
START = """
set -e
folder=$(mktemp -d /run/immutafs-evidence.XXXXXXXXXX)
systemd-run --quiet --unit="${folder##*/}" --description="Export of the evidence" -- \\
  sh -c "$3" sh "$folder" "$1" "$2" "$4" "$5"
echo "$folder"
"""

# Arguments: $1: the directory; $2: the maximum size; $3: the timeout; $4: PIPE; $5: FILTER. Removes the directory
# after a second timeout, unless the controller has fetched the evidence and removed it before.
EXPORT = """
cd "$1" || exit
timeout --kill-after=10 "$3" sh -c "$4" sh "$2" "$5"
result=$?
[ "$result" -eq 0 ] || echo "$result" >code.part
mv code.part code
sleep "$3"
rm -rf "$1"
"""

# Arguments: $1: the maximum size; $2: FILTER.
PIPE = """
{ immutafs-agent changes --export - --max-size "$1" 2>errors; echo $? >code.part; } |
  split --bytes=4M --suffix-length=6 --filter="$2" - piece.
"""

# Writes a piece, but waits while four pieces have not been fetched. This limits the memory that the directory takes.
FILTER = """
while [ "$(ls | grep -c "^piece[.]......$")" -ge 4 ]; do sleep 0.2; done
cat >"$FILE.part" && mv "$FILE.part" "$FILE"
"""

# Removes a piece that was fetched, waits at most ten seconds for the next one, and prints it. Arguments: $1: the
# directory; $2: the next piece; $3: the piece that was fetched. The first line of the output is one of: "piece SHA256"
# (base64 follows), "end EXIT-CODE" (the error messages of the export follow), "wait", "gone".
FETCH = """
cd "$1" 2>/dev/null || { echo gone; exit 0; }
rm -f "$3"
left=40
while [ $left -gt 0 ]; do
  if [ -e code ]; then ended=yes; else ended=; fi
  if [ -e "$2" ]; then echo "piece $(sha256sum <"$2" | cut -d " " -f 1)"; exec base64 "$2"; fi
  if [ "$ended" ]; then echo "end $(cat code)"; exec head -c 4000 errors; fi
  sleep 0.25
  left=$((left - 1))
done
echo wait
"""

# Ends the export and removes its directory, which is $1.
STOP = 'systemctl stop "${1##*/}.service" 2>/dev/null; rm -rf "$1"'


def piece_name(number):
    """Returns the name that split(1) gives to a piece."""
    letters = ""
    for _ in range(6):
        number, rest = divmod(number, 26)
        letters = chr(ord("a") + rest) + letters
    return "piece." + letters


def parse_size(text):
    """Returns the bytes of a size such as 256M. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,9})([KMGT])", text)
    if match is None:
        raise ValueError("the maximum size must be a number with K, M, G or T, such as 256M, not %s" % text)
    return int(match.group(1)) * 1024 ** ("KMGT".index(match.group(2)) + 1)


def summary_of(path, seconds=READING):
    """
    Reads an export and returns its summary with `notable`, the notable changes. Raises ValueError if the file is not a
    complete export (the summary is its last member), or if reading it exceeds a limit (see `limited`).
    """
    try:
        with limited(seconds):
            summary, notable = members_of(path)
    except (tarfile.TarError, ValueError, EOFError, RecursionError) as error:
        raise ValueError("the guest did not send a valid export: %s" % error) from error
    except LimitExceeded as error:
        reason = "needs too much memory" if isinstance(error, OutputExceeded) else str(error)
        raise ValueError("the guest did not send a valid export: reading it %s" % reason) from None
    if not isinstance(summary, dict) or not isinstance(summary.get("host"), dict):
        raise ValueError("the guest did not send a complete export: it has no %s" % SUMMARY)
    values = {"host.bootId": text(summary["host"].get("bootId")), "ended": time(summary.get("ended"))}
    values.update({name: whole(summary.get(name)) for name in ("changes", "bytes")})
    for name, value in values.items():
        if value in (None, ""):
            raise ValueError("the guest did not send a complete export: %s in %s is missing or wrong" % (name, SUMMARY))
    return dict(summary, notable=notable)


def members_of(path):
    """Returns the summary in an export, or None, and the notable changes."""
    summary, notable = None, []
    with tarfile.open(path, mode="r:") as tar:
        for member in tar:
            # For such a member, earlier versions of Python (CVE-2025-8194) read the same header again in a loop.
            if member.size < 0:
                raise tarfile.ReadError("%r has a negative size" % member.name)
            if member.name == SUMMARY and member.isreg() and member.size <= LIMIT:
                summary = json.loads(tar.extractfile(member).read())
            elif member.name.startswith(CHANGES) and member.isreg():
                notable += notable_in(tar.extractfile(member), NOTABLE - len(notable))
    return summary, notable


def notable_in(lines, most):
    """Returns the notable changes in lines of JSON, at most `most`."""
    found = []
    for line in iter(lambda: lines.readline(LIMIT), b""):
        if len(found) >= most:
            break
        change = json.loads(line)
        if is_notable(change):
            found.append({name: change.get(name) for name in ("path", "layer", "category", "change")})
    return found


def is_notable(change):
    """Whether a parsed line is a notable change. What a guest sends may have values of any type."""
    return isinstance(change, dict) and all(isinstance(change.get(name), str) for name in ("path", "layer", "category"))
