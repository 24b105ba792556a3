// Protocols: relp+tls, syslog+tls
import fs from 'node:fs';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { blocksOf, commandsIn } from '../harness/pages/blocks.ts';
import { configure, startAgent } from './support/agent.ts';
import { guestDirectory, makeCertificates, serverDirectory, serverName } from './support/certificates.ts';
import { certificatesFolder, makeIdentities, takeIdentity } from './support/identity-certificates.ts';
import { numbered, writeJournal } from './support/journal.ts';
import { startRsyslog, storedLines } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

/**
 * Tests that rsyslog, configured as docs/identity.md describes, accepts only guests that their host has certified. The service
 * of the host signs the certificates (ansible/plugins/module_utils/credentials.py); it examines nothing.
 */
const identity = await wireSuite(import.meta.filename, 'certificates of the host');

/** Runs the commands of docs/identity.md for a log server, and starts it. */
async function startServer(): Promise<void> {
  const commands = blocksOf('docs/identity.md')
    .filter(({ heading, language }) => heading === 'A log server with rsyslog' && language === 'sh')
    .flatMap(({ text }) => commandsIn(text).map((command) => command.text));
  assert.is(commands.length, 2);
  fs.mkdirSync('/etc/rsyslog.d', { recursive: true });
  for (const command of commands) {
    const here = command
      .replace(' ca.pem', ` ${certificatesFolder}/ca.pem`)
      .replace('docs/', `${inRoot('docs')}/`);
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
  makeIdentities(3600);
  await startServer();
  configure(certified);
  takeIdentity('certified');
  assert.ok(await isAccepted());
  const stored = storedLines();
  assert.is.not(stored, 0);
  for (const name of ['self-made', 'expired', 'of-another-domain', 'signed-by-a-guest']) {
    takeIdentity(name);
    assert.is(await isAccepted(), false, name);
  }
  configure(forward);
  assert.is(await isAccepted(), false, 'no certificate');
  assert.is(storedLines(), stored);
});

identity(
  'a certificate that was copied before the host opened the guest is refused when it expires',
  async () => {
    const end = makeIdentities(25);
    await startServer();
    configure(certified);
    takeIdentity('certified');
    assert.ok(await isAccepted());
    await until('the certificate has expired', () => Date.now() / 1000 > end, 60);
    assert.is(await isAccepted(), false);
    // Sealed again.
    takeIdentity('renewed');
    assert.ok(await isAccepted());
  },
);

identity.run();
