import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, forwardState, startAgent, untilState } from './support/agent.ts';
import {
  fingerprint,
  guestFolder,
  guestTls,
  makeCertificate,
  makeCertificates,
  makeCertificatesIn,
  serverFolder,
  serverName,
} from './support/certificates.ts';
import { tlsGate } from './support/fake-server.ts';
import { LiveJournal, clearJournal, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { clearRemote, startRemote, storedField } from './support/remote.ts';
import { clearStored, startRsyslog, storedEntries, storedLines } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { enterWorld } from './support/world.ts';

enterWorld(import.meta.filename);

const tls = suite('wire: TLS');
const relp = { FORWARD: `relp+tls://${serverName}:2514`, ...guestTls };

tls.before.each(() => {
  makeCertificates();
  clearJournal();
  clearStored();
  clearRemote();
  forgetState();
});
tls.after.each(endAll);

const startServer = () => startRsyslog('rsyslog-relp-tls.conf', 2514);

tls('both sides authenticate, everything arrives', async () => {
  configure(relp);
  writeJournal(numbered('entry', 5000));
  await startServer();
  const agent = startAgent();
  await until('all of them', () => storedLines() >= 5000);
  assert.is(await agent.stop(), 0);
  assert.is(new Set(storedEntries().map(({ text }) => text)).size, 5000);
  assert.is(storedLines(), 5000);
});

tls('over IPv6, with the fingerprint of a certificate that nobody signed', async () => {
  const file = `${serverFolder}/server.pem`;
  configure({
    ...relp,
    FORWARD: 'relp+tls://[::1]:2514',
    FORWARD_CA: '',
    FORWARD_PEER: fingerprint(file),
  });
  writeJournal(numbered('entry', 10));
  await startServer();
  startAgent();
  await until('all of them', () => storedLines() >= 10);
});

for (const [what, lines, reason] of [
  ['another name', { FORWARD: 'relp+tls://127.0.0.1:2514' }, /IP: 127\.0\.0\.1 is not in the cert's list/],
  ['another fingerprint', { FORWARD_PEER: `SHA256:${'00:'.repeat(31)}00` }, /has the fingerprint SHA256:/],
  ['another authority', { FORWARD_CA: `${guestFolder}/guest.pem` }, /not trusted: \w+/],
  ['a file that is not there', { FORWARD_CA: '/etc/none.pem' }, /no such file.*none\.pem/],
] as const) {
  tls(`a server with ${what} gets nothing`, async () => {
    configure({ ...relp, ...lines });
    writeJournal(numbered('entry', 10));
    await startServer();
    startAgent();
    const { error } = await untilState('waiting');
    assert.match(error, reason);
    await sleep(500);
    assert.is(storedLines(), 0);
  });
}

for (const [what, from, to, code] of [
  ['expired', -7200, -3600, 'CERT_HAS_EXPIRED'],
  ['not yet valid', 3600, 7200, 'CERT_NOT_YET_VALID'],
] as const) {
  tls(
    `a server's certificate that is ${what} is refused, and tried again until a good one is there`,
    async () => {
      makeCertificate({ name: serverName, file: `${serverFolder}/server`, from, to });
      configure(relp);
      writeJournal(numbered('entry', 10));
      const server = await startServer();
      startAgent();
      assert.match((await untilState('waiting')).error, code);
      await server.stop();
      makeCertificate({ name: serverName, file: `${serverFolder}/server` });
      await startServer();
      await until('all of them', () => storedLines() >= 10);
    },
  );
}

tls("the guest's certificate is refused, renewed, and read again without a restart", async () => {
  makeCertificate({ name: 'stranger.example', file: `${guestFolder}/guest` });
  configure(relp);
  const live = new LiveJournal();
  live.append(numbered('entry', 10));
  await startServer();
  startAgent();
  await untilState('waiting');
  await sleep(1500);
  assert.is(storedLines(), 0);
  makeCertificate({ name: 'guest1.guests.example', file: `${guestFolder}/guest` });
  await until('all of them', () => storedLines() >= 10);
  await until('the count', () => forwardState()?.counts.acknowledged === 10);
});

tls(
  "journal upload: another authority's guest is refused; renewed, it gets in, and nothing is lost",
  async () => {
    makeCertificatesIn('/run/others', '/run/others/guest');
    for (const end of ['pem', 'key'])
      fs.copyFileSync(`/run/others/guest/guest.${end}`, `${guestFolder}/guest.${end}`);
    configure({ ...relp, FORWARD: `journal+https://${serverName}` });
    writeJournal(numbered('entry', 10));
    // The one of Debian 13 checks no certificates (docs/log-server.md).
    await startRemote('http', 19531);
    const gate = await tlsGate(19532, 19531, serverFolder);
    startAgent();
    await untilState('waiting');
    await sleep(1500);
    assert.is(forwardState()?.counts.acknowledged, 0);
    assert.equal(storedField('MESSAGE'), []);
    makeCertificate({ name: 'guest1.guests.example', file: `${guestFolder}/guest` });
    await until('all of them', () => storedField('MESSAGE').length === 10);
    assert.is(forwardState()?.counts.refused, 0);
    gate.close();
  },
);

tls(
  'syslog in TLS 1.3: a server that refuses the certificate does not swallow what was written early',
  async () => {
    makeCertificate({ name: 'stranger.example', file: `${guestFolder}/guest` });
    configure({ ...relp, FORWARD: `syslog+tls://${serverName}:6514` });
    writeJournal(numbered('entry', 100));
    await startRsyslog('rsyslog-syslog-tls.conf', 6514);
    startAgent();
    await untilState('waiting');
    assert.is(forwardState()?.counts.acknowledged, 0);
    makeCertificate({ name: 'guest1.guests.example', file: `${guestFolder}/guest` });
    await until('all of them', () => new Set(storedEntries().map(({ text }) => text)).size === 100);
  },
);

tls('a key that cannot be read is named', async () => {
  fs.rmSync(`${guestFolder}/guest.key`);
  configure(relp);
  await startServer();
  startAgent();
  assert.match((await untilState('waiting')).error, 'guest.key');
});

tls.run();
