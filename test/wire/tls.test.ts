// Protocols: relp+tls, journal+https, syslog+tls
import fs from 'node:fs';
import { type TLSSocket, connect } from 'node:tls';
import * as assert from 'uvu/assert';
import { configure, forwardState, startAgent, untilState } from './support/agent.ts';
import {
  fingerprint,
  guestDirectory,
  guestTls,
  makeCertificate,
  makeCertificates,
  makeCertificatesIn,
  serverDirectory,
  serverName,
} from './support/certificates.ts';
import { limitedTls, tlsGate } from './support/fake-server.ts';
import { LiveJournal, numbered, writeJournal } from './support/journal.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRsyslog, storedEntries, storedLines } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const tls = await wireSuite(import.meta.filename, 'TLS');
const relp = { FORWARD: `relp+tls://${serverName}:2514`, ...guestTls };

tls.before.each(makeCertificates);

const startServer = () => startRsyslog('rsyslog-relp-tls.conf', 2514);

tls('connects over IPv6 to a server that has the expected fingerprint and an unknown CA', async () => {
  const file = `${serverDirectory}/server.pem`;
  configure({
    ...relp,
    FORWARD: 'relp+tls://[::1]:2514',
    FORWARD_CA: '',
    FORWARD_PEER: fingerprint(file),
  });
  writeJournal(numbered('entry', 10));
  await startServer();
  startAgent();
  await until('all entries', () => storedLines() >= 10);
});

for (const [what, lines, reason] of [
  ['another name', { FORWARD: 'relp+tls://127.0.0.1:2514' }, /IP: 127\.0\.0\.1 is not in the cert's list/],
  ['another fingerprint', { FORWARD_PEER: `SHA256:${'00:'.repeat(31)}00` }, /has the fingerprint SHA256:/],
  ['another CA', { FORWARD_CA: `${guestDirectory}/guest.pem` }, /not trusted: \w+/],
] as const) {
  tls(`expecting ${what}: the server receives no entry`, async () => {
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

for (const [what, lines, reason] of [
  ['a missing CA file', { FORWARD_CA: '/etc/none.pem' }, '/etc/none.pem: no such file'],
  ['a CA file without certificates', { FORWARD_CA: '/etc/hosts' }, '/etc/hosts: no certificate in PEM form'],
  [
    'a CA file with a damaged certificate',
    { FORWARD_CA: '/etc/damaged.pem' },
    '/etc/damaged.pem: not a valid',
  ],
  ['a certificate without a key', { FORWARD_KEY: '' }, 'FORWARD_CERT and FORWARD_KEY belong together'],
  [
    'the key of another certificate',
    { FORWARD_KEY: `${serverDirectory}/server.key` },
    'not the private key of',
  ],
  ['a file without a key', { FORWARD_KEY: `${guestDirectory}/ca.pem` }, 'ca.pem: not a private key'],
] as const) {
  tls(`${what} stops the forwarder with exit code 2, and the state says why`, async () => {
    fs.writeFileSync('/etc/damaged.pem', '-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n');
    configure({
      ...{ ...relp, FORWARD_CERT: `${guestDirectory}/guest.pem`, FORWARD_KEY: `${guestDirectory}/guest.key` },
      ...lines,
    });
    writeJournal(numbered('entry', 10));
    await startServer();
    const agent = startAgent();
    assert.is(await Promise.race([agent.ended, sleep(20_000)]), 2, agent.output());
    assert.match(agent.output(), reason);
    const { error } = await untilState('stopped');
    assert.match(error, reason);
    assert.is(storedLines(), 0);
  });
}

for (const [what, lines] of [
  ['FORWARD_CA', { FORWARD_CA: 'tls/ca.pem' }],
  ['FORWARD_PEER', { FORWARD_PEER: 'log server' }],
] as const) {
  tls(`an invalid ${what} stops the forwarder, although the default would trust the server`, async () => {
    const bundle = '/etc/ssl/certs/ca-certificates.crt';
    fs.appendFileSync(bundle, fs.readFileSync(`${guestDirectory}/ca.pem`));
    configure({ ...relp, ...lines });
    writeJournal(numbered('entry', 10));
    await startServer();
    const agent = startAgent();
    assert.is(await Promise.race([agent.ended, sleep(20_000)]), 2, agent.output());
    assert.match(agent.output(), `${what}: must be`);
    assert.is(storedLines(), 0);
    configure({ ...relp, [what]: '' });
    startAgent();
    await until('all entries, by the default', () => storedLines() >= 10);
  });
}

tls('without a CA bundle, a server is trusted only by its fingerprint', async () => {
  for (const bundle of ['/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/certs/ca-certificates.crt'])
    fs.rmSync(bundle, { force: true });
  configure({ ...relp, FORWARD_CA: '' });
  writeJournal(numbered('entry', 10));
  await startServer();
  const agent = startAgent();
  assert.match((await untilState('waiting')).error, 'this system has no CA bundle');
  await agent.stop();
  configure({ ...relp, FORWARD_CA: '', FORWARD_PEER: fingerprint(`${serverDirectory}/server.pem`) });
  startAgent();
  await until('all entries', () => storedLines() >= 10);
});

/** The servers whose certificates are verified, by protocol. */
const tlsServers = {
  'relp+tls': { port: 2514, start: startServer },
  'journal+https': { port: 19532, start: () => startRemote('https') },
  'syslog+tls': { port: 6514, start: () => startRsyslog('rsyslog-syslog-tls.conf', 6514) },
};

for (const [what, from, to, code, preferred] of [
  ['expired', -7200, -3600, 'CERT_HAS_EXPIRED', ['relp+tls', 'journal+https', 'syslog+tls']],
  ['not yet valid', 3600, 7200, 'CERT_NOT_YET_VALID', ['syslog+tls', 'journal+https', 'relp+tls']],
  ['expired', -7200, -3600, 'CERT_HAS_EXPIRED', ['journal+https', 'syslog+tls', 'relp+tls']],
] as const) {
  const targets = preferred.map((scheme) => `${scheme}://${serverName}:${tlsServers[scheme].port}`);
  tls(
    `servers whose certificates are ${what} are refused until one has a valid certificate: ${preferred[0]}`,
    async () => {
      makeCertificate({ name: serverName, file: `${serverDirectory}/server`, from, to });
      configure({ ...relp, FORWARD: targets.join(' ') });
      writeJournal(numbered('entry', 10));
      const servers = await Promise.all(preferred.map((scheme) => tlsServers[scheme].start()));
      const agent = startAgent();
      const refused = (target: string) =>
        new RegExp(`to ${target.replaceAll('+', '\\+')}: .*not trusted: ${code}`).test(agent.output());
      await until('every server is refused', () => targets.every(refused));
      assert.is(storedLines() + storedField('MESSAGE').length, 0);
      // rsyslog's imrelp reads its certificate at each connection, the other servers only when they start.
      await Promise.all(servers.map((server) => server.stop()));
      makeCertificate({ name: serverName, file: `${serverDirectory}/server` });
      await tlsServers[preferred[0]].start();
      await until('all entries', () => Math.max(storedLines(), storedField('MESSAGE').length) >= 10);
      assert.is(forwardState()?.target, targets[0]);
    },
  );
}

tls('a refused guest certificate is replaced, and read again without a restart', async () => {
  makeCertificate({ name: 'stranger.example', file: `${guestDirectory}/guest` });
  configure(relp);
  const live = new LiveJournal();
  live.append(numbered('entry', 10));
  await startServer();
  startAgent();
  await untilState('waiting');
  await sleep(1500);
  assert.is(storedLines(), 0);
  makeCertificate({ name: 'guest1.guests.example', file: `${guestDirectory}/guest` });
  await until('all entries', () => storedLines() >= 10);
  await until('the count', () => forwardState()?.counts.acknowledged === 10);
});

tls(
  'journal upload: a guest with a certificate of another CA is refused; with a new certificate, it is accepted, and no entry is lost',
  async () => {
    makeCertificatesIn('/run/others', '/run/others/guest');
    for (const end of ['pem', 'key'])
      fs.copyFileSync(`/run/others/guest/guest.${end}`, `${guestDirectory}/guest.${end}`);
    configure({ ...relp, FORWARD: `journal+https://${serverName}` });
    writeJournal(numbered('entry', 10));
    // Debian 13's systemd-journal-remote does not check certificates (docs/log-server.md).
    await startRemote('http', 19531);
    const gate = await tlsGate(19532, 19531, serverDirectory);
    startAgent();
    await untilState('waiting');
    await sleep(1500);
    assert.is(forwardState()?.counts.acknowledged, 0);
    assert.equal(storedField('MESSAGE'), []);
    makeCertificate({ name: 'guest1.guests.example', file: `${guestDirectory}/guest` });
    await until('all entries', () => storedField('MESSAGE').length === 10);
    assert.is(forwardState()?.counts.refused, 0);
    gate.close();
  },
);

tls(
  'syslog over TLS 1.3: no entry is sent before the server refuses the expired certificate of the guest',
  async () => {
    makeCertificate({
      name: 'guest1.guests.example',
      file: `${guestDirectory}/guest`,
      from: -7200,
      to: -3600,
    });
    configure({ ...relp, FORWARD: `syslog+tls://${serverName}:6514` });
    writeJournal(numbered('entry', 100));
    await startRsyslog('rsyslog-syslog-tls.conf', 6514);
    startAgent();
    await untilState('waiting');
    assert.is(forwardState()?.counts.acknowledged, 0);
    makeCertificate({ name: 'guest1.guests.example', file: `${guestDirectory}/guest` });
    await until('all entries', () => new Set(storedEntries().map(({ text }) => text)).size === 100);
  },
);

for (const [what, limits, accepted] of [
  ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, false],
  ['TLS 1.2 with CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-SHA384' }, false],
  ['TLS 1.2 with GCM', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' }, true],
  ['TLS 1.3', { minVersion: 'TLSv1.3' }, true],
] as const) {
  tls(`a server that knows only ${what} is ${accepted ? 'accepted' : 'refused'}`, async () => {
    const server = await limitedTls(2514, serverDirectory, limits);
    let handshakes = 0;
    server.on('secureConnection', () => (handshakes += 1));
    configure(relp);
    writeJournal(numbered('entry', 10));
    startAgent();
    if (accepted) {
      await until('the connection', () => handshakes > 0);
    } else {
      assert.match((await untilState('waiting')).error, /SSL|TLS|handshake|alert/i);
      assert.is(handshakes, 0);
    }
  });
}

for (const [what, connects, expected] of [
  ['the agent does not repeat the handshake when the server requests it', () => void startAgent(), 1],
  [
    'the previous test detects a client that repeats the handshake',
    () => {
      const client = connect({ port: 2514, host: '127.0.0.1', rejectUnauthorized: false });
      client.on('error', () => undefined).write('x');
    },
    2,
  ],
] as const) {
  tls(what, async () => {
    const server = await limitedTls(2514, serverDirectory, { maxVersion: 'TLSv1.2' });
    // By connection, because the agent connects again when the server closes the connection.
    const handshakes = new Map<TLSSocket, number>();
    let requested = false;
    server.on('keylog', (_, socket) => handshakes.set(socket, (handshakes.get(socket) ?? 0) + 1));
    server.on('secureConnection', (socket) => {
      requested = socket.renegotiate({}, () => undefined) !== false;
    });
    configure(relp);
    writeJournal(numbered('entry', 10));
    connects();
    await until('the request', () => requested);
    await sleep(1000);
    assert.is(Math.max(...handshakes.values()), expected);
  });
}

tls('a key that cannot be read at a later connection is named, and read again when it is back', async () => {
  configure(relp);
  writeJournal(numbered('entry', 10));
  const server = await startServer();
  startAgent();
  await until('all entries', () => storedLines() >= 10);
  fs.renameSync(`${guestDirectory}/guest.key`, `${guestDirectory}/away`);
  await server.stop();
  await startServer();
  await until('the key in the error', () => /guest\.key/.test(forwardState()?.error ?? ''));
  fs.renameSync(`${guestDirectory}/away`, `${guestDirectory}/guest.key`);
  await untilState('connected');
});

tls.run();
