import { X509Certificate } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { appendFile, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import tls from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { makeCertificatesIn } from '../../wire/support/certificates.ts';
import type { StoredMessage } from '../../wire/support/rsyslog.ts';
import { until } from '../../wire/support/until.ts';
import { editFile } from '../harness/edit.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { startLogServer, storedIn } from '../harness/log-server.ts';
import {
  certificateAgain,
  defineCertifiedGuest,
  makeHostKeys,
  requestIn,
  runCommands,
  shutDown,
  startSealed,
} from '../libvirt/certified-guest.ts';
import { freePort } from '../libvirt/domain.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { installIdentity, recordReceipt } from '../libvirt/identity-host.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import { type VirtualGuest, untilUp } from '../libvirt/virtual-guest.ts';

/**
 * Tests who uses the certificate of a real guest: a log server that accepts only certified guests, and services that are started
 * and reloaded by systemd, as docs/identity.md describes. Faults of the host during renewals lose no entry, and the guest has no
 * certificate while the host has opened it. test/wire/identity-services.test.ts has nginx and PostgreSQL themselves; here, programs
 * that do nothing take their places.
 */
const identity = suite('a log server and services with the certificate of a guest');

const page = 'docs/identity.md';
const inGuest = ['Use in the guest', 'nginx in the guest', 'PostgreSQL in the guest'];
const own = '/run/immutafs/identity';

interface LogServer {
  port: number;
  /** The CA of the server, for guests. */
  authority: string;
  stored: () => StoredMessage[];
  /** The numbers that the guest has logged, in the order in which they arrived. */
  numbers: () => number[];
  restart: () => Promise<void>;
  /** Whether the server accepts a client that has a certificate, or none. */
  accepts: (given?: Credentials) => Promise<boolean>;
}

/** A private key and a certificate in PEM form. */
interface Credentials {
  key: string;
  cert: string;
}

/**
 * Calls `work` with rsyslog, configured with the commands of the page.
 * @param authorities the folder with ca.pem
 */
async function withServer(
  folder: string,
  authorities: string,
  work: (log: LogServer) => Promise<void>,
): Promise<void> {
  const [server, guests, file] = ['server', 'guests', 'rsyslog.conf'].map((name) => join(folder, name)) as [
    ...[string, string, string],
  ];
  await mkdir(guests, { recursive: true });
  // The CA of the server is another one than that of the hosts.
  makeCertificatesIn(server, join(folder, 'guest'));
  const there = {
    '/etc/log-server': server,
    'docs/': `${inRoot('docs')}/`,
    '/etc/rsyslog.d/immutafs.conf': file,
  };
  assert.is(await runCommands(['A log server with rsyslog'], /^/, authorities, there), 2);
  const port = await freePort();
  await editFile(file, (text) => text.replace('port="2514"', `port="${port}"`));
  let end = startLogServer(folder, file);
  const stored = () => readdirSync(guests).flatMap((name) => storedIn(join(guests, name, 'journal.log')));
  const restart = async () => {
    await end();
    end = startLogServer(folder, file);
  };
  const numbers = () =>
    stored().flatMap(({ text }) => /^number (\d+)$/.exec(text)?.slice(1).map(Number) ?? []);
  try {
    const authority = join(folder, 'guest/ca.pem');
    await work({ port, authority, stored, numbers, restart, accepts: (given) => accepts(port, given) });
  } finally {
    await end();
  }
}

/** Whether a RELP server accepts a client that has a certificate, or none. */
function accepts(port: number, given?: Credentials): Promise<boolean> {
  const offer = 'relp_version=0\nrelp_software=test\ncommands=syslog';
  return new Promise((resolve) => {
    let said = '';
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...given });
    socket.setTimeout(60_000, () => socket.destroy());
    socket.write(`1 open ${offer.length} ${offer}\n2 close 0\n`);
    socket.on('data', (data: Buffer) => void (said += data.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(said.includes(' 200 OK')));
  });
}

/** Writes the units of the page, and services in place of nginx and PostgreSQL, and runs its commands. */
async function addServices(root: string): Promise<void> {
  const units = blocksOf(page).filter(
    ({ heading, language }) => inGuest.includes(heading) && language === 'ini',
  );
  assert.is(units.length, 3);
  for (const { text } of units) {
    const [, file = ''] = /^# (\/etc\/systemd\/system\/\S+)\n/.exec(text) ?? [];
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const lines = ['[Service]', 'ExecStart=/bin/sleep infinity', "ExecReload=/bin/sh -c 'echo has reloaded'"];
  for (const name of ['nginx', 'postgresql'])
    await writeFile(
      join(root, `etc/systemd/system/${name}.service`),
      [...lines, '[Install]', 'WantedBy=multi-user.target', ''].join('\n'),
    );
  await appendFile(join(root, 'etc/passwd'), 'postgres:x:26:26::/:/bin/sh\n');
  const there = { 'systemctl ': `systemctl --quiet --root=${root} ` };
  assert.is(await runCommands(inGuest, /^systemctl /, root, there), 6);
}

const users = ['immutafs-identity.target', 'nginx.service', 'postgresql.service'];

/** Returns the states of the target, and of the services that it starts. */
async function statesIn(guest: VirtualGuest): Promise<string[]> {
  return (await guest.ssh(`systemctl is-active ${users.join(' ')}`)).stdout.split('\n');
}

async function credentialsOf(guest: VirtualGuest): Promise<Credentials> {
  const [key = '', cert = ''] = await Promise.all(
    ['key', 'cert'].map(async (name) => (await guest.ssh(`cat ${own}/${name}.pem`)).stdout),
  );
  assert.ok(key !== '' && cert !== '');
  return { key, cert };
}

const endOf = ({ cert }: Credentials) => Date.parse(new X509Certificate(cert).validTo);

const untilWaiting = (guest: VirtualGuest) =>
  until(
    'the forwarder has tried to connect',
    async () => /"state":"waiting"/.test((await guest.ssh('cat /run/immutafs/forward/state.json')).stdout),
    240,
  );

identity('the guest is accepted while it is sealed, and loses no entry in faults of its host', () =>
  withHypervisor(async (host) => {
    const [work, keys, receipts] = ['work', 'keys', 'receipts'].map((name) => join(host.folder, name)) as [
      ...[string, string, string],
    ];
    for (const each of [work, receipts]) await mkdir(each);
    await makeHostKeys(work, keys);
    await withServer(join(host.folder, 'log'), work, async (log) => {
      const guest = await defineCertifiedGuest(
        host,
        join(work, 'ca.pem'),
        xfsOnLvm,
        async (root) => {
          await copyFile(log.authority, join(root, 'etc/immutafs/server-ca.pem'));
          await appendFile(
            join(root, 'etc/immutafs/immutafs.conf'),
            `FORWARD=relp+tls://10.0.2.2:${log.port}\nFORWARD_PEER=log.example.com\nFORWARD_CA=/etc/immutafs/server-ca.pem\n`,
          );
          await addServices(root);
        },
        { reachesHost: true },
      );
      await withAnsible(host, [guest], async (ansible) => {
        const service = await installIdentity(ansible, host, keys, receipts);
        /** Gives the host a certificate that is valid for some seconds, with which those of guests end, and starts the service. */
        const startFor = async (seconds: number) => {
          const end = new Date(Date.now() + seconds * 1000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
          const there = { '-days 365': `-not_after ${end}`, '/etc/immutafs/identity': keys };
          assert.is(await runCommands(['Set up'], /^openssl x509/, work, there), 1);
          await service.start({ ssh_key: '', dns_domain: 'example.org' });
        };
        const restartFor = async (seconds: number) => {
          await service.kill();
          await startFor(seconds);
        };
        await recordReceipt(ansible, host, guest, receipts);
        await host.virsh('start', guest.name);
        await untilUp(guest, 600);
        await guest.ssh(
          `systemd-run --unit=numbers sh -c 'n=0; while :; do n=$((n+1)); echo "number $n"; sleep 0.5; done'`,
        );

        // Sealed, and not certified yet.
        await untilWaiting(guest);
        assert.equal([log.stored(), await log.accepts()], [[], false]);
        await guest.ssh('systemctl --job-mode=ignore-dependencies start immutafs-identity.target');
        assert.equal(await statesIn(guest), ['inactive', 'inactive', 'inactive']);

        // Certified, for a short time.
        await startFor(240);
        await certificateAgain(guest);
        const first = await credentialsOf(guest);
        assert.ok(await log.accepts(first));
        await until('entries arrive', () => log.numbers().length > 0, 240);
        await until(
          'the services have started',
          async () => (await statesIn(guest)).every((state) => state === 'active'),
          240,
        );
        assert.is((await guest.ssh('stat -c "%a %U" /run/postgresql/identity.key')).stdout, '600 postgres');

        // Renewed while libvirtd is restarted, and while the service is killed.
        await restartFor(7200);
        // Without libvirtd, the service would not find the guest.
        await certificateAgain(guest);
        await host.restart(async () =>
          assert.match((await requestIn(guest)).problem, /^the host could not examine the domain/),
        );
        for (const seconds of [0.5, 1.5, 3]) {
          const asked = requestIn(guest);
          await setTimeout(seconds * 1000);
          await restartFor(7200);
          await asked;
        }
        await certificateAgain(guest);
        const renewed = await credentialsOf(guest);
        assert.is(renewed.key, first.key);
        assert.ok(endOf(renewed) > endOf(first));
        for (const unit of users.slice(1))
          await until(
            `${unit} was reloaded`,
            async () => (await guest.ssh(`journalctl -o cat -u ${unit} | grep -q reloaded`)).exit === 0,
            120,
          );
        const failed = await guest.ssh(
          "systemctl --failed --no-legend | grep -E 'identity|nginx|postgresql'",
        );
        assert.is(failed.stdout, '');

        // The first certificate has expired. The next connection needs the other one.
        await until('the first certificate has expired', () => Date.now() > endOf(first), 360);
        await log.restart();
        const known = log.numbers().length;
        await until('entries arrive again', () => log.numbers().length > known, 300);
        assert.equal([await log.accepts(first), await log.accepts(renewed)], [false, true]);
        const said = await guest.ssh(
          'systemctl stop numbers; journalctl -o cat -t sh | sed -n "s/^number //p" | tail -n 1',
        );
        const last = Number(said.stdout);
        assert.ok(last > 100, said.stdout);
        await until('the last entry arrives', () => log.numbers().includes(last), 240);
        const everyOne = Array.from({ length: last }, (_, index) => index + 1);
        assert.equal([...new Set(log.numbers())], everyOne);

        // The guest is killed, and opened: the certificate that root has copied expires, and there is no other.
        await restartFor(90);
        await certificateAgain(guest);
        const copied = await credentialsOf(guest);
        assert.ok(await log.accepts(copied));
        await restartFor(7200);
        await host.virsh('destroy', guest.name);
        await setTimeout(2000);
        const before = log.stored().length;
        await startSealed(host, guest, false);
        assert.match((await requestIn(guest)).problem, /^the system disk vda is writable/);
        assert.is((await guest.ssh(`test -e ${own}/cert.pem`)).exit, 1);
        await untilWaiting(guest);
        assert.equal(await statesIn(guest), ['inactive', 'inactive', 'inactive']);
        await until('the copy has expired', () => Date.now() > endOf(copied), 120);
        assert.equal([await log.accepts(copied), log.stored().length], [false, before]);

        // Sealed again.
        await shutDown(host, guest);
        await startSealed(host, guest, true);
        await recordReceipt(ansible, host, guest, receipts);
        await certificateAgain(guest);
        await guest.ssh('logger sealed again');
        await until('an entry arrives', () => log.stored().some(({ text }) => text === 'sealed again'), 300);
      });
    });
  }),
);

identity.run();
