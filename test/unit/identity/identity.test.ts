import { spawn } from 'node:child_process';
import { X509Certificate, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { identityCommand } from '../../../agent/commands/identity.ts';
import { pointOf } from '../../../agent/identity/request.ts';
import { readCertificate } from '../../../agent/facts/certificate.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import type { Port } from '../../../agent/system/port.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inRoot } from '../../../packaging/build/paths.ts';
import { linkCollection } from '../../harness/collection.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';

/**
 * Tests `identity` with the protocol of the host (ansible/roles/identity/files/identity_service/conversation.py): what the guest
 * writes, and which answers it does not accept. The host is a program that examines nothing.
 */
const test = suite('the certificate of the host');

/** A guest in a directory, and a host that answers it. */
interface Bed {
  root: string;
  /** Runs `identity` with a host of a new process. */
  run: (forgery?: string, nonce?: string) => Promise<{ code: number; stdout: string; stderr: string }>;
  read: (name: string) => string;
  mode: (name: string) => number;
  state: () => ReturnType<typeof readCertificate>['state'];
}

const uuid = '0b6c71de-0000-4000-8000-000000000001';

function withBed<T>(work: (bed: Bed) => Promise<T>, config = ''): Promise<T> {
  return whileTemporaryDirectory(async (folder) => {
    const root = path.join(folder, 'root');
    linkCollection(folder);
    for (const directory of ['etc/immutafs', 'etc/pki', 'run/immutafs', 'proc', 'sys/class/dmi/id'])
      fs.mkdirSync(path.join(root, directory), { recursive: true });
    fs.writeFileSync(
      path.join(root, 'etc/immutafs/immutafs.conf'),
      `IDENTITY=host\nIDENTITY_CA=/etc/pki/ca.pem\n${config}`,
    );
    fs.writeFileSync(path.join(root, 'sys/class/dmi/id/product_uuid'), `${uuid.toUpperCase()}\n`);
    const reader = systemReader({ root });
    const run: Bed['run'] = async (forgery = '', nonce) => {
      const said = { stdout: '', stderr: '' };
      const output = {
        stdout: (text: string) => void (said.stdout += text),
        stderr: (text: string) => void (said.stderr += text),
        terminal: false,
      };
      const options = nonce === undefined ? {} : { nonce };
      const open = () => startHost(folder, path.join(root, 'etc/pki'), forgery);
      const writer = () => Promise.resolve(systemWriter(root));
      return { code: await identityCommand(reader, writer, output, options, open), ...said };
    };
    const at = (name: string) => path.join(root, 'run/immutafs/identity', name);
    return work({
      ...{ root, run },
      read: (name) => fs.readFileSync(at(name), 'utf8'),
      mode: (name) => fs.statSync(at(name)).mode & 0o777,
      state: () => readCertificate(reader).state,
    });
  });
}

/** Starts the host, and returns a port that is connected to it. */
async function startHost(collections: string, folder: string, forgery: string): Promise<Port> {
  const args = ['-B', path.join(inRoot('test'), 'harness/identity-host.py'), folder, forgery];
  const child = spawn('/usr/bin/python3', args, {
    env: { PYTHONPATH: collections },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the host has ended');
    return value;
  };
  assert.is(await next(), 'ready');
  return {
    ask: async (text) => {
      child.stdin.write(text);
      return next();
    },
    close: () => void child.stdin.end(),
  };
}

test('a certificate: key, chain, CA, statement and state; the key stays the same when it is renewed', () =>
  withBed(async ({ run, read, mode, state, root }) => {
    const { code, stdout, stderr } = await run();
    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /^certified by kvm1 until .* as spiffe:\/\/example\.org\/guest\/0b6c71de-/);
    assert.equal([mode('key.pem'), mode('cert.pem'), mode('state.json')], [0o600, 0o644, 0o644]);
    const certificate = new X509Certificate(read('cert.pem'));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(read('key.pem'))));
    assert.match(certificate.subjectAltName ?? '', /^URI:spiffe:.*, DNS:web1$/);
    assert.is(read('ca.pem'), fs.readFileSync(path.join(root, 'etc/pki/ca.pem'), 'utf8'));
    assert.is(read('statement.jwt').split('.').length, 3);
    const first = state();
    assert.equal([first?.problem, first?.certificate?.host], ['', 'kvm1']);
    // The next request is after two thirds of an hour.
    const next = Number(read('next')) - systemReader().environment().seconds;
    assert.ok(next > 2300 && next <= 2400, `${next}`);
    const key = read('key.pem');
    assert.is((await run()).code, 0);
    assert.is(read('key.pem'), key);
    assert.not.equal(new X509Certificate(read('cert.pem')).serialNumber, certificate.serialNumber);
  }));

test('with FORWARD_CERT=identity, the group of the directory may read the key', () =>
  withBed(async ({ run, mode }) => {
    assert.is((await run()).code, 0);
    assert.is(mode('key.pem'), 0o640);
  }, 'FORWARD_CERT=identity\n'));

test('the CA of the guest may be the host itself', () =>
  withBed(async ({ run }) => {
    assert.is((await run('anchors = chain')).code, 0);
    assert.is(
      (await run('chain = [authority(host_key, "kvm1", begin=now - 1000)]\nanchors = chain')).code,
      0,
    );
  }));

test('answers to earlier requests are skipped', () =>
  withBed(async ({ run }) => {
    const forgery = `
def forge(answer):
    old = {"type": "refusal", "id": "other", "reason": "old"}
    return json.dumps(old) + "\\n" + json.dumps(answer)`;
    assert.is((await run(forgery)).code, 0);
  }));

const withSsh = 'ssh = SshAuthority(ssh_authority(folder, "ssh_ca%d" % os.getpid()), folder)';

test('an SSH certificate: for a key of its own, which stays the same, if the host makes them', () =>
  withBed(async ({ run, read, mode, root }) => {
    assert.is((await run()).code, 0);
    const names = () => fs.readdirSync(path.join(root, 'run/immutafs/identity'));
    assert.is(
      names().some((name) => name.startsWith('ssh_')),
      false,
    );
    assert.equal(await run(withSsh).then(({ code, stderr }) => [code, stderr]), [0, '']);
    assert.equal([mode('ssh_host_key'), mode('ssh_host_key-cert.pub')], [0o600, 0o644]);
    assert.not.equal(read('ssh_host_key'), read('key.pem'));
    const key = read('ssh_host_key');
    const certificate = read('ssh_host_key-cert.pub');
    assert.is((await run(withSsh)).code, 0);
    assert.is(read('ssh_host_key'), key);
    assert.not.equal(read('ssh_host_key-cert.pub'), certificate);
    // A host that does not make them any more leaves the one that expires.
    assert.is((await run()).code, 0);
  }, 'FORWARD_CERT=identity\n'));

test('a domain whose name cannot be that of an SSH server gets the other certificate', () =>
  withBed(async ({ run, root }) => {
    assert.is((await run(`${withSsh}\nfacts["name"] = "My Guest"`)).code, 0);
    assert.ok(fs.existsSync(path.join(root, 'run/immutafs/identity/cert.pem')));
    assert.is(fs.existsSync(path.join(root, 'run/immutafs/identity/ssh_host_key-cert.pub')), false);
  }));

test('a statement for a verifier: printed, and nothing is written', () =>
  withBed(async ({ run, root }) => {
    const nonce = Buffer.alloc(16, 7).toString('base64url');
    const { code, stdout } = await run(withSsh, nonce);
    assert.is(code, 0);
    const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString()) as {
      eat_nonce: string[];
    };
    assert.is(claims.eat_nonce[1], nonce);
    assert.equal(fs.readdirSync(path.join(root, 'run/immutafs/identity')), ['key.pem']);
  }));

for (const nonce of ['', 'AAAA', 'A'.repeat(200), 'not base64', Buffer.alloc(16).toString('base64')])
  test(`'${nonce.slice(0, 20)}' is not a nonce`, () =>
    withBed(async ({ run }) => {
      const error = await run('', nonce).catch((thrown: unknown) => thrown);
      assert.match(String(error), '--nonce must be 8 to 64 bytes in base64url');
    }));

const identityOnly = (change: string) =>
  `def forge(answer):\n    if answer["type"] == "identity":\n        ${change}\n    return answer`;

const forgeries: [title: string, forgery: string, reason: RegExp][] = [
  [
    'a CA that IDENTITY_CA does not have',
    'anchors = [authority(other_key, "root", begin=now)]',
    /no authority of IDENTITY_CA/,
  ],
  [
    'a CA of the same name with another key',
    'anchors = [authority(other_key, "root", begin=now - 1000)]',
    /no authority/,
  ],
  [
    'a host that may not sign certificates',
    `chain = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, ca=False, begin=now - 1000)]
credentials.Issuer.verify = lambda issuer: None`,
    /no authority|may not sign certificates/,
  ],
  [
    'a host whose certificate has expired',
    `chain = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, begin=now - 10 * 86400, days=1)]
credentials.ends = lambda certificate: datetime.datetime(2100, 1, 1)`,
    /is valid from .* and the clock of this guest is/,
  ],
  [
    'another trust domain than that of the host',
    `real = credentials.Issuer.issue
def issue(issuer, *args):
    issuer.trust_domain = "evil.org"
    return real(issuer, *args)
credentials.Issuer.issue = issue`,
    /the trust domain of spiffe:\/\/evil\.org\/guest\/.* is not that of its CA/,
  ],
  [
    'another trust domain than that of the CA',
    `chain = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, domain="evil.org", begin=now - 1000)]
issuer_of = issuer
issuer = lambda: issuer_of(domain="evil.org")`,
    /is not that of its CA/,
  ],
  [
    'a certificate that has expired',
    'now -= 7200; chain = [authority(host_key, "kvm1", issuer=root, issuer_key=root_key, begin=now - 10000)]',
    /is valid from/,
  ],
  ['the clock of the guest was set back', 'now += 7200', /is valid from .* and the clock of this guest is/],
  [
    'the certificate of another guest',
    'certify_ = certify\ncertify = lambda point, nonces, *more: certify_(point_of(other_key), nonces)',
    /the certificate is not for the key of this guest/,
  ],
  [
    'the statement of another guest with the certificate of this one',
    'certify_ = certify\ncertify = lambda point, nonces, *more: dict(certify_(point, nonces), statement=certify_(point_of(other_key), nonces)["statement"])',
    /the statement is not for the key of this guest/,
  ],
  [
    'a statement of an earlier request',
    'certify_ = certify\ncertify = lambda point, nonces, *more: dict(certify_(point, nonces), statement=certify_(point, [bytes(32)])["statement"])',
    /the statement is not for this request: it has another nonce/,
  ],
  [
    'a statement of another host',
    `other = authority(other_key, "kvm2", issuer=root, issuer_key=root_key, begin=now - 1000)
certify_ = certify
certify = lambda point, nonces, *more: dict(certify_(point, nonces), statement=issuer(other_key, [other]).issue(facts, point, nonces, now)["statement"])`,
    /the statement is not signed by the host that signed the certificate/,
  ],
  [
    'a statement that was changed',
    identityOnly(`first, second, third = answer["statement"].split(".")
        claims = json.loads(credentials.decode(second)); claims["immutafs"]["sha256"] = "00" * 32
        answer["statement"] = ".".join([first, credentials.encode(json.dumps(claims).encode()), third])`),
    /the signature of the statement is wrong/,
  ],
  [
    'a statement without a signature',
    identityOnly(`first, second, third = answer["statement"].split(".")
        header = dict(json.loads(credentials.decode(first)), alg="none")
        answer["statement"] = ".".join([credentials.encode(json.dumps(header).encode()), second, ""])`),
    /the header of the statement: alg is missing or invalid/,
  ],
  [
    'a statement about another UUID',
    'facts["uuid"] = OTHER',
    /the statement is about the guest 0b6c71de-.*2, and this one is 0b6c71de-.*1/,
  ],
  [
    'a statement without enforcement by the host',
    `real = credentials.Issuer.sign
credentials.Issuer.sign = lambda issuer, claims: real(issuer, dict(claims, immutafs=dict(claims["immutafs"], enforcement="guest")))`,
    /the statement: immutafs\.enforcement is missing or invalid/,
  ],
  [
    'a refusal',
    'from ansible_collections.immutafs.agent.plugins.module_utils.examination import Refusal\ndef certify(*request):\n    raise Refusal("the disk is writable\\n<3>x")',
    /^the disk is writable <3>x$/,
  ],
  [
    'an SSH certificate of another guest',
    `${withSsh}\n${identityOnly(`names, moment = ["web1"], datetime.datetime(2026, 1, 1)
        answer["ssh_certificate"] = ssh.sign(point_of(other_key), names, "x", moment, moment + datetime.timedelta(days=9000))`)}`,
    /the SSH certificate of the host is not for the key of this guest/,
  ],
  [
    'an SSH certificate of another type, with a second line',
    `${withSsh}\n${identityOnly('answer["ssh_certificate"] += "\\nssh-ed25519 AAAA"')}`,
    /the SSH certificate of the host is not for the key of this guest/,
  ],
  [
    'an SSH certificate that is empty',
    `${withSsh}\n${identityOnly('answer["ssh_certificate"] = "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA"')}`,
    /the SSH certificate of the host is not for the key of this guest/,
  ],
  ['no JSON', 'forge = lambda answer: "{"', /the answer of the host/],
  ['an answer of another type', identityOnly('answer["type"] = "challenge"'), /the answer of the host/],
  [
    'an endless series of answers to others',
    `forge = lambda answer: "\\n".join([json.dumps(dict(answer, id="other"))] * 30)`,
    /only answers to other requests/,
  ],
];

for (const [title, forgery, reason] of forgeries)
  test(`not accepted: ${title}`, () =>
    withBed(async ({ run, root, state }) => {
      const { code, stderr, stdout } = await run(forgery);
      assert.equal([code, stdout], [1, '']);
      assert.match(state()?.problem ?? '', reason);
      assert.match(stderr, /^immutafs-agent: no certificate: [^\n]+\n$/);
      assert.is(fs.existsSync(path.join(root, 'run/immutafs/identity/cert.pem')), false);
    }));

test('a refusal keeps the certificate that is still valid, and is printed once', () =>
  withBed(async ({ run, read, state }) => {
    assert.is((await run()).code, 0);
    const before = read('cert.pem');
    const wrong = 'anchors = [authority(other_key, "root", begin=now)]';
    assert.match((await run(wrong)).stderr, /no authority/);
    assert.is((await run(wrong)).stderr, '');
    assert.is(read('cert.pem'), before);
    assert.equal([state()?.certificate?.host, state()?.problem !== ''], ['kvm1', true]);
    assert.is((await run()).code, 0);
    assert.is(state()?.problem, '');
  }));

test('without IDENTITY=host or IDENTITY_CA, nothing is requested', () =>
  withBed(async ({ run, root }) => {
    const file = path.join(root, 'etc/immutafs/immutafs.conf');
    for (const [text, reason] of [
      ['IDENTITY=none\nIDENTITY_CA=/etc/pki/ca.pem\n', 'IDENTITY is not host'],
      ['IDENTITY=host\n', 'IDENTITY_CA is empty'],
    ] as const) {
      fs.writeFileSync(file, text);
      assert.match(String(await run().catch((error: unknown) => error)), reason);
    }
  }));

for (const [namedCurve, bytes] of [
  ['P-256', 65],
  ['secp256k1', 0],
  ['P-384', 0],
] as const) {
  test(`the point of a key on ${namedCurve}: ${bytes} bytes`, () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve });
    assert.is(pointOf(publicKey.export({ format: 'jwk' })).length, bytes);
  });
}

test.run();
