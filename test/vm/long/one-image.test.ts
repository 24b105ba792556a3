/** Four guests that run at once from one image, each with the identity of its seed, and three with a disk for SCRATCH. */
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';
import { cloudInitTree, makeForgedSeed, makeHostKey, makeSeed, seedFiles } from '../harness/cloud-init.ts';
import type { Guest } from '../harness/guest.ts';
import { holdUntilEof } from '../harness/lock.ts';
import { mountKernelFileSystems } from '../harness/mounts.ts';
import type { Drive } from '../harness/qemu.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { configureScratch, deviceStep, markDisk, statesOf } from '../harness/scratch.ts';
import { sleep } from '../../wire/support/until.ts';
import { type Boot, assertSealed, checkOf, layout, look, statusOf, withAgent } from '../harness/scenario.ts';

const pool = suite('guests of one image');

/** One guest of the pool, as the host defines it. */
interface Member {
  name: string;
  /** The UUID of the domain. */
  uuid: string;
  address: string;
  fingerprint: string;
  /** A text that only the seed of this guest contains. */
  secret: string;
  /** The checksum of the seed that the collection computes. */
  checksum: string;
  drives: Drive[];
  /** The disk for SCRATCH. */
  scratch: Drive;
}

const raw = { format: 'raw', bus: 'virtio-blk' } as const;

const uuidOf = (number: number) => `6b2d0c1e-000${number}-4c1b-9d7e-0123456789ab`;

/**
 * Makes the seed of a guest, its data disk, which the image mounts on /home, and its disk for SCRATCH, which is marked for
 * guest `markedFor`.
 */
async function defineMember(folder: string, number: number, markedFor = number): Promise<Member> {
  const [name, address, secret] = [`web${number}`, `10.0.2.${20 + number}`, `keytab of web${number}`];
  const key = await makeHostKey(folder, name);
  const files = seedFiles(name, key, {
    userData: { write_files: [{ path: '/etc/app.keytab', content: secret, permissions: '0600' }] },
    networkConfig: {
      version: 2,
      ethernets: { eth0: { addresses: [`${address}/24`] } },
    },
  });
  const seed = await makeSeed(folder, `seed-${name}`, files);
  const data = join(folder, `data-${name}`);
  await execa('truncate', ['--size', '64M', data]);
  await execa('mkfs.ext4', ['-q', '-L', 'home', data]);
  const scratch: Drive = {
    serial: 'scratch',
    file: join(folder, `scratch-${name}`),
    readOnly: false,
    ...raw,
  };
  await execa('truncate', ['--size', '80M', scratch.file]);
  await markDisk(scratch, uuidOf(markedFor));
  return {
    ...{ name, address, secret, scratch, uuid: uuidOf(number), fingerprint: key.fingerprint },
    checksum: callPlugin('module_utils.seed', 'checksum', files) as string,
    drives: [
      { serial: `seed-${name}`, file: seed, readOnly: true, ...raw },
      { serial: `data-${name}`, file: data, readOnly: false, ...raw },
      scratch,
    ],
  };
}

/** The image mounts /home by a label, and `prepare` in a chroot does the rest. */
const image = layout({ stack: 'partition', home: null, fstab: 'installed' });

const prepare =
  'immutafs-agent prepare --image --apply --yes --image-name web --image-version 1 --accept /var/lib /var/log /var/spool /var/cache';

const withImage = (work: (guest: Guest) => Promise<void>) =>
  cloudInitTree().then((tree) =>
    withAgent(
      {
        tree,
        layout: image,
        edit: async (root, mounts) => {
          await mkdir(join(root, 'etc/immutafs'), { recursive: true });
          await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'SEED=host\n');
          await configureScratch(root, '/var/cache/app', '/dev/disk/by-id/virtio-scratch');
          await appendFile(
            join(root, 'etc/fstab'),
            'LABEL=home /home ext4 rw,noexec,nosuid,nodev,nofail 0 0\n',
          );
          await mountKernelFileSystems(mounts);
          await mounts.chroot('systemctl', 'enable', 'systemd-networkd');
          // Nothing waits for the network in this guest, and emulated guests that run at once reach its time limit.
          await mounts.chroot('systemctl', 'mask', 'systemd-networkd-wait-online');
          await mounts.chroot('sh', '-c', prepare);
        },
      },
      work,
    ),
  );

const steps = {
  wait: 'for second in $(seq 300); do systemctl is-active --quiet immutafs-seed-finish && break; sleep 1; done',
  ...look,
  identity: 'hostname; cat /etc/machine-id; ls /etc/ssh | grep -c "host_.*_key$"',
  key: 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key',
  address: 'ip -o -4 address show scope global',
  secrets: 'cat /etc/app.keytab; echo; grep -haos "keytab of web[0-9]" /dev/vd[!a] | sort -u',
  forged: 'ls /run/forged',
  scratch: `${deviceStep}; ls /var/cache/app`,
  home: 'echo kept >/home/mark && findmnt -no OPTIONS /home',
};

const start = (guest: Guest, { drives, uuid }: Member, networkOf: number, more: Drive[]): Promise<Boot> =>
  guest.boot({
    ...{ disk: 'readonly', steps, uuid, networkOf, memoryMiB: 512, limitSeconds: 900 },
    arguments: ['net.ifnames=0'],
    drives: [...drives, ...more],
  });

function assertIdentity(boot: Boot, { name, uuid, fingerprint, address, secret, checksum }: Member): void {
  const { report } = statusOf(boot);
  assert.equal([report.image?.name, report.image?.version], ['web', '1']);
  assert.match(checkOf(report, 'seed-genuine').observed, `SHA-256 ${checksum}`);
  assert.is(boot.step('identity').stdout, `${name}\n${uuid.replaceAll('-', '')}\n1\n`);
  assert.is(boot.step('key').stdout, `${fingerprint}\n`);
  assert.match(boot.step('address').stdout, ` ${address}/24 `);
  assert.is(boot.step('secrets').stdout, `${secret}\n${secret}\n`, 'no device has the seed of another guest');
  assert.is(boot.step('forged').exit, 2, 'a forged seed was used');
  assert.match(boot.step('home').stdout, /^rw,nosuid,nodev,noexec/);
}

/**
 * The time between two starts. If four emulated kernels start on two processors at the same moment, they calibrate their
 * clocks wrongly.
 */
const apartMs = 8_000;

/** A guest whose disk is marked for it uses the disk; another one keeps the path in memory, and is sealed, too. */
function assertScratch(boot: Boot, isMarked: boolean): void {
  const { stdout } = boot.step('scratch');
  assert.equal(statesOf(boot), [isMarked ? 'disk' : 'memory']);
  if (isMarked) {
    assertSealed(boot);
    assert.match(stdout, /^STATE=ready\n[^]*\nof-the-disk\n$/);
  } else {
    const { report } = statusOf(boot);
    assert.equal([report.verdict, checkOf(report, 'scratch-paths').status], ['sealed', 'warn']);
    assert.match(stdout, /^STATE=failed\nREASON=\/dev\/vd. is marked for another machine: /);
  }
}

pool('four guests at once, one with a forged seed and a wrong disk; the image does not change', () =>
  withRunFolder(async (folder) => {
    const members = await Promise.all(
      [1, 2, 3, 4].map((number) => defineMember(folder, number, number === 4 ? 1 : number)),
    );
    const ofAnother = members[3]?.scratch.file ?? '';
    const blank = await readFile(ofAnother);
    const forged: Drive = {
      serial: 'forged',
      file: await makeForgedSeed(folder),
      readOnly: false,
      ...raw,
    };
    const network = await holdUntilEof('unshare', ['--net']);
    try {
      await withImage(async (guest) => {
        const before = await guest.checksum();
        const boots = await Promise.all(
          members.map(async (member, index) => {
            await sleep(index * apartMs);
            const started = Date.now();
            const boot = await start(guest, member, network.pid, index === 3 ? [forged] : []);
            return { boot, started, ended: Date.now() };
          }),
        );
        assert.ok(
          Math.max(...boots.map(({ started }) => started)) < Math.min(...boots.map(({ ended }) => ended)),
          'all four ran at once',
        );
        for (const [index, member] of members.entries()) {
          const { boot } = boots[index] ?? {};
          assert.ok(boot);
          assertIdentity(boot, member);
          assertScratch(boot, index !== 3);
        }
        assert.ok((await readFile(ofAnother)).equals(blank), 'the disk of another guest was written to');
        assert.match(
          checkOf(statusOf(boots[3]?.boot as Boot).report, 'seed-genuine').observed,
          /the boot did not read the seed on vd./,
        );
        assert.is(await guest.checksum(), before);

        // The counterpart: a guest whose host leaves the image writable changes it.
        await guest.boot({ disk: 'writable', steps: { write: 'touch /etc/new' } });
        assert.is.not(await guest.checksum(), before);
      });
    } finally {
      await network.release();
    }
  }),
);

pool.run();
