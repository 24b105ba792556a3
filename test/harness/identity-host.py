"""Answers a guest on stdin and stdout as immutafs-identity does, for identity tests of the agent.

Usage: identity-host.py FOLDER FORGERY. Writes ca.pem into the folder. FORGERY is Python that may change what is set up before
the first line, and define `forge(answer)`, which changes an answer.
"""

import base64
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from identity import *  # noqa: E402,F403

from identity_service.conversation import Conversation  # noqa: E402
from identity_service.keys import SshAuthority  # noqa: E402

folder, forgery = sys.argv[1:]
now = time.time()
root_key, host_key, other_key = new_key(), new_key(), new_key()
root = authority(root_key, "root", begin=now - 1000)
chain = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, begin=now - 1000)]
facts = {"name": "web1", "uuid": UUID, "sha256": "ab" * 32, "firmware": "bios", "seed": None}
anchors, lifetime, ssh = [root], 3600, None


def forge(answer):
    return answer


def issuer(key=None, certificates=None, domain="example.org", seconds=None):
    pems = b"".join(in_pem(each) for each in certificates or chain)
    return credentials.Issuer(file_key(key or host_key), pems, domain, "", seconds or lifetime, ssh)


def certify(point, nonces, ssh_point=None):
    return issuer().issue(facts, point, nonces, now, ssh_point)


exec(forgery)
with open(os.path.join(folder, "ca.pem"), "wb") as file:
    file.write(b"".join(in_pem(each) for each in anchors))
conversation = Conversation(certify, ssh is not None)
print("ready", flush=True)
for line in sys.stdin.buffer:
    if not line.strip():
        continue
    found = forge(conversation.answer(line.rstrip(b"\n"), 0))
    print(found if isinstance(found, str) else json.dumps(found), flush=True)
