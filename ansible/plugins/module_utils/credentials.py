"""Signs certificates and statements for guests. Needs python3-cryptography 3.2 or later.

Sources: SPIFFE, X509-SVID.md and SPIFFE-ID.md; RFC 7515 and 7519 (JWS, JWT); RFC 7800 (cnf); RFC 7638; RFC 9711 (EAT).
"""

import base64
import datetime
import hashlib
import json
import os
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The label of a host name (RFC 1123, 2.1), and the name of a trust domain (SPIFFE-ID.md, 2.1).
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")

# What a guest signs to prove that it has its key begins with this text.
PROOF = b"immutafs-identity 1\n"

POINT, COORDINATE = 65, 32
PEM = serialization.Encoding.PEM
# The clock of the guest may be this many seconds behind that of the host.
TOLERANCE = 60
# The algorithm ecdsa-with-SHA256 in DER (RFC 5758, 3.2).
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


class CredentialError(Exception):
    """A key, a certificate or a setting of the administrator that cannot be used."""


def encode(data):
    """Returns base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text):
    """Reverses `encode`. Raises ValueError for any other text."""
    if not isinstance(text, str) or re.fullmatch(r"[A-Za-z0-9_-]*", text) is None:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not base64url")
    return data


def has_key(point, proof, *signed):
    """Whether `proof` (r and s) is a signature by the key with the uncompressed `point`. Parses no ASN.1."""
    if len(point) != POINT or point[0] != 4 or len(proof) != 2 * COORDINATE:
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        public.verify(to_der(proof), PROOF + b"".join(signed) + point, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


def to_der(signature):
    """Returns the form of OpenSSL of a signature in the form of JWS."""
    half = len(signature) // 2
    return utils.encode_dss_signature(*[int.from_bytes(part, "big") for part in (signature[:half], signature[half:])])


def certificates_in(pem):
    """Returns the certificates in a PEM text. Raises CredentialError."""
    parts = re.findall(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        found = [x509.load_pem_x509_certificate(part, default_backend()) for part in parts]
    except ValueError as error:
        raise CredentialError("not a certificate: %s" % error) from error
    if not found:
        raise CredentialError("there is no certificate")
    return found


def extension(certificate, kind):
    """Returns the value of an extension, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def trust_domain_of(certificate):
    """Returns the trust domain of a certificate: the host of its only SPIFFE ID. Returns None if it has none."""
    names = extension(certificate, x509.SubjectAlternativeName)
    uris = [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith("spiffe://"):
        return None
    return uris[0][len("spiffe://") :].split("/")[0]


def ends(certificate):
    """Returns when a certificate expires, without a time zone, in UTC."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc.replace(tzinfo=None)
    return certificate.not_valid_after


def begins(certificate):
    """Returns when a certificate becomes valid, like `ends`."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc.replace(tzinfo=None)
    return certificate.not_valid_before


class FileKey:
    """A key in PEM form. Raises CredentialError if it cannot be read, or is not one on P-256."""

    def __init__(self, pem):
        try:
            self.key = serialization.load_pem_private_key(pem, None, default_backend())
        except (TypeError, ValueError) as error:
            raise CredentialError("the key of the host cannot be read: %s" % error) from error
        if not isinstance(self.key, ec.EllipticCurvePrivateKey) or self.key.curve.name != "secp256r1":
            raise CredentialError("the key of the host is not an EC key on P-256")

    def sign(self, data):
        """Returns the ECDSA signature (SHA-256) of the data, in the form of OpenSSL."""
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


class Issuer:
    """
    The key of a host, which signs (see FileKey), and its certificate, which may sign certificates. `chain_pem`: the certificate
    of the host, then those above it, without the root. `ssh`: an SshAuthority or None. Raises CredentialError if they cannot be
    used.
    """

    def __init__(self, key, chain_pem, trust_domain, dns_domain, lifetime, ssh=None):
        self.key, self.ssh = key, ssh
        self.chain = certificates_in(chain_pem)
        self.certificate = self.chain[0]
        self.trust_domain, self.dns_domain, self.lifetime = trust_domain, dns_domain, lifetime
        # The form of a certificate is that of one which this key has signed; see `sign_certificate`.
        self.form = ec.generate_private_key(ec.SECP256R1(), default_backend())
        self.verify()

    def verify(self):
        """Raises CredentialError unless key, certificate and settings belong together."""
        if TRUST_DOMAIN.fullmatch(self.trust_domain) is None:
            raise CredentialError("'%s' is not the name of a trust domain" % self.trust_domain)
        public, data = self.certificate.public_key(), os.urandom(32)
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise CredentialError("the key of the certificate of the host is not an EC key on P-256")
        try:
            public.verify(self.key.sign(data), data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise CredentialError("the certificate of the host is not that of its key") from error
        constraints = extension(self.certificate, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            raise CredentialError("the certificate of the host may not sign certificates: basicConstraints needs CA:TRUE")
        if trust_domain_of(self.certificate) != self.trust_domain:
            text = "the certificate of the host has no URI spiffe://%s, or has other URIs"
            raise CredentialError(text % self.trust_domain)

    def issue(self, facts, point, nonces, now, host_key=None):
        """
        Returns the `certificate` with its chain as PEM, the `statement`, and the `ssh_certificate` if there is a `host_key`, and
        a name for it. `facts`: see examine; `point`, `host_key`: keys of the guest; `nonces`: as bytes; `now`: seconds since
        1970. Raises CredentialError if the certificate of the host is not valid.
        """
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(now))
        if not begins(self.certificate) <= moment < ends(self.certificate):
            raise CredentialError("the certificate of the host is not valid now")
        end = min(moment + datetime.timedelta(seconds=self.lifetime), ends(self.certificate))
        identity = "spiffe://%s/guest/%s" % (self.trust_domain, facts["uuid"])
        begin, names = moment - datetime.timedelta(seconds=TOLERANCE), self.dns_names(facts)
        certificate = self.sign_certificate(facts, identity, names, point, begin, end)
        claims = {
            "iss": "spiffe://%s" % self.trust_domain,
            "sub": identity,
            "iat": int(now),
            "exp": int((end - datetime.datetime(1970, 1, 1)).total_seconds()),
            "eat_nonce": [encode(nonce) for nonce in nonces] if len(nonces) > 1 else encode(nonces[0]),
            "cnf": {"jwk": jwk_of(point)},
            "immutafs": dict(facts, enforcement="host"),
        }
        chain = [in_pem(certificate)] + [each.public_bytes(PEM).decode("ascii") for each in self.chain]
        issued = {"certificate": "".join(chain), "statement": self.sign(claims)}
        if host_key is not None and names:
            issued["ssh_certificate"] = self.ssh.sign(host_key, names, identity, begin, end)
        return issued

    def dns_names(self, facts):
        """Returns the DNS names of a guest: one, or none if the name of its domain cannot be one."""
        name = facts["name"].lower()
        return [name + ("." + self.dns_domain if self.dns_domain else "")] if LABEL.fullmatch(name) is not None else []

    def sign_certificate(self, facts, identity, names, point, begin, end):
        """Returns the certificate of a guest, an X.509-SVID, in DER form."""
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        names = [x509.UniformResourceIdentifier(identity)] + [x509.DNSName(each) for each in names]
        usage = dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only")
            + ("decipher_only", "key_encipherment"),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, facts["name"][:64])]))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.certificate.public_key()), critical=False
            )
        )
        # The library signs only with keys that it has. What is signed does not depend on the key.
        signed = builder.sign(self.form, hashes.SHA256(), default_backend()).tbs_certificate_bytes
        return der(0x30, signed + ECDSA_SHA256 + der(0x03, b"\0" + self.key.sign(signed)))

    def sign(self, claims):
        """Returns a JWT with these claims. Its header has the certificates (x5c)."""
        chain = [base64.b64encode(each.public_bytes(serialization.Encoding.DER)).decode("ascii") for each in self.chain]
        header = {"alg": "ES256", "typ": "JWT", "x5c": chain}
        parts = [encode(json.dumps(part, separators=(",", ":"), sort_keys=True).encode()) for part in (header, claims)]
        signed = ".".join(parts).encode("ascii")
        numbers = utils.decode_dss_signature(self.key.sign(signed))
        return "%s.%s" % (".".join(parts), encode(b"".join(number.to_bytes(COORDINATE, "big") for number in numbers)))


def der(tag, content):
    """Returns a value in DER (X.690, 8.1)."""
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([128 + len(length)]) + length) + content


def in_pem(certificate):
    """Returns a certificate in DER form as PEM."""
    text = base64.b64encode(certificate).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def jwk_of(point):
    """Returns a public key as a JWK (RFC 7518, 6.2.1)."""
    return {"kty": "EC", "crv": "P-256", "x": encode(point[1 : 1 + COORDINATE]), "y": encode(point[1 + COORDINATE :])}


def thumbprint(point):
    """Returns a text that identifies a public key (RFC 7638)."""
    text = json.dumps(jwk_of(point), separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(text.encode("ascii")).digest())
