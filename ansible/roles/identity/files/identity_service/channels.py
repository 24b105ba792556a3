"""Reads and writes the sockets of the channels of all domains, with limits on size and time."""

import errno
import glob
import json
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from identity_service.conversation import FRAME, Conversation, Limit

# Seconds between searches for new sockets, after a socket that failed, for the rest of a line, and to take an answer.
SEARCH, RETRY, LINE, WRITE = 0.5, 5, 5, 10
# Seconds after which a request that still runs shows that libvirt or QEMU does not answer.
HANGS = 60
THREADS = 4


class Channel:
    """The connected socket of one domain."""

    def __init__(self, path, uuid, connected, conversation, limit):
        self.path, self.uuid, self.socket = path, uuid, connected
        self.conversation, self.limit = conversation, limit
        self.incoming, self.outgoing = b"", b""
        # When the line or the answer must be complete, when the socket is read again, and the running request.
        self.line_end = self.write_end = None
        self.paused_until = 0
        self.running = self.since = None
        # Whether the rest of a line that was refused is still to be discarded, and how many bytes were no part of a request.
        self.discarding, self.skipped = False, 0


class Channels:
    """
    `patterns`: where libvirt makes the sockets. `domains()` maps the paths of sockets to UUIDs, `certify(uuid, path, point,
    nonces, host_key)` and `has_ssh` are those of Conversation, and `log(uuid, text)` writes to the journal.
    """

    def __init__(self, patterns, domains, certify, log, has_ssh=False):
        self.patterns, self.domains, self.certify, self.log = patterns, domains, certify, log
        self.has_ssh = has_ssh
        self.selector = selectors.DefaultSelector()
        self.pool = ThreadPoolExecutor(THREADS)
        self.channels, self.limits, self.retries = {}, {}, {}
        # When the next search is due, and the running question to libvirt with the time at which it began.
        self.next_search, self.asked = 0, None
        self.wakeup, self.waker = socket.socketpair()
        for each in (self.wakeup, self.waker):
            each.setblocking(False)
        self.selector.register(self.wakeup, selectors.EVENT_READ)

    def run(self):
        """Serves until the process ends. Raises TimeoutError if a request hangs, so that systemd restarts the service."""
        while True:
            self.step()

    def step(self):
        """Waits for at most the interval of a search, and does what is to be done."""
        for key, events in self.selector.select(SEARCH):
            if key.data is None:
                self.drain_wakeup()
            elif events & selectors.EVENT_WRITE:
                self.guarded(key.data, self.write)
            else:
                self.guarded(key.data, self.read)
        now = time.monotonic()
        for channel in list(self.channels.values()):
            self.guarded(channel, self.advance)
        if self.asked is not None:
            self.connect_new(now)
        elif now >= self.next_search:
            self.search(now)
            self.next_search = now + SEARCH

    def drain_wakeup(self):
        try:
            while self.wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass

    def guarded(self, channel, action):
        """Calls an action, and closes the channel if it fails."""
        if self.channels.get(channel.path) is not channel:
            return
        try:
            action(channel)
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            self.close(channel)

    def search(self, now):
        """Asks libvirt for the domains of sockets that are new."""
        found = {path for pattern in self.patterns for path in glob.glob(pattern)}
        for path in [path for path in self.retries if path not in found]:
            del self.retries[path]
        new = [path for path in found if path not in self.channels and self.retries.get(path, 0) <= now]
        if new:
            self.asked = (self.pool.submit(self.domains), now, new)

    def connect_new(self, now):
        """Connects to the sockets about which libvirt was asked, when it has answered."""
        answer, since, paths = self.asked
        if not answer.done():
            refuse_hanging(since, now)
            return
        self.asked, owners = None, answer.result()
        for path in paths:
            self.retries[path] = now + RETRY
            if path in owners:
                self.connect(path, owners[path], now)

    def connect(self, path, uuid, now):
        """Connects to a socket of a domain."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.setblocking(False)
            connected.connect(path)
        except OSError:
            connected.close()
            return
        limit = self.limits.setdefault(uuid, Limit(now))
        conversation = Conversation(lambda *request: self.certify(uuid, path, *request), self.has_ssh)
        channel = Channel(path, uuid, connected, conversation, limit)
        self.channels[path] = channel
        self.selector.register(connected, selectors.EVENT_READ, channel)

    def close(self, channel):
        """Closes a channel. The next search connects again if the socket still exists."""
        self.listen(channel, 0)
        channel.socket.close()
        self.channels.pop(channel.path, None)
        self.retries[channel.path] = time.monotonic() + RETRY

    def listen(self, channel, events):
        """Sets the events for which a channel waits."""
        registered = channel.socket.fileno() in self.selector.get_map()
        if events and registered:
            self.selector.modify(channel.socket, events, channel)
        elif events:
            self.selector.register(channel.socket, events, channel)
        elif registered:
            self.selector.unregister(channel.socket)

    def read(self, channel):
        """Reads a part of a line, and starts the request when the line is complete."""
        data = channel.socket.recv(FRAME)
        if not data:
            raise OSError(errno.EPIPE, "the domain has ended")
        if channel.discarding:
            rest, separator, data = data.partition(b"\n")
            self.skip(channel, len(rest))
            channel.discarding = not separator
        channel.incoming += data
        if channel.line_end is None:
            channel.line_end = time.monotonic() + LINE
        self.begin(channel)

    def skip(self, channel, count):
        """Counts bytes that are no request. So many as a request may have cost as much, so that they cannot keep the service busy."""
        channel.skipped += count
        if channel.skipped < FRAME:
            return
        channel.skipped -= FRAME
        now = time.monotonic()
        if not channel.limit.take(now):
            channel.paused_until = now + channel.limit.wait()
            self.listen(channel, 0)

    def begin(self, channel):
        """Starts the next complete line. Until its answer was taken, nothing else is read from the domain."""
        # The guest begins with an empty line, which ends a line of an earlier program.
        found = channel.incoming.lstrip()
        self.skip(channel, len(channel.incoming) - len(found))
        line, separator, rest = found.partition(b"\n")
        if not separator and len(line) <= FRAME:
            channel.incoming = found
            if not found:
                channel.line_end = None
            return
        channel.incoming, channel.discarding = rest, not separator
        channel.line_end = time.monotonic() + LINE if rest.strip() else None
        now = time.monotonic()
        if not channel.limit.take(now):
            channel.paused_until = now + channel.limit.wait()
            self.refuse(channel, "the domain has sent too many requests: wait %d s" % (channel.limit.wait() + 1))
            return
        if len(line) > FRAME:
            self.refuse(channel, "the request is longer than %d bytes" % FRAME)
            return
        self.listen(channel, 0)
        channel.since = now
        channel.running = self.pool.submit(channel.conversation.answer, line, now)
        channel.running.add_done_callback(lambda _: self.wake())

    def wake(self):
        try:
            self.waker.send(b"x")
        except BlockingIOError:
            pass

    def refuse(self, channel, reason):
        channel.line_end = None
        self.send(channel, {"type": "refusal", "id": None, "reason": reason})

    def send(self, channel, answer):
        """Begins to write an answer."""
        if answer["type"] == "refusal":
            self.log(channel.uuid, "refused: %s" % answer["reason"])
        channel.outgoing += json.dumps(answer).encode("utf-8") + b"\n"
        channel.write_end = time.monotonic() + WRITE
        self.write(channel)

    def write(self, channel):
        """Writes as much of the answer as the socket takes."""
        try:
            sent = channel.socket.send(channel.outgoing)
        except BlockingIOError:
            sent = 0
        channel.outgoing = channel.outgoing[sent:]
        if channel.outgoing:
            self.listen(channel, selectors.EVENT_WRITE)
            return
        channel.write_end = None
        self.listen(channel, 0 if channel.paused_until > time.monotonic() else selectors.EVENT_READ)

    def advance(self, channel):
        """Takes the result of a request, and enforces the time limits."""
        now = time.monotonic()
        if channel.running is not None:
            if channel.running.done():
                result, channel.running = channel.running.result(), None
                self.send(channel, result)
            else:
                refuse_hanging(channel.since, now)
        elif channel.write_end is not None and now > channel.write_end:
            self.close(channel)
        elif channel.paused_until and now >= channel.paused_until:
            channel.paused_until = 0
            self.listen(channel, selectors.EVENT_READ)
        elif b"\n" in channel.incoming and channel.write_end is None and not channel.paused_until:
            # A line that has arrived together with the one before it.
            self.begin(channel)
        elif channel.line_end is not None and now > channel.line_end and not channel.paused_until:
            channel.incoming, channel.line_end, channel.discarding = b"", None, True
            self.refuse(channel, "the request was not complete within %d s" % LINE)


def refuse_hanging(since, now):
    """Raises TimeoutError if a question to libvirt or QEMU has no answer for too long."""
    if now > since + HANGS:
        raise TimeoutError("a request has taken more than %d s" % HANGS)
