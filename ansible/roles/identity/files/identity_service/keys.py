"""The keys of the host: that of its certificate, in a file or a token, and that of its SSH authority."""

import base64
import contextlib
import hashlib
import os
import re
import secrets
import stat
import subprocess
import tempfile

from ansible_collections.immutafs.agent.plugins.module_utils.credentials import CredentialError, FileKey

# Seconds for a program that signs, and upper bound on an SSH certificate, in bytes.
SIGNING, LONGEST = 10, 8192

# The URIs of keys in tokens: RFC 7512, and the provider tpm2. openssl would also take files, whatever their mode.
TOKENS = ("pkcs11:", "handle:")

# The type of the keys of guests (RFC 5656, 3.1), and of their certificates (PROTOCOL.certkeys of OpenSSH).
SSH_TYPE, CURVE = b"ecdsa-sha2-nistp256", b"nistp256"
SSH_CERTIFICATE = "ecdsa-sha2-nistp256-cert-v01@openssh.com"

KEYGEN = ["/usr/bin/ssh-keygen", "-q", "-P", ""]


def host_key(name, options):
    """
    Returns the key `name`: an absolute path, or the URI of a key that openssl(1) finds with `options`. Raises CredentialError if
    it cannot be used, and OSError.
    """
    if name.startswith("/"):
        with opened_private(name) as file:
            return FileKey(file.read())
    if not name.startswith(TOKENS):
        raise CredentialError("the key %s is neither an absolute path nor a URI that begins with %s" % (name, " or ".join(TOKENS)))
    if "pin-value" in name:
        raise CredentialError("the URI of the key has a PIN (pin-value), which every user could read: use pin-source")
    return TokenKey(name, options)


@contextlib.contextmanager
def opened_private(path):
    """Opens a file with a key. Raises CredentialError if a user other than root can read or write it."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or mode & ~0o600:
            raise CredentialError("%s must be a file of root with the mode 0600, and has the mode %04o" % (path, mode))
        yield file


class TokenKey:
    """A key that does not leave a token. `options` select the provider or the engine of OpenSSL."""

    def __init__(self, uri, options):
        self.command = ["/usr/bin/openssl", "pkeyutl", "-sign", *options, "-inkey", uri]

    def sign(self, data):
        """Returns the ECDSA signature (SHA-256) of the data, in the form of OpenSSL."""
        # The token signs the digest: `-rawin` does not exist before OpenSSL 3.
        return run(self.command, hashlib.sha256(data).digest())


class SshAuthority:
    """The key that signs SSH host certificates. `directory`: in RAM, for the files of ssh-keygen(1)."""

    def __init__(self, path, directory):
        self.path, self.directory = path, directory
        # Fails for a key with a passphrase.
        with self.folder() as (_folder, key):
            run([*KEYGEN, "-y", "-f", key])

    @contextlib.contextmanager
    def folder(self):
        """Makes a folder with a copy of the key, as it was examined. Returns both paths."""
        with opened_private(self.path) as file:
            content = file.read()
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            key = os.path.join(folder, "authority")
            with open(key, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(content)
            yield folder, key

    def sign(self, point, names, identity, begin, end):
        """
        Returns the certificate for the host key with the uncompressed `point`, as the line of a file. `names`: its DNS names;
        `begin`, `end`: in UTC. Raises CredentialError.
        """
        if not names:
            # For clients, a certificate without names is valid for every host.
            raise CredentialError("an SSH certificate needs a name")
        serial = str(secrets.randbits(63))
        valid = ":".join(each.strftime("%Y%m%d%H%M%S") for each in (begin, end))
        with self.folder() as (folder, key):
            path = os.path.join(folder, "key.pub")
            with open(path, "w", encoding="ascii") as file:
                file.write(public_line(point))
            options = ["-I", identity, "-n", ",".join(names), "-V", valid, "-z", serial]
            run([*KEYGEN, "-h", "-s", key, *options, path])
            with open(os.path.join(folder, "key-cert.pub"), encoding="ascii") as file:
                line = file.read(LONGEST)
        if re.fullmatch(re.escape(SSH_CERTIFICATE) + r" [A-Za-z0-9+/=]+\s[ -~]*\n?", line) is None:
            raise CredentialError("ssh-keygen made no certificate")
        return " ".join(line.split()[:2])


def public_line(point):
    """Returns a public key on P-256 as the line of a file."""
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (SSH_TYPE, CURVE, point))
    return "%s %s\n" % (SSH_TYPE.decode("ascii"), base64.b64encode(blob).decode("ascii"))


def run(command, data=None):
    """Runs a program with data on its stdin, and returns its stdout. Raises CredentialError."""
    # ssh-keygen reads times in the time zone of the environment. A token may need other variables of the unit.
    environment = dict(os.environ, LC_ALL="C", TZ="UTC")
    options = {"env": environment, "timeout": SIGNING}
    given = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    name = os.path.basename(command[0])
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options, **given
        )
    except subprocess.TimeoutExpired as error:
        raise CredentialError("%s did not end within %d s" % (name, SIGNING)) from error
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:1000]
        raise CredentialError("%s exited with %d: %s" % (name, done.returncode, said))
    return done.stdout
