// Protocols: relp+tls, syslog+tls
import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { runPython } from '../harness/collection.ts';
import { blocksOf, commandsIn } from '../harness/pages/blocks.ts';
import { configure, startAgent } from './support/agent.ts';
import { guestDirectory, makeCertificates, serverDirectory, serverName } from './support/certificates.ts';
import { numbered, writeJournal } from './support/journal.ts';
import { startRsyslog, storedLines } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

/**
 * Tests that rsyslog, configured as docs/identity.md describes, accepts only guests that their host has certified. The service
 * of the host signs the certificates (ansible/plugins/module_utils/credentials.py); it examines nothing.
 */
const identity = await wireSuite(import.meta.filename, 'certificates of the host');

/** Where the agent reads the certificate with FORWARD_CERT=identity. */
const own = '/run/immutafs/identity';
const folder = '/run/certificates';

/**
 * Python that writes ca.pem, and for each guest NAME.key.pem and NAME.cert.pem. `guest` returns the key. Its arguments: `by`, the
 * root and the host that sign; `begin`, in seconds from now; `life`, in seconds.
 */
const program = `import json, sys, time
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
now, folder = time.time(), given["folder"]
def host_of(name):
    root_key, host_key = new_key(), new_key()
    root = authority(root_key, "root", begin=now - 9000)
    return root, host_key, authority(host_key, name, root, root_key, begin=now - 9000)
def write(name, key, certificates):
    for kind, text in (("key", pem(key).decode()), ("cert", certificates)):
        with open("%s/%s.%s.pem" % (folder, name, kind), "w") as file:
            file.write(text)
def guest(name, by, domain="example.org", begin=0, life=given["life"]):
    key, (_, host_key, certificate) = new_key(), by
    issuer = credentials.Issuer(file_key(host_key), in_pem(certificate), "example.org", domain, life)
    facts = {"name": "web1", "uuid": UUID, "sha256": "ab" * 32, "firmware": "bios", "seed": None}
    write(name, key, issuer.issue(facts, point_of(key), [bytes(32)], now + begin)["certificate"])
    return key
ours = host_of("kvm1")
with open(folder + "/ca.pem", "wb") as file:
    file.write(in_pem(ours[0]))
key = guest("certified", ours)
# The same names as those of the CA and the host, with other keys.
guest("renewed", ours, life=3600)
guest("self-made", host_of("kvm1"))
guest("expired", ours, begin=-7200, life=3600)
guest("of-another-domain", ours, domain="example.net")
with open(folder + "/certified.cert.pem", "rb") as file:
    signer, host = credentials.certificates_in(file.read())
other = new_key()
forged = authority(other, "web1", signer, key, begin=now - 1000)
write("signed-by-a-guest", other, "".join(in_pem(each).decode() for each in (forged, signer, host)))
print(json.dumps(int(now) + given["life"]))`;

/** Makes the certificates. @returns when that of `certified` expires, in seconds since 1970 */
function certificates(life: number): number {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder);
  return runPython(program, { harness: path.join(inRoot('test'), 'harness'), folder, life }) as number;
}

/** Gives the guest a certificate. */
function take(name: string): void {
  fs.mkdirSync(own, { recursive: true });
  for (const kind of ['key', 'cert']) fs.copyFileSync(`${folder}/${name}.${kind}.pem`, `${own}/${kind}.pem`);
}

/** Runs the commands of docs/identity.md for a log server, and starts it. */
async function startServer(): Promise<void> {
  const commands = blocksOf('docs/identity.md')
    .filter(({ heading, language }) => heading === 'What others verify' && language === 'sh')
    .flatMap(({ text }) => commandsIn(text).map((command) => command.text));
  assert.is(commands.length, 2);
  fs.mkdirSync('/etc/rsyslog.d', { recursive: true });
  for (const command of commands) {
    const here = command.replace(' ca.pem', ` ${folder}/ca.pem`).replace('docs/', `${inRoot('docs')}/`);
    await execa('sh', ['-ec', here], { stdin: 'ignore' });
  }
  await startRsyslog('/etc/rsyslog.d/immutafs.conf', 2514);
}

const forward = { FORWARD: `relp+tls://${serverName}:2514`, FORWARD_CA: `${guestDirectory}/server-ca.pem` };
const certified = { ...forward, FORWARD_CERT: 'identity', IDENTITY: 'host' };

/** Sends one entry as `forward --test` does. @returns whether the server acknowledged it */
async function isAccepted(): Promise<boolean> {
  const test = startAgent('--test');
  const code = await Promise.race([test.ended, sleep(60_000)]);
  assert.ok(code === 0 || code === 1, test.output());
  return code === 0;
}

identity.before.each(() => {
  makeCertificates();
  // The CA of the server is another one than that of the hosts.
  fs.copyFileSync(`${serverDirectory}/ca.pem`, `${guestDirectory}/server-ca.pem`);
  writeJournal(numbered('entry', 10));
});

identity('rsyslog accepts a guest that its host has certified, and no other', async () => {
  certificates(3600);
  await startServer();
  configure(certified);
  take('certified');
  assert.ok(await isAccepted());
  const stored = storedLines();
  assert.is.not(stored, 0);
  for (const name of ['self-made', 'expired', 'of-another-domain', 'signed-by-a-guest']) {
    take(name);
    assert.is(await isAccepted(), false, name);
  }
  configure(forward);
  assert.is(await isAccepted(), false, 'no certificate');
  assert.is(storedLines(), stored);
});

identity(
  'a certificate that was copied before the host opened the guest is refused when it expires',
  async () => {
    const end = certificates(25);
    await startServer();
    configure(certified);
    take('certified');
    assert.ok(await isAccepted());
    await until('the certificate has expired', () => Date.now() / 1000 > end, 60);
    assert.is(await isAccepted(), false);
    // Sealed again.
    take('renewed');
    assert.ok(await isAccepted());
  },
);

identity.run();
