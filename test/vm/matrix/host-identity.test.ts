import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { imagesIn } from '../harness/disk.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import {
  certificateAgain,
  commandsBelow,
  defineCertifiedGuest,
  makeHostKeys,
  requestIn,
  runCommands,
  shutDown,
  startSealed,
} from '../libvirt/certified-guest.ts';
import { statusIn } from '../libvirt/fixture.ts';
import { defineXml, withHypervisor } from '../libvirt/hypervisor.ts';
import { certificateOf, installIdentity, recordReceipt } from '../libvirt/identity-host.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import { type VirtualGuest, sshArguments, untilUp } from '../libvirt/virtual-guest.ts';

/**
 * Tests that a guest which boots from its sealed disk is certified by its host, with the commands of docs/identity.md, and that
 * the same guest is refused when something changes. The unit tests of the host have more forgeries.
 */
const identity = suite('a guest with an identity from its host');

const commands = commandsBelow('Set up');
const sshCommands = commandsBelow('SSH host certificates');
const run = (start: RegExp, folder: string, replace: Record<string, string>) =>
  runCommands(['Set up', 'SSH host certificates'], start, folder, replace);

identity('it is certified at boot, and refused after each change on the host', () =>
  withHypervisor(async (host) => {
    const [work, keys, receipts] = ['work', 'keys', 'receipts'].map((name) => join(host.folder, name)) as [
      ...[string, string, string],
    ];
    for (const each of [work, receipts]) await mkdir(each);
    assert.ok(commands.length < 15);
    const made = await makeHostKeys(work, keys);
    assert.is(await run(/^ssh-keygen /, work, { '/etc/immutafs/identity': keys }), 1);
    const guest = await defineCertifiedGuest(host, join(work, 'ca.pem'), xfsOnLvm, async (root) => {
      const within = { '>/etc/': `>${root}/etc/`, 'systemctl enable': `systemctl --root=${root} enable` };
      assert.is(await run(/^(printf '(HostKey|\[)|systemctl enable)/, root, within), 4);
    });
    await withAnsible(host, [guest], async (ansible) => {
      const service = await installIdentity(ansible, host, keys, receipts);
      // Each of the other commands is run below, or by the functions above.
      assert.is(commands.length - made, 5);
      await recordReceipt(ansible, host, guest, receipts);
      await service.start();
      await host.virsh('start', guest.name);
      // Without a login, which would delay the emulated guest.
      await until(
        'the guest is certified',
        () => service.log().some((line) => / certified web1,/.test(line)),
        1200,
      );
      await untilUp(guest, 600);

      const { certificate } = await certificateOf(guest, (state) => state.certificate !== null);
      assert.match(certificate.id, /^spiffe:\/\/example\.org\/guest\/[0-9a-f-]{36}$/);
      assert.is(certificate.host, 'kvm1');
      await assertTimes(guest);
      const { report } = await statusIn(guest);
      const check = report.checks.find(({ id }) => id === 'identity');
      assert.equal([report.verdict, check?.status], ['sealed', 'pass'], check?.observed);
      assert.is((await guest.ssh(commands.find((each) => each.startsWith('immutafs-agent')) ?? '')).exit, 0);
      // The guest of the tests has no openssl(1).
      for (const name of ['ca', 'cert']) {
        let pem = '';
        // sshd may be reading its configuration again.
        await until(
          `${name}.pem`,
          async () => (pem = (await guest.ssh(`cat /run/immutafs/identity/${name}.pem`)).stdout) !== '',
          60,
        );
        await writeFile(join(work, `guest-${name}.pem`), `${pem}\n`);
      }
      const fetched = { '/run/immutafs/identity/': 'guest-' };
      assert.is(await run(/^openssl verify/, work, fetched), 1);
      await assertHostKey(guest, keys);
      const files = await guest.ssh(
        'cd /run/immutafs/identity; stat -c "%n %a %U %G" .. . *; systemctl is-active immutafs-identity.target immutafs-identity.timer; systemctl --failed --no-legend',
      );
      assert.match(files.stdout, /^key\.pem 640 root immutafs-forward$/m);
      assert.match(files.stdout, /\nactive\nactive$/);

      // What others see: a new nonce, and the claims.
      const challenged = await ansible.play('challenge', {
        ...{ immutafs_identity_trust_domain: 'example.org', immutafs_identity_ca: join(work, 'ca.pem') },
      });
      assert.is(challenged.exit, 0, challenged.output);
      assert.match(challenged.output, certificate.id);
      const wrong = await ansible.play('challenge', {
        ...{ immutafs_identity_trust_domain: 'example.net', immutafs_identity_ca: join(work, 'ca.pem') },
      });
      assert.is(wrong.exit, 2);
      assert.match(wrong.output, /the host is not of the trust domain example\.net/);

      const before = await service.use();
      for (let count = 0; count < 5; count++) assert.is((await requestIn(guest)).problem, '');
      const after = await service.use();
      console.log('memory and time of the host', before, after, (after.cpu - before.cpu) / 5);

      const refused = async (reason: RegExp) => {
        const { problem, stderr } = await requestIn(guest);
        assert.match(problem, reason, stderr);
        assert.ok(
          service
            .log()
            .some((line) => /: refused: /.test(line) && reason.test(line.replace(/^.*refused: /, ''))),
          service.log().join('\n'),
        );
      };
      // A process of the host that can write the image.
      const image = imagesIn(guest.folder).system;
      const writer = await open(image, 'r+');
      await refused(/^a process of the host has the image of vda open for writing/);
      await writer.close();
      assert.is((await requestIn(guest)).problem, '');

      // A domain, although it is shut off.
      const xml = await host.virsh('dumpxml', '--inactive', guest.name);
      const other = xml
        .replace('<name>web1<', '<name>web2<')
        .replace(/<uuid>.*<\/uuid>/, '')
        .replace(/<readonly\/>/, '');
      await defineXml(host, other);
      await refused(/^another disk can write the image of vda$/);
      await host.virsh('undefine', 'web2');

      // The service is killed while the guest has a certificate, and libvirt's sockets remain.
      await service.kill();
      await service.start({ withdrawn: [] });
      assert.is((await requestIn(guest)).problem, '');
      const { sha256 } = (
        JSON.parse(await readFile(join(receipts, 'web1/receipt.json'), 'utf8')) as {
          disk: { sha256: string };
        }
      ).disk;
      await service.kill();
      await service.start({ withdrawn: [sha256] });
      await refused(/^the image with the SHA-256 .* was withdrawn/);
      await service.kill();
      await service.start({ withdrawn: [] });

      // Root in the guest sends what is no request, and more than the host takes.
      const port = '/dev/virtio-ports/org.immutafs.identity';
      await guest.ssh(
        `head -c 200000 /dev/zero | timeout 3 cat >${port}; echo '{"type":"hello","id":"x"}' >${port}`,
      );
      await certificateAgain(guest);

      // Memory that a file has kept.
      await host.virsh('managedsave', guest.name);
      await host.virsh('start', guest.name);
      await untilUp(guest, 600);
      await refused(
        /^(the memory of the guest was not made by a boot|the guest was migrated to this host or restored)/,
      );
      await host.virsh('suspend', guest.name);
      await host.virsh('resume', guest.name);
      await refused(/^the guest was migrated to this host or restored/);

      // Open: the certificate is not in the new boot, and there is no other.
      await shutDown(host, guest);
      await startSealed(host, guest, false);
      await refused(/^the system disk vda is writable/);
      assert.is((await guest.ssh('test -e /run/immutafs/identity/cert.pem')).exit, 1);
      assert.is((await guest.ssh('systemctl is-active immutafs-identity.target')).stdout, 'inactive');

      // Sealed again, with what was written meanwhile: only after a new receipt.
      await shutDown(host, guest);
      await startSealed(host, guest, true);
      await certificateOf(guest, ({ problem }) => problem.startsWith('the receipt is not of the image'));
      await recordReceipt(ansible, host, guest, receipts);
      await certificateAgain(guest);
    });
  }),
);

/** Connects to the sshd of the guest with the authority of its host, and without its key. */
async function assertHostKey(guest: VirtualGuest, keys: string): Promise<void> {
  const file = join(keys, 'known_hosts');
  assert.is(await run(/^echo /, keys, { '*.example.org': 'web1', '~/.ssh/known_hosts': file }), 1);
  assert.is(sshCommands.length, 6);
  const connect = async (name: string) => {
    const options = [`UserKnownHostsFile=${file}`, `HostKeyAlias=${name}`, 'StrictHostKeyChecking=yes'];
    const first = options.flatMap((option) => ['-o', option]);
    // Without its first option, -q, which hides the reason.
    const last = sshArguments(guest, 'true').slice(1);
    return execa('ssh', [...first, ...last], { stdin: 'ignore', reject: false });
  };
  await until(
    'sshd was reloaded',
    async () => {
      const { stdout } = await guest.ssh(
        'systemctl show -p Result -p ExecMainExitTimestampMonotonic sshd-identity.service',
      );
      return /Result=success/.test(stdout) && /Monotonic=[1-9]/.test(stdout);
    },
    180,
  ).catch(() => undefined);
  // sshd delays a client that often does not log in (PerSourcePenalties), so this does not try every second.
  const said: string[] = [];
  for (let tries = 0; tries < 4; tries += 1) {
    const { exitCode, stderr } = await connect('web1');
    if (exitCode === 0) break;
    said.push(stderr);
    await setTimeout(20_000);
  }
  const details = await guest.ssh(
    'ls -l /run/immutafs/identity; systemctl status --no-pager sshd-identity.path sshd-identity.service ssh.service; sshd -T | grep -i host',
  );
  assert.ok(said.length < 4, [...said, details.stdout, details.stderr].join('\n'));
  assert.match((await connect('web2')).stderr, /name is not a listed principal|Host key verification failed/);
}

/**
 * Prints when the check at boot and the first request began and ended, in microseconds, and their processor time. Nothing of the
 * boot waits for the request, which begins after the check.
 */
async function assertTimes(guest: VirtualGuest): Promise<void> {
  const figures = ['ActiveEnter', 'InactiveExit', 'ExecMainStart', 'ExecMainExit'].map(
    (name) => `${name}TimestampMonotonic`,
  );
  const of = async (unit: string) => {
    const names = [...figures, 'CPUUsageNSec'].map((name) => `-p ${name}`);
    const { stdout } = await guest.ssh(`systemctl show ${names.join(' ')} ${unit}`);
    console.log(unit, stdout.replaceAll('\n', ' '));
    return (name: string) => Number(new RegExp(`^${name}TimestampMonotonic=(\\d+)$`, 'm').exec(stdout)?.[1]);
  };
  const target = await of('multi-user.target');
  const check = await of('immutafs-check.service');
  const first = await of('immutafs-identity.service');
  assert.ok(check('InactiveExit') >= target('ActiveEnter'));
  assert.ok(first('InactiveExit') >= check('ExecMainExit'));
  console.log((await guest.ssh('journalctl -b -o short-monotonic --no-pager | tail -n 40')).stdout);
}

identity.run();
