#!/usr/bin/python3
"""Verifies the statement of a host about a guest."""

import time

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import run

DOCUMENTATION = r"""
---
module: verify
short_description: Verify the statement of a host about a sealed guest
version_added: 0.1.0
description:
  - Verifies the signature of the host, its certificate, the time and the nonce, and returns what the host states.
  - A guest that is not sealed can pass on the nonce to a sealed one, and print the statement of that guest. With O(domain) and
    O(uuid), the module accepts only the statement about this domain. Without them, it proves only that the host has examined
    some guest of the trust domain; the verifier must then compare RV(claims.sub), or compare the key in RV(claims.cnf) with that of
    the TLS client.
  - Runs on the controller (C(delegate_to=localhost)). The task file V(challenge) of the role V(identity) makes a nonce, requests
    the statement from the guest, and runs this module with the domain of the guest.
  - Needs python3-cryptography 3.2 or later.
options:
  statement:
    description: What C(immutafs-agent identity --nonce) printed in the guest.
    type: str
    required: true
  nonce:
    description: The nonce that the guest was given, in base64url. A nonce must be used once.
    type: str
    required: true
  ca:
    description: File with the certificates of the authorities that may certify hosts.
    type: path
    required: true
  trust_domain:
    description: Name of the trust domain.
    type: str
    required: true
  domain:
    description:
      - Name of the domain about which the statement must be. Names are unique only on one host.
    type: str
  uuid:
    description:
      - UUID of the domain about which the statement must be, as C(virsh domuuid) prints it on its host.
    type: str
attributes:
  check_mode: {description: Changes nothing., support: full}
author: immutafs-agent (@immutafs-agent)
"""

EXAMPLES = r"""
---
- name: Challenge the guest
  ansible.builtin.include_role: { name: immutafs.agent.identity, tasks_from: challenge }

- name: Verify a statement
  immutafs.agent.verify:
    statement: '{{ said.stdout }}'
    nonce: '{{ nonce }}'
    ca: /etc/pki/identity-ca.pem
    trust_domain: example.org
    domain: web1
    uuid: 0b6c71de-0000-4000-8000-000000000001
  delegate_to: localhost
"""

RETURN = r"""
---
claims:
  description: The claims of the statement; RV(claims.immutafs) is what the host has examined.
  returned: success
  type: dict
"""

ARGUMENTS = {
    "statement": {"type": "str", "required": True},
    "nonce": {"type": "str", "required": True},
    "ca": {"type": "path", "required": True},
    "trust_domain": {"type": "str", "required": True},
    "domain": {"type": "str"},
    "uuid": {"type": "str"},
}


def main():
    run(ARGUMENTS, verify)


def verify(module):
    """Returns the claims."""
    try:
        from ansible_collections.immutafs.agent.plugins.module_utils import credentials, statement
    except ImportError as error:
        raise LibvirtError("python3-cryptography is missing on this machine: %s" % error) from error
    params = module.params
    try:
        with open(params["ca"], "rb") as file:
            anchors = credentials.certificates_in(file.read())
        nonce = credentials.decode(params["nonce"])
        given = (params["statement"].strip(), nonce, anchors, params["trust_domain"], time.time())
        claims = statement.verify_statement(*given, name=params["domain"], uuid=params["uuid"])
        return {"changed": False, "claims": claims}
    except (OSError, ValueError, credentials.CredentialError) as error:
        raise LibvirtError("the nonce or the CA cannot be used: %s" % error) from error
    except statement.StatementError as error:
        raise LibvirtError("the statement is not accepted: %s" % error) from error


if __name__ == "__main__":
    main()
