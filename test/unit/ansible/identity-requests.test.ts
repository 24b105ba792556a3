import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { runPython } from '../../harness/collection.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/**
 * Tests how the host answers requests (ansible/roles/identity/files/identity_service/), and how a verifier judges a statement
 * (ansible/plugins/module_utils/statement.py), which the collection's module `verify` calls.
 */
const requests = suite('requests of a guest to the host');

const setUp = `import json, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
from identity_service.conversation import BURST, CHALLENGE_LIFE, FRAME, Conversation, KeyOwners
folder = given["folder"]
key, other = new_key(), new_key()
nonce = bytes(range(32))
encode = credentials.encode
def certify(point, nonces, host_key):
    return {"certificate": "certificate", "statement": encode(nonces[-1])}
def hello(conversation, now=0):
    return bytes.fromhex(conversation.answer(b'{"type":"hello","id":"1"}', now)["challenge"])
def request(challenge, **changes):
    message = {"type": "request", "id": "1", "challenge": challenge.hex(), "nonce": encode(nonce)}
    message.update({"key": encode(point_of(key)), "proof": encode(prove(key, challenge, nonce))})
    message.update(changes)
    return json.dumps({name: value for name, value in message.items() if value is not None}).encode()
def said(answer):
    return answer.get("reason") or answer["statement"]
`;

/** Runs Python after the set-up, which assigns `result`. */
const run = (text: string): unknown =>
  inTemporaryDirectory((folder) =>
    runPython(`${setUp}${text}\nprint(json.dumps(result))`, {
      harness: path.join(inRoot('test'), 'harness'),
      folder,
    }),
  );

/** The answer to one request after a change, in one process of Python. */
const answers: [title: string, text: string, reason: RegExp][] = [
  ['an honest request', 'talk.answer(request(challenge), 1)', /^AAECAwQ/],
  [
    'with the nonce of a verifier',
    'talk.answer(request(challenge, verifier=encode(b"12345678"), proof=encode(prove(key, challenge, nonce, b"12345678"))), 1)',
    /^MTIzNDU2Nzg$/,
  ],
  [
    'a replayed request',
    '(talk.answer(request(challenge), 1), talk.answer(request(challenge), 1))[1]',
    /^the challenge is not that of this host, or was used before/,
  ],
  [
    'a challenge of another connection',
    'talk.answer(request(hello(Conversation(certify))), 1)',
    /^the challenge is not/,
  ],
  [
    'a request before a challenge',
    'Conversation(certify).answer(request(bytes(32)), 1)',
    /^the challenge is not/,
  ],
  [
    'a challenge that is too old',
    'talk.answer(request(challenge), CHALLENGE_LIFE + 1)',
    /^the challenge is older than/,
  ],
  [
    'the key of another guest',
    'talk.answer(request(challenge, key=encode(point_of(other))), 1)',
    /^the guest did not prove/,
  ],
  [
    'a proof for another nonce',
    'talk.answer(request(challenge, nonce=encode(bytes(32))), 1)',
    /^the guest did not prove/,
  ],
  [
    'a proof without the nonce of the verifier',
    'talk.answer(request(challenge, verifier=encode(bytes(8))), 1)',
    /^the guest did not prove/,
  ],
  [
    'a proof of zeros',
    'talk.answer(request(challenge, proof=encode(bytes(64))), 1)',
    /^the guest did not prove/,
  ],
  [
    'a point that is not on the curve',
    'talk.answer(request(challenge, key=encode(b"\\x04" + bytes(64))), 1)',
    /^the guest did not prove/,
  ],
  [
    'a compressed point',
    'talk.answer(request(challenge, key=encode(point_of(key)[:33])), 1)',
    /^the field key does not have 65/,
  ],
  [
    'a key in ASN.1',
    'talk.answer(request(challenge, key=encode(b"0" * 91)), 1)',
    /^the field key does not have 65/,
  ],
  [
    'a nonce that is short',
    'talk.answer(request(challenge, nonce=encode(b"a")), 1)',
    /^the field nonce does not have 32/,
  ],
  [
    'a nonce that is not base64url',
    'talk.answer(request(challenge, nonce="=+/"), 1)',
    /^the field nonce is not base64url/,
  ],
  ['no key', 'talk.answer(request(challenge, key=None), 1)', /^the field key is not base64url/],
  [
    'a nonce that is a number',
    'talk.answer(request(challenge, nonce=7), 1)',
    /^the field nonce is not base64url/,
  ],
  [
    'an unknown field',
    'talk.answer(request(challenge, domain="web2"), 1)',
    /^the request has unknown fields/,
  ],
  ['another type', `talk.answer(b'{"type":"identity","id":"1"}', 1)`, /^the request has no known type/],
  ['no id', `talk.answer(b'{"type":"hello"}', 1)`, /^the request has no valid id/],
  ['no JSON', `talk.answer(b'{', 1)`, /^the request is not JSON/],
  ['deep nesting', `talk.answer(b'[' * 16000, 1)`, /^the request is not JSON/],
  ['no UTF-8', `talk.answer(b'"\\xff"', 1)`, /^the request is not JSON/],
  ['NaN', `talk.answer(b'{"type":"hello","id":NaN}', 1)`, /^the request is not JSON/],
  ['an array', `talk.answer(b'[]', 1)`, /^the request has no known type/],
  [
    'two interleaved requests',
    'talk.answer(request(challenge)[:100] + request(challenge), 1)',
    /^the request is not JSON/,
  ],
];

/** The same for requests with the key of an SSH server, to a host that makes SSH certificates. */
const sshAnswers: [title: string, text: string, reason: RegExp][] = [
  ['an honest request', 'with_ssh()', /^AAECAwQ/],
  ['no key of an SSH server', 'talk.answer(request(challenge), 1)', /^AAECAwQ/],
  [
    'a host that makes none',
    'plain.answer(json.dumps(ssh_request(hello(plain))).encode(), 1)',
    /^this host makes no SSH certificates/,
  ],
  [
    'the key of another guest',
    'with_ssh(ssh_key=encode(point_of(new_key())))',
    /^the guest did not prove .* SSH server/,
  ],
  [
    'a proof for another challenge',
    'with_ssh(ssh_proof=encode(prove(server, bytes(32), nonce, point_of(key))))',
    /^the guest did not prove .* SSH server/,
  ],
  [
    'a proof for another key of the guest',
    'with_ssh(ssh_proof=encode(prove(server, challenge, nonce, point_of(other))))',
    /^the guest did not prove .* SSH server/,
  ],
  [
    'one key for both',
    'with_ssh(ssh_key=encode(point_of(key)), ssh_proof=encode(prove(key, challenge, nonce, point_of(key))))',
    /or it has only one key/,
  ],
  ['no proof', 'with_ssh(ssh_proof=None)', /^the field ssh_proof is not base64url/],
  ['an Ed25519 key', 'with_ssh(ssh_key=encode(bytes(32)))', /^the field ssh_key does not have 65/],
  ['a line of a file', 'with_ssh(ssh_key="ecdsa-sha2-nistp256 AAAA")', /^the field ssh_key is not base64url/],
  ['principals of the guest', 'with_ssh(principals="web2")', /^the request has unknown fields/],
];

requests('an SSH certificate is for a key that the guest has proved to have', () => {
  const calls = sshAnswers.map(([, text]) => `challenge = hello(talk)\nresult.append(said(${text}))`);
  const found = run(`
result, talk, plain, server = [], Conversation(certify, True), Conversation(certify), new_key()
def ssh_request(challenge):
    proof = encode(prove(server, challenge, nonce, point_of(key)))
    return dict(json.loads(request(challenge)), ssh_key=encode(point_of(server)), ssh_proof=proof)
def with_ssh(**changes):
    return talk.answer(json.dumps(dict(ssh_request(challenge), **changes)).encode(), 1)
${calls.join('\n')}
offer = json.loads(json.dumps(talk.answer(b'{"type":"hello","id":"1"}', 0)))["ssh"], "ssh" in plain.answer(b'{"type":"hello","id":"1"}', 0)
result.append(offer)`) as string[];
  for (const [index, [title, , reason]] of sshAnswers.entries())
    assert.match(String(found[index]), reason, title);
  assert.equal(found.at(-1), [true, false]);
});

requests('one answer each, and the reason of each refusal', () => {
  const calls = answers.map(([, text]) => `challenge = hello(talk)\nresult.append(said(${text}))`);
  const found = run(`result, talk = [], Conversation(certify)\n${calls.join('\n')}`) as string[];
  for (const [index, [title, , reason]] of answers.entries())
    assert.match(String(found[index]), reason, title);
});

requests('a key belongs to the domain for which it was certified first', () => {
  const found = run(`
owners, result = KeyOwners(), []
owners.refuse_other([point_of(key)], UUID)
owners.add([point_of(key)], UUID)
owners.refuse_other([point_of(key)], UUID)
owners.refuse_other([point_of(other)], OTHER)
try:
    owners.refuse_other([point_of(other), point_of(key)], OTHER)
except examination.Refusal as refusal:
    result = str(refusal)`);
  assert.is(found, 'the key was certified for another domain');
});

requests('the clock: a small step back is permitted, a large one is not, also after a restart', () => {
  const found = run(`
import os
from identity_service import certifier
path = folder + "/clock"
real, result = certifier.time.time, []
def at(seconds):
    certifier.time.time = lambda: real() + seconds
    try:
        certifier.Clock(path).now()
        result.append("")
    except certifier.Refusal as refusal:
        result.append(str(refusal)[:39])
for seconds in (0, 3600, 3580, 0, 3600):
    at(seconds)`) as string[];
  assert.equal(found, ['', '', '', 'the clock of the host was set back by 3', '']);
});

// --- The sockets ---------------------------------------------------------------------------------------------------------------

/** Python that connects a program in place of a guest to Channels, by a socket in place of that of libvirt. */
const channels = `
import socket, threading
from identity_service import channels as module
from identity_service.channels import Channels
logged, paths = [], {}
def guest_of(name, uuid):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(folder + "/" + name)
    server.listen(1)
    paths[folder + "/" + name] = uuid
    return server
server = guest_of("a.sock", UUID)
certified = []
def certify_for(uuid, path, point, nonces, host_key):
    certified.append([uuid, path[len(folder):]])
    return {"certificate": "certificate", "statement": uuid}
module.RETRY = 0.2
service = Channels([folder + "/*.sock"], lambda: paths, certify_for, lambda uuid, text: logged.append(text))
def steps(seconds, until=lambda: False):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        service.step()
def accept(server):
    service.next_search = 0
    steps(5, lambda: any(each.path == server.getsockname() for each in service.channels.values()))
    connected = server.accept()[0]
    connected.setblocking(False)
    return connected
def ask(guest, data, seconds=3):
    guest.sendall(data) if data else None
    received = []
    def arrived():
        try:
            received.append(guest.recv(65536))
        except BlockingIOError:
            pass
        return b"\\n" in b"".join(received)
    module.SEARCH = 0.05
    steps(seconds, arrived)
    return json.loads(b"".join(received).split(b"\\n")[0] or b"null")
guest = accept(server)
HELLO = b'{"type":"hello","id":"1"}\\n'
def certified_by(guest):
    challenge = bytes.fromhex(ask(guest, HELLO)["challenge"])
    return ask(guest, request(challenge) + b"\\n")
`;
const overSocket = (text: string) => run(channels + text);

requests('the socket decides for which domain the host signs', () => {
  const found = overSocket(`
second = accept(guest_of("b.sock", OTHER))
result = [certified_by(guest)["statement"], certified_by(second)["statement"], certified]`) as unknown[];
  const [uuid, other] = ['1', '2'].map((last) => `0b6c71de-0000-4000-8000-00000000000${last}`);
  assert.equal(found, [
    uuid,
    other,
    [
      [uuid, '/a.sock'],
      [other, '/b.sock'],
    ],
  ]);
});

requests('frames: too long, in pieces, slow, interleaved with the rest of an earlier one', () => {
  const found = overSocket(`
result = {}
result["long"] = said(ask(guest, b"x" * (FRAME + 100)))
result["after"] = ask(guest, b"y" * 1000 + b"\\n" + HELLO)["type"]
guest.sendall(HELLO[:7]); steps(0.2)
result["pieces"] = ask(guest, HELLO[7:])["type"]
module.LINE = 0.3
result["slow"] = said(ask(guest, HELLO[:7]))
result["rest"] = ask(guest, HELLO[7:] + b"\\n" + HELLO)["type"]
result["empty"] = ask(guest, b"\\n\\n\\n" + HELLO)["type"]
result["two"] = [ask(guest, HELLO + HELLO)["type"], ask(guest, b"")["type"]]
result["logged"] = len(logged)`) as Record<string, unknown>;
  assert.match(String(found['long']), /^the request is longer than 16384 bytes/);
  assert.match(String(found['slow']), /^the request was not complete within/);
  const { long: _, slow: __, ...others } = found;
  assert.equal(others, {
    ...{ after: 'challenge', pieces: 'challenge', rest: 'challenge', empty: 'challenge' },
    ...{ two: ['challenge', 'challenge'], logged: 2 },
  });
});

requests('a line that was too long, or that an ended program began, does not harm a later request', () => {
  const found = overSocket(`
module.LINE = 0.3
result = [said(ask(guest, b"x" * (FRAME + 100)))[:27]]
guest.sendall(b"y\\n")
steps(1)
result.append(ask(guest, HELLO)["type"])
result.append(said(ask(guest, HELLO[:7]))[:28])
result.append(ask(guest, b"\\n" + HELLO)["type"])`);
  assert.equal(found, [
    'the request is longer than ',
    'challenge',
    'the request was not complete',
    'challenge',
  ]);
});

requests('empty lines and the rest of a long line: read in part, without an answer, then no further', () => {
  const found = overSocket(`
import identity_service.conversation
identity_service.conversation.REFILL = 1000
module.SEARCH = 0.05
result = []
for name, flood in (("b.sock", b"\\n" * FRAME), ("c.sock", b"x" * FRAME)):
    other, sent, waits = accept(guest_of(name, name)), 0, 0
    while sent < 2**23 and waits < 20:
        try:
            sent, waits = sent + other.send(flood), 0
        except BlockingIOError:
            waits += 1
        service.step()
    result += [BURST * FRAME <= sent < 2**21, len(logged)]`);
  assert.equal(found, [true, 0, true, 1]);
});

requests('a flood: refused, then read no further; another domain is answered at once', () => {
  const found = overSocket(`
import identity_service.conversation
identity_service.conversation.REFILL = 1000
second = accept(guest_of("b.sock", OTHER))
kinds = [ask(guest, HELLO)["type"] for _ in range(BURST + 1)]
begin = time.monotonic()
other_type = ask(second, HELLO)["type"]
guest.setblocking(False)
sent = 0
try:
    while sent < 2**22:
        sent += guest.send(HELLO * 100)
        service.step()
        second.sendall(HELLO) if sent == 0 else None
except BlockingIOError:
    pass
logged_before = len(logged)
steps(1)
result = [kinds.count("challenge") == BURST, kinds[-1], other_type, sent < 2**22, len(logged) == logged_before]`);
  assert.equal(found, [true, 'refusal', 'challenge', true, true]);
});

requests('a domain that does not take its answers is disconnected, and connected again', () => {
  const found = overSocket(`
module.WRITE = 0.3
service.channels[server.getsockname()].outgoing = b"x" * 2**22
service.send(service.channels[server.getsockname()], {"type": "x"})
steps(2, lambda: not service.channels)
guest.close()
guest = accept(server)
result = ask(guest, HELLO)["type"]`);
  assert.is(found, 'challenge');
});

requests('a domain that ends, and one whose libvirt does not answer at first', () => {
  const found = overSocket(`
guest.close()
steps(2, lambda: not service.channels)
known = dict(paths); paths.clear()
steps(0.5)
nothing = len(service.channels)
paths.update(known)
guest = accept(server)
result = [nothing, certified_by(guest)["statement"] == UUID]`);
  assert.equal(found, [0, true]);
});

requests('a request that hangs ends the service, so that systemd restarts it', () => {
  const found = overSocket(`
module.HANGS = 0.3
stop = threading.Event()
def hang(point, nonces, host_key):
    stop.wait()
    return {}
service.channels[server.getsockname()].conversation.certify = hang
try:
    certified_by(guest)
    result = "answered"
except TimeoutError as error:
    result = str(error)
stop.set()`);
  assert.match(String(found), /^a request has taken more than/);
});

// --- The verifier -----------------------------------------------------------------------------------------------------------------

const statements = `
from ansible_collections.immutafs.agent.plugins.module_utils.statement import StatementError, key_of, verify_statement
root_key, host_key = new_key(), new_key()
root = authority(root_key, "root")
host = authority(host_key, "kvm1", root, root_key)
facts = {"name": "web1", "uuid": UUID, "sha256": "ab" * 32}
def issue(key=host_key, chain=(host,), now=NOW, nonces=(nonce,), domain="example.org", of=facts, hours=1):
    pems = b"".join(in_pem(each) for each in chain)
    issuer = credentials.Issuer(file_key(key), pems, domain, "example.com", hours * 3600)
    issued = issuer.issue(of, point_of(new_key()), list(nonces), now)
    return issued["certificate"], issued["statement"]
def judged(text, nonce=nonce, anchors=(root,), domain="example.org", now=NOW, **guest):
    try:
        return verify_statement(text, nonce, list(anchors), domain, now, **guest)["sub"]
    except StatementError as error:
        return str(error)
def changed(text, **claims):
    first, second, third = text.split(".")
    body = dict(json.loads(credentials.decode(second)), **claims)
    return ".".join([first, encode(json.dumps(body).encode()), third])
def signed(**claims):
    issuer = credentials.Issuer(file_key(host_key), in_pem(host), "example.org", "", 3600)
    first, second, third = issue()[1].split(".")
    return issuer.sign(dict(json.loads(credentials.decode(second)), **claims))
good = issue()[1]
`;
const judgements: [title: string, text: string, reason: RegExp][] = [
  ['a genuine statement', 'judged(good)', /^spiffe:\/\/example\.org\/guest\/0b6c71de/],
  ['a nonce of the verifier among two', 'judged(issue(nonces=[bytes(32), nonce])[1])', /^spiffe:/],
  ['the host as its own CA', 'judged(good, anchors=[host])', /^spiffe:/],
  ['a copied statement', 'judged(good, nonce=bytes(32))', /^it is not for this nonce/],
  ['an expired statement', 'judged(good, now=NOW + 3600)', /^it has expired/],
  ['one second before', 'judged(good, now=NOW + 3599)', /^spiffe:/],
  ['a statement of the future', 'judged(good, now=NOW - 100)', /^it was issued in the future/],
  ['another trust domain', 'judged(good, domain="example.com")', /^the host is not of the trust domain/],
  ['another CA', 'judged(good, anchors=[authority(other, "root")])', /^no trusted CA has signed/],
  ['changed claims', 'judged(changed(good, exp=NOW + 10**6))', /^the signature is not that of the host/],
  [
    'the key of a guest that signs',
    'judged(issue(other, [authority(other, "kvm1", domain="example.org")])[1])',
    /^no trusted CA/,
  ],
  [
    'a host certificate that has expired',
    'judged(issue(host_key, [authority(host_key, "kvm1", root, root_key, days=1)], hours=24)[1], now=NOW + 86400 - 500)',
    /^the certificate of the host is not valid now/,
  ],
  [
    'no enforcement',
    'judged(signed(immutafs=dict(facts, enforcement="guest")))',
    /^it does not say that the host/,
  ],
  ['another subject', 'judged(signed(sub="spiffe://example.org/host/a"))', /^its subject is not a guest/],
  ['the challenged guest', 'judged(good, name="web1", uuid=UUID.upper())', /^spiffe:/],
  ['the statement of another guest', 'judged(good, name="web2")', /^it is about the guest web1, not web2$/],
  [
    'the statement of a guest of the same name on another host',
    'judged(good, name="web1", uuid=OTHER)',
    /^it is about the guest with the UUID 0b6c71de-0000-4000-8000-000000000001, not 0b6c71de-0000-4000-8000-000000000002$/,
  ],
  [
    'a subject that is not the guest of the facts',
    'judged(signed(sub="spiffe://example.org/guest/" + OTHER), uuid=UUID)',
    /^it is about the guest with the UUID 0b6c71de-0000-4000-8000-000000000002, not/,
  ],
  ['a guest without a name', 'judged(signed(immutafs={"enforcement": "host"}), name="web1")', /^it is about/],
  ['no end', 'judged(signed(exp=None))', /^it has no times/],
  ['no JWT', 'judged("a.b")', /^it is not a JWT/],
  ['a text without end', 'judged("a" * 100000)', /^it is not a JWT: it is too long/],
  [
    'no signature algorithm',
    'judged(".".join([encode(b\'{"alg":"none"}\'), good.split(".")[1], good.split(".")[2]]))',
    /^it is not signed with ES256/,
  ],
];

requests('a verifier accepts a genuine statement, and says what is wrong with another', () => {
  const found = run(`${statements}result = [${judgements.map(([, text]) => text).join(',\n')}]`) as string[];
  for (const [index, [title, , reason]] of judgements.entries())
    assert.match(String(found[index]), reason, title);
});

const keys: [title: string, text: string, reason: RegExp][] = [
  ['the key of another certificate', 'issue(other)', /is not that of its key/],
  ['another trust domain', 'issue(domain="example.net")', /has no URI spiffe:\/\/example\.net/],
  ['a trust domain with a slash', 'issue(domain="a/b")', /is not the name of a trust domain/],
  [
    'a certificate that may not sign',
    'issue(chain=[authority(host_key, "kvm1", root, root_key, ca=False)])',
    /may not sign certificates/,
  ],
  ['no certificate', 'issue(chain=[])', /there is no certificate/],
  ['a certificate that has expired', 'issue(now=NOW + 40 * 86400)', /not valid now/],
];

requests('a host does not start to sign with keys and certificates that do not belong together', () => {
  const calls = keys.map(
    ([, text]) => `
try:
    ${text}
    result.append("issued")
except credentials.CredentialError as error:
    result.append(str(error))`,
  );
  const found = run(`${statements}result = []${calls.join('')}`) as string[];
  for (const [index, [title, , reason]] of keys.entries()) assert.match(String(found[index]), reason, title);
});

requests('a certificate ends with that of the host, and names the guest', () => {
  const found = run(`${statements}
short = authority(host_key, "kvm1", root, root_key, days=1)
pem_text, text = issue(chain=[short], now=NOW + 86400 - 1600, hours=4)
certificate = credentials.certificates_in(pem_text.encode())[0]
names = credentials.extension(certificate, x509.SubjectAlternativeName)
claims = json.loads(credentials.decode(text.split(".")[1]))
spaced = credentials.certificates_in(issue(of=dict(facts, name="My Guest"))[0].encode())[0]
other_names = credentials.extension(spaced, x509.SubjectAlternativeName)
result = [claims["exp"] - NOW - 86400 + 1000, names.get_values_for_type(x509.DNSName), names.get_values_for_type(x509.UniformResourceIdentifier),
  other_names.get_values_for_type(x509.DNSName), key_of(claims) == b"\\x04" + credentials.decode(claims["cnf"]["jwk"]["x"]) + credentials.decode(claims["cnf"]["jwk"]["y"])]`);
  const uri = 'spiffe://example.org/guest/0b6c71de-0000-4000-8000-000000000001';
  assert.equal(found, [0, ['web1.example.com'], [uri], [], true]);
});

requests.run();
