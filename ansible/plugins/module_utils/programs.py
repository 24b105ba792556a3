"""Runs programs with limits on their time and their output, for the services of a host, which have no AnsibleModule."""

import os
import selectors
import signal
import subprocess
import time

# Maximum size of the output of a program, in bytes. A report of the agent has less than 100 KiB, base64 included.
LIMIT = 4 * 1024 * 1024


class Programs:
    """
    Runs programs until a common deadline. It takes the place of the AnsibleModule of the class Domain (see libvirt), which
    reads `params` and calls `run_command`.
    """

    def __init__(self, params, seconds):
        self.params = params
        self.deadline = time.monotonic() + seconds

    def run_command(self, argv, environ_update):
        """Runs a program and returns its exit code, stdout and stderr. After the deadline, kills it and returns 124."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ_update,
            start_new_session=True,
        )
        try:
            output, problem = self.read(process)
        finally:
            if process.returncode is None:
                # Also ends its children, which may keep the pipes open.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
            process.stderr.close()
        if problem is not None:
            return 124, "", problem
        return (process.returncode, *[data.decode("utf-8", "replace") for data in output])

    def read(self, process):
        """Reads stdout and stderr until both end and returns them, and the limit that was exceeded or None."""
        output = {process.stdout: b"", process.stderr: b""}
        with selectors.DefaultSelector() as selector:
            for stream in output:
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0, self.deadline - time.monotonic()))
                if not ready:
                    return [], "no answer within the time limit"
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    output[key.fileobj] += data
                    if not data:
                        selector.unregister(key.fileobj)
                    if len(output[key.fileobj]) > LIMIT:
                        return [], "the answer is larger than %d bytes" % LIMIT
        try:
            process.wait(max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return [], "no answer within the time limit"
        return list(output.values()), None
