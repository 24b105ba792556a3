// Protocols: relp+tls, journal+https, syslog+tls
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { type TLSSocket, type TlsOptions, connect as connectTls } from 'node:tls';
import * as assert from 'uvu/assert';
import { connectSocket } from '../../agent/forward/transport/connection.ts';
import { type Target, parseTargets } from '../../agent/config/forward-target.ts';
import { type TlsConfig, verifyTlsFiles } from '../../agent/forward/transport/tls.ts';
import { errorMessage } from '../../agent/lib/errors.ts';
import { systemReader } from '../../agent/system/reader.ts';
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
import { fakeServer, keyOf } from './support/fake-server.ts';
import { LiveJournal, numbered, writeJournal } from './support/journal.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRsyslog, storedLines, storedTexts } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const tls = await wireSuite(import.meta.filename, 'TLS');
const relp = { FORWARD: `relp+tls://${serverName}:2514`, ...guestTls };

tls.before.each(makeCertificates);

const startServer = () => startRsyslog('rsyslog-relp-tls.conf', 2514);

function socketTo(lines: Partial<TlsConfig> = {}, host = serverName, reader = systemReader()) {
  const [target] = parseTargets(`relp+tls://${host}:2514`) as [Target];
  return connectSocket(target, { config: { ...guestTls, FORWARD_PEER: '', ...lines }, reader });
}

/** Connects. @returns the error; '' if the server is accepted */
const errorOf = (...peer: Parameters<typeof socketTo>): Promise<string> =>
  socketTo(...peer).then((socket) => (socket.destroy(), ''), errorMessage);

const byFingerprint = () => ({ FORWARD_CA: '', FORWARD_PEER: fingerprint(`${serverDirectory}/server.pem`) });
const bySha1 = () => {
  const { fingerprint: sha1 } = new X509Certificate(fs.readFileSync(`${serverDirectory}/server.pem`));
  return { FORWARD_CA: '', FORWARD_PEER: `SHA1:${sha1}` };
};
const wrongFingerprint = () => ({ FORWARD_PEER: `SHA256:${'00:'.repeat(31)}00` });
const wrongCa = () => ({ FORWARD_CA: `${guestDirectory}/guest.pem` });
const tls11 = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
const tls12 = (ciphers: string) => ({ maxVersion: 'TLSv1.2', ciphers }) as const;
const anonymous = { ...tls12('ADH-AES256-SHA256:@SECLEVEL=0'), cert: undefined, key: undefined };
const noHandshake = /SSL|TLS|handshake|alert/i;

/** What the server has, what the configuration expects, the host, and the error; accepted without an error. */
const peers: [string, TlsOptions, () => Partial<TlsConfig>, string, RegExp?][] = [
  ['another name', {}, () => ({}), '127.0.0.1', /IP: 127\.0\.0\.1 is not in the cert's list/],
  ['another fingerprint', {}, wrongFingerprint, serverName, /has the fingerprint SHA256:/],
  ['another CA', {}, wrongCa, serverName, /not trusted: \w+/],
  ['the expected fingerprint and an unknown CA, over IPv6', {}, byFingerprint, '[::1]'],
  ['the expected SHA-1 fingerprint', {}, bySha1, '[::1]'],
  ['the name in FORWARD_PEER', {}, () => ({ FORWARD_PEER: serverName }), '127.0.0.1'],
  [
    'another name than FORWARD_PEER',
    {},
    () => ({ FORWARD_PEER: 'a.example' }),
    serverName,
    /Host: a\.example/,
  ],
  ['only TLS 1.1', tls11, () => ({}), serverName, noHandshake],
  ['only TLS 1.2 with CBC', tls12('ECDHE-ECDSA-AES256-SHA384'), () => ({}), serverName, noHandshake],
  ['only TLS 1.2 with GCM', tls12('ECDHE-ECDSA-AES256-GCM-SHA384'), () => ({}), serverName],
  ['only TLS 1.3', { minVersion: 'TLSv1.3' }, () => ({}), serverName],
  ['no certificate', anonymous, () => ({}), serverName, noHandshake],
];

for (const [what, options, lines, host, reason] of peers)
  tls(`a server with ${what} is ${reason === undefined ? 'accepted' : 'refused'}`, async () => {
    await fakeServer(2514, () => undefined, { ...keyOf(serverDirectory), ...options });
    assert.match(await errorOf(lines(), host), reason ?? /^$/);
  });

tls('without a CA bundle, a server is trusted only by its fingerprint', async () => {
  await fakeServer(2514, () => undefined, keyOf(serverDirectory));
  const reader = systemReader({ root: '/run/wire' });
  const none = { FORWARD_CA: '', FORWARD_CERT: '', FORWARD_KEY: '' };
  assert.match(await errorOf(none, serverName, reader), 'this system has no CA bundle');
  assert.is(await errorOf({ ...none, ...byFingerprint() }, serverName, reader), '');
});

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
  tls(`${what} is an error`, () => {
    fs.writeFileSync('/etc/damaged.pem', '-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n');
    verifyTlsFiles(systemReader(), { ...guestTls, FORWARD_PEER: '' });
    const config = { ...guestTls, FORWARD_PEER: '', ...lines };
    assert.throws(() => verifyTlsFiles(systemReader(), config), reason);
  });
}

tls('an unusable TLS file stops the forwarder with exit code 2, and the state says why', async () => {
  configure({ ...relp, FORWARD_KEY: '' });
  writeJournal(numbered('entry', 10));
  await startServer();
  const agent = startAgent();
  assert.is(await Promise.race([agent.ended, sleep(20_000)]), 2, agent.output());
  assert.match(agent.output(), 'belong together');
  assert.match((await untilState('stopped')).error, 'belong together');
  assert.is(storedLines(), 0);
});

tls('without FORWARD_CA, the CA bundle of the system is trusted', async () => {
  fs.appendFileSync('/etc/ssl/certs/ca-certificates.crt', fs.readFileSync(`${guestDirectory}/ca.pem`));
  configure({ ...relp, FORWARD_CA: '' });
  writeJournal(numbered('entry', 10));
  await startServer();
  startAgent();
  await until('all entries', () => storedLines() >= 10);
});

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
  tls(`servers with ${what} certificates are refused until one is valid: ${preferred[0]}`, async () => {
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
  });
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

tls('FORWARD_CERT=identity: waits for the certificate, uses a renewed one, and loses no entry', async () => {
  const identity = '/run/immutafs/identity';
  fs.mkdirSync(identity, { recursive: true });
  configure({ ...relp, FORWARD_CERT: 'identity', FORWARD_KEY: '', IDENTITY: 'host' });
  const live = new LiveJournal();
  live.append(numbered('entry', 10));
  const server = await startServer();
  const agent = startAgent();
  await untilState('waiting');
  assert.match(forwardState()?.error ?? '', `${identity}/cert.pem`);
  assert.is(storedLines(), 0);
  const certify = (file: string) => {
    makeCertificate({ name: 'guest1.guests.example', file });
    fs.copyFileSync(`${file}.key`, `${identity}/key.pem`);
    fs.copyFileSync(`${file}.pem`, `${identity}/cert.pem`);
  };
  certify(`${guestDirectory}/guest`);
  await until('all entries', () => storedLines() >= 10);
  // The certificate of another guest: the next connection uses it, and is refused.
  makeCertificate({ name: 'stranger.example', file: `${guestDirectory}/stranger` });
  for (const [from, to] of [
    ['key', 'key.pem'],
    ['pem', 'cert.pem'],
  ] as const)
    fs.copyFileSync(`${guestDirectory}/stranger.${from}`, `${identity}/${to}`);
  live.append(numbered('more', 10));
  await until('the connection continues', () => storedLines() >= 20);
  await server.stop();
  live.append(numbered('last', 10));
  await startServer();
  await sleep(3000);
  assert.is(storedLines(), 20);
  certify(`${guestDirectory}/guest`);
  await until('each entry', () => storedLines() >= 30);
  await until('the count', () => forwardState()?.counts.acknowledged === 30);
  assert.not.match(agent.output(), /cannot be used/);
});

for (const [what, lines, reason] of [
  ['a key of its own', { IDENTITY: 'host' }, 'remove FORWARD_KEY'],
  ['no IDENTITY', { IDENTITY: 'none', FORWARD_KEY: '' }, 'requires IDENTITY=host'],
] as const)
  tls(`FORWARD_CERT=identity with ${what} is an error`, () => {
    const config = { ...guestTls, FORWARD_PEER: '', FORWARD_CERT: 'identity', ...lines };
    assert.throws(() => verifyTlsFiles(systemReader(), config), reason);
  });

tls('journal upload: no entry is lost after a refusal of a certificate of another CA', async () => {
  makeCertificatesIn('/run/others', '/run/others/guest');
  for (const end of ['pem', 'key'])
    fs.copyFileSync(`/run/others/guest/guest.${end}`, `${guestDirectory}/guest.${end}`);
  configure({ ...relp, FORWARD: `journal+https://${serverName}` });
  writeJournal(numbered('entry', 10));
  // Debian 13's systemd-journal-remote does not check certificates (docs/log-server.md).
  await startRemote('http', 19531);
  const options = { ...keyOf(serverDirectory), requestCert: true };
  await fakeServer(
    19532,
    (socket) => {
      const behind = net.connect(19531, '127.0.0.1');
      socket.pipe(behind).pipe(socket);
      for (const each of [socket, behind]) each.on('error', () => each.destroy());
    },
    options,
  );
  startAgent();
  await untilState('waiting');
  await sleep(1500);
  assert.is(forwardState()?.counts.acknowledged, 0);
  assert.equal(storedField('MESSAGE'), []);
  makeCertificate({ name: 'guest1.guests.example', file: `${guestDirectory}/guest` });
  await until('all entries', () => storedField('MESSAGE').length === 10);
  assert.is(forwardState()?.counts.refused, 0);
});

tls('syslog over TLS 1.3: no entry is sent before the server refuses an expired certificate', async () => {
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
  await until('all entries', () => new Set(storedTexts()).size === 100);
});

/** Counts the handshakes with a client that the server asks to repeat the handshake. */
async function handshakesOf(connecting: () => Promise<net.Socket> | net.Socket): Promise<number> {
  let [isRequested, handshakes] = [false, 0];
  const behave = (socket: net.Socket) => {
    isRequested = (socket as TLSSocket).renegotiate({}, () => undefined) !== false;
  };
  const options = { ...keyOf(serverDirectory), maxVersion: 'TLSv1.2' } as const;
  const { server, close } = await fakeServer(2514, behave, options);
  server.on('keylog', () => (handshakes += 1));
  (await connecting()).on('error', () => undefined).write('x');
  await until('the request', () => isRequested);
  await sleep(1000);
  close();
  return handshakes;
}

tls('the agent does not repeat the handshake when the server requests it, unlike other clients', async () => {
  const other = () => connectTls({ port: 2514, host: '127.0.0.1', rejectUnauthorized: false });
  assert.is(await handshakesOf(other), 2);
  assert.is(await handshakesOf(socketTo), 1);
});

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
