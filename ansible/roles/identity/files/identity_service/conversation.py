"""Answers the requests of one guest. Root in the guest decides what they contain (docs/identity.md, "Protocol")."""

import json
import secrets

from ansible_collections.immutafs.agent.plugins.module_utils.credentials import decode, has_key, thumbprint
from ansible_collections.immutafs.agent.plugins.module_utils.examination import Refusal

# Upper bound on a line of the protocol, in bytes.
FRAME = 16 * 1024
# Lines that a domain may send at once, and seconds until it may send another one. A certificate needs two.
BURST, REFILL = 20, 3
# Seconds for which a challenge may be used.
CHALLENGE_LIFE = 30
# Lengths in bytes of the nonce of the guest, of that of a verifier (RFC 9711, 4.1), of a key and of a proof. All but one are
# fixed, so that what the guest signs has one meaning.
NONCE, VERIFIER, POINT, PROOF = (32, 32), (8, 64), (65, 65), (64, 64)

FIELDS = {
    "hello": {"type", "id"},
    "request": {"type", "id", "nonce", "challenge", "key", "proof", "verifier", "ssh_key", "ssh_proof"},
}


class Limit:
    """A token bucket. `take` returns whether there was a token; `wait` the seconds until there is one."""

    def __init__(self, now):
        self.tokens, self.at = float(BURST), now

    def take(self, now):
        self.tokens = min(BURST, self.tokens + max(0, now - self.at) / REFILL)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def wait(self):
        return (1 - self.tokens) * REFILL


class Conversation:
    """
    What was said with one domain since its channel was connected. `certify(point, nonces, host_key)` examines the domain and
    returns what Issuer.issue does; it raises Refusal. `has_ssh`: whether the host makes SSH certificates.
    """

    def __init__(self, certify, has_ssh=False):
        self.certify, self.has_ssh = certify, has_ssh
        self.challenge = None

    def answer(self, line, now):
        """Returns the answer to a line as a dictionary. `now`: a monotonic time in seconds."""
        identifier = None
        try:
            message = parse(line)
            identifier = message["id"]
            if message["type"] == "hello":
                self.challenge = (secrets.token_bytes(32), now + CHALLENGE_LIFE)
                offer = {"ssh": True} if self.has_ssh else {}
                return dict({"type": "challenge", "id": identifier, "challenge": self.challenge[0].hex()}, **offer)
            return dict({"type": "identity", "id": identifier}, **self.request(message, now))
        except Refusal as refusal:
            return {"type": "refusal", "id": identifier, "reason": str(refusal)}

    def request(self, message, now):
        """Returns what `certify` returns. Uses up the challenge."""
        (challenge, end), self.challenge = self.challenge or (None, 0), None
        nonce = bytes_of(message, "nonce", NONCE)
        point, proof = bytes_of(message, "key", POINT), bytes_of(message, "proof", PROOF)
        verifier = [] if message.get("verifier") is None else [bytes_of(message, "verifier", VERIFIER)]
        if challenge is None or message.get("challenge") != challenge.hex():
            raise Refusal("the challenge is not that of this host, or was used before")
        if now > end:
            raise Refusal("the challenge is older than %d s" % CHALLENGE_LIFE)
        if not has_key(point, proof, challenge, nonce, *verifier):
            raise Refusal("the guest did not prove that it has the private key")
        host_key = self.host_key(message, challenge, nonce, point) if "ssh_key" in message else None
        return self.certify(point, [nonce] + verifier, host_key)

    def host_key(self, message, challenge, nonce, point):
        """Returns the key of the SSH server of the guest, which it has proved to have, with its other key."""
        if not self.has_ssh:
            raise Refusal("this host makes no SSH certificates: its setting ssh_key is empty")
        host_key, proof = bytes_of(message, "ssh_key", POINT), bytes_of(message, "ssh_proof", PROOF)
        if host_key == point or not has_key(host_key, proof, challenge, nonce, point):
            raise Refusal("the guest did not prove that it has the private key of its SSH server, or it has only one key")
        return host_key


def parse(line):
    """Returns a message. Raises Refusal unless it has the fields of its type and no others."""
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal("the request is not JSON in one line") from None
    if not isinstance(message, dict) or message.get("type") not in ("hello", "request"):
        raise Refusal("the request has no known type")
    unknown = set(message) - FIELDS[message["type"]]
    if unknown:
        raise Refusal("the request has unknown fields")
    if not isinstance(message.get("id"), str) or not 1 <= len(message["id"]) <= 64:
        raise Refusal("the request has no valid id")
    return message


def refuse_constant(name):
    """JSON has no NaN and no Infinity."""
    raise ValueError(name)


def bytes_of(message, field, limits):
    """Returns a field as bytes. Raises Refusal unless it is base64url of a valid length."""
    try:
        data = decode(message.get(field))
    except ValueError:
        raise Refusal("the field %s is not base64url" % field) from None
    if not limits[0] <= len(data) <= limits[1]:
        raise Refusal("the field %s does not have %d to %d bytes" % (field, limits[0], limits[1]))
    return data


class KeyOwners:
    """The domain to which each key was certified first, so that a copy of a guest does not get its identity."""

    MOST = 10000

    def __init__(self):
        self.owners = {}

    def refuse_other(self, points, uuid):
        """Raises Refusal if one of the keys was certified for another domain."""
        if any(self.owners.get(thumbprint(point), uuid) != uuid for point in points):
            raise Refusal("the key was certified for another domain")

    def add(self, points, uuid):
        """Records the owner of keys. Forgets the oldest of too many."""
        for point in points:
            self.owners.setdefault(thumbprint(point), uuid)
        while len(self.owners) > self.MOST:
            del self.owners[next(iter(self.owners))]
