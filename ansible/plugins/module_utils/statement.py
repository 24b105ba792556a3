"""Verifies the statement of a host about a guest. Needs python3-cryptography 3.2 or later.

Sources: RFC 7515 (JWS, x5c), RFC 7519 (JWT), RFC 8725 (only one algorithm), RFC 5280, 6.1 (the part for this chain).
"""

import base64
import datetime
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from ansible_collections.immutafs.agent.plugins.module_utils.credentials import (
    COORDINATE,
    begins,
    decode,
    encode,
    ends,
    extension,
    to_der,
    trust_domain_of,
)

# Upper bounds on the length of a statement and on the certificates in it.
LONGEST, MOST = 16 * 1024, 4
# Seconds by which the clocks of host and verifier may differ.
TOLERANCE = 60


class StatementError(Exception):
    """Why a statement is not accepted."""


def verify_statement(text, nonce, anchors, trust_domain, now, name=None, uuid=None):
    """
    Returns the claims of a statement. `nonce`: what the verifier has sent, as bytes; `anchors`: the certificates that it trusts;
    `now`: seconds since 1970; `name` and `uuid`: those of the domain that the verifier expects. Without them, the statement may be
    about any guest of the trust domain, because a guest can pass on the nonce to another one. Raises StatementError.
    """
    header, claims, signed, signature = parse(text)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(now))
    signer = signer_of(header, anchors, moment)
    if trust_domain_of(signer) != trust_domain:
        raise StatementError("the host is not of the trust domain %s" % trust_domain)
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise StatementError("the key of the host is not an EC key on P-256")
    try:
        key.verify(to_der(signature), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise StatementError("the signature is not that of the host") from error
    refuse_claims(claims, nonce, trust_domain, now)
    refuse_other(claims, trust_domain, name, uuid)
    return claims


def parse(text):
    """Returns header, claims, what was signed, and the signature."""
    try:
        if len(text) > LONGEST:
            raise ValueError("it is too long")
        first, second, third = text.split(".")
        header, claims = (json.loads(decode(part).decode("utf-8")) for part in (first, second))
        signature = decode(third)
        if not isinstance(header, dict) or not isinstance(claims, dict) or len(signature) != 2 * COORDINATE:
            raise ValueError("it has other parts")
    except (ValueError, RecursionError) as error:
        raise StatementError("it is not a JWT: %s" % error) from error
    if header.get("alg") != "ES256" or "crit" in header:
        raise StatementError("it is not signed with ES256, or has critical extensions")
    return header, claims, ("%s.%s" % (first, second)).encode("ascii"), signature


def signer_of(header, anchors, moment):
    """Returns the certificate of the host, which an anchor must have signed, directly or by further certificates."""
    encoded = header.get("x5c")
    if not isinstance(encoded, list) or not 1 <= len(encoded) <= MOST:
        raise StatementError("it has not 1 to %d certificates (x5c)" % MOST)
    try:
        chain = [x509.load_der_x509_certificate(base64.b64decode(each, validate=True), default_backend()) for each in encoded]
    except (TypeError, ValueError) as error:
        raise StatementError("its certificates cannot be read") from error
    for index, certificate in enumerate(chain):
        if not begins(certificate) <= moment < ends(certificate):
            raise StatementError("the certificate of the host is not valid now")
        if not may_sign(certificate):
            raise StatementError("a certificate of the chain may not sign certificates")
        anchor = next((each for each in anchors if each == certificate or is_signed_by(certificate, each)), None)
        if anchor is not None:
            if not begins(anchor) <= moment < ends(anchor) or not may_sign(anchor):
                raise StatementError("the CA is not valid now, or may not sign certificates")
            return chain[0]
        if index + 1 == len(chain) or not is_signed_by(certificate, chain[index + 1]):
            break
    raise StatementError("no trusted CA has signed the certificate of the host")


def may_sign(certificate):
    """Whether a certificate is that of a CA."""
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def is_signed_by(certificate, issuer):
    """Whether `issuer` has signed a certificate."""
    if certificate.issuer != issuer.subject:
        return False
    key, algorithm = issuer.public_key(), certificate.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
        else:
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
    except (AttributeError, InvalidSignature, TypeError):
        return False
    return True


def refuse_claims(claims, nonce, trust_domain, now):
    """Raises StatementError unless the claims are for this nonce and this time."""
    issued, end, nonces = claims.get("iat"), claims.get("exp"), claims.get("eat_nonce")
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in (issued, end)):
        raise StatementError("it has no times")
    if now < issued - TOLERANCE:
        raise StatementError("it was issued in the future: compare the clocks")
    if now >= end:
        raise StatementError("it has expired")
    if encode(nonce) not in (nonces if isinstance(nonces, list) else [nonces]):
        raise StatementError("it is not for this nonce: it was made for another request")
    if not str(claims.get("sub")).startswith("spiffe://%s/guest/" % trust_domain):
        raise StatementError("its subject is not a guest of the trust domain %s" % trust_domain)
    facts = claims.get("immutafs")
    if not isinstance(facts, dict) or facts.get("enforcement") != "host":
        raise StatementError("it does not say that the host enforces the seal")


def refuse_other(claims, trust_domain, name, uuid):
    """Raises StatementError if the claims are about another guest than that with this name and this UUID, if they are given."""
    subject, found = claims["sub"], claims["immutafs"].get("name")
    if name is not None and found != name:
        raise StatementError("it is about the guest %s, not %s" % (found, name))
    if uuid is not None and subject != "spiffe://%s/guest/%s" % (trust_domain, uuid.lower()):
        raise StatementError("it is about the guest with the UUID %s, not %s" % (subject.rpartition("/")[2], uuid))


def key_of(claims):
    """Returns the uncompressed point of the key of the guest. Raises StatementError."""
    try:
        jwk = claims["cnf"]["jwk"]
        return b"\x04" + decode(jwk["x"]) + decode(jwk["y"])
    except (KeyError, TypeError, ValueError) as error:
        raise StatementError("it has no key") from error
