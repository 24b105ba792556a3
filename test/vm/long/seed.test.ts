/** Guests with SEED=host, which get their identity from a seed of the host, with Debian's cloud-init and without it. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import {
  type HostKey,
  cloudInitTree,
  makeForgedSeed,
  makeHostKey,
  makeSeed,
  seedFiles,
} from '../harness/cloud-init.ts';
import { generateMissingKeys } from '../harness/key-generator.ts';
import type { Bus, Drive } from '../harness/qemu.ts';
import { type Release, usualRelease } from '../harness/release.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import {
  type Boot,
  type Guest,
  assertFailing,
  assertNothingFailed,
  assertSealed,
  checkOf,
  configure,
  editFile,
  enforcing,
  layout,
  look,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

const seeds = suite('identity from a seed of the host');

const steps = {
  // cloud-init may still be running when the steps begin.
  wait: 'for second in $(seq 200); do systemctl is-active --quiet immutafs-seed-finish && break; sleep 1; done',
  ...look,
  // With SELinux, hostname(1) and ssh-keygen(1) may write only to pipes, and may not read a file that cloud-init has made.
  identity: `hostname | cat; cat /etc/hostname; cat /etc/ssh/ssh_host_ed25519_key.pub | ssh-keygen -lf - | cat; getent passwd bob; ls /etc/ssh/ssh_host_*_key`,
  ran: 'ls /run/forged /run/cloud-init/result.json /var/lib/cloud/instance/user-data.txt 2>/dev/null',
  write: 'touch /etc/new',
  copy: `cd /run/immutafs/seed/nocloud && sha256sum * | sha256sum; stat -c '%a %u' . *`,
};

/** The image of a seed whose user data never ends. */
const makeEndless = (folder: string): Promise<string> =>
  makeSeed(folder, 'endless', {
    'meta-data': 'instance-id: web1\nlocal-hostname: web1\n',
    'user-data': '#cloud-config\nruncmd:\n  - sleep infinity\n',
  });

/** The image of a seed with user data. */
const makeWhole = (folder: string, key: HostKey): Promise<string> =>
  makeSeed(
    folder,
    'seed',
    // cloud-init 20.4 would generate a locale on the disk.
    seedFiles('web1', key, { userData: { users: [{ name: 'bob', no_create_home: true }], locale: false } }),
  );

const drive = (file: string, bus: Bus, readOnly = true): Drive => {
  return { serial: readOnly ? `seed-${bus}` : 'forged', file, format: 'raw', readOnly, bus };
};

/** The scenarios need the IDE controller, which the other guests do not use. Host keys that are missing are generated. */
async function edit(root: string): Promise<void> {
  await configure('SEED=host\nSEED_TIMEOUT=60\n')(root);
  await generateMissingKeys(root, 'multi-user.target');
  await editFile(join(root, 'etc/modprobe.d/vmtest.conf'), (text) =>
    text.replace('blacklist ata_piix\n', ''),
  );
}

const boot = (guest: Guest, ...drives: Drive[]): Promise<Boot> =>
  guest.boot({ disk: 'readonly', drives, steps, limitSeconds: 500 });

/** The output of the step `identity`. @param users a regular expression of the line of bob */
function identity({ fingerprint }: HostKey, users: string): RegExp {
  const shown = fingerprint.replaceAll(/[+().]/g, '\\$&');
  return new RegExp(`^web1\nweb1\n${shown}\n${users}/etc/ssh/ssh_host_ed25519_key\n$`);
}

/** The guest booted without an identity of a seed, nothing of cloud-init ran, and only seed-genuine fails. */
function assertWithoutSeed(done: Boot, reason: RegExp): void {
  assertFailing(done, 'status', ['seed-genuine']);
  assert.match(checkOf(statusOf(done).report, 'seed-genuine').observed, reason);
  assertNothingFailed(done);
  assert.match(done.step('identity').stdout, /^guest\nguest\n/);
  assert.not.match(done.step('identity').stdout, /^bob:/m);
  assert.is(done.step('ran').stdout, '');
}

/** Calls `work` with a guest with cloud-init, a seed, and one on the data disk that root in the guest wrote. */
const withSeeds = (
  work: (guest: Guest, seed: string, forged: Drive, key: HostKey) => Promise<void>,
  release: Release = usualRelease,
) =>
  withRunFolder(async (folder) => {
    const key = await makeHostKey(folder, 'web1');
    const [seed, forged] = [await makeWhole(folder, key), await makeForgedSeed(folder)];
    const options = { layout: layout({ release }), tree: await cloudInitTree(release), edit };
    await withAgent(options, (guest) => work(guest, seed, drive(forged, 'virtio-blk', false), key));
  });

seeds('only a forged seed: the guest boots, and cloud-init does not run', () =>
  withSeeds(async (guest, _, forged) => {
    const done = await boot(guest, forged);
    assertWithoutSeed(done, /^no device with the label cidata .*; the boot did not read the seed on vd.,/);
  }),
);

seeds('two seeds of the host: none is used', () =>
  withSeeds(async (guest, seed) => {
    const done = await boot(guest, drive(seed, 'scsi-cd'), drive(seed, 'virtio-blk'));
    assertWithoutSeed(done, /^the seed is not used: several devices have a seed, .*: sr0 vd.$/);
  }),
);

seeds('the seed of the host beside a forged one: the same identity at every boot', () =>
  withSeeds(async (guest, seed, forged, key) => {
    for (const [bus, evidence] of [
      ['ide-cd', 'sr0 \\(CD-ROM drive of the hypervisor'],
      ['virtio-blk', 'vd. \\(virtio feature VIRTIO_BLK_F_RO offered'],
      ['scsi-cd', 'sr0 \\(CD-ROM drive of the hypervisor'],
    ] as const) {
      const sealed = await boot(guest, drive(seed, bus), forged);
      const { observed, status } = checkOf(assertSealed(sealed), 'seed-genuine');
      assert.is(status, 'pass', observed);
      const [sum = ''] = sealed.step('copy').stdout.split(' ');
      assert.match(
        observed,
        new RegExp(`^${evidence}.*\\), SHA-256 ${sum}; the boot did not read the seed on vd.,`),
      );
      assert.is(sealed.step('copy').stdout, `${sum}  -\n700 0\n600 0\n600 0\n`);
      assert.match(sealed.step('identity').stdout, identity(key, 'bob:.*\n'));
      assert.not.match(sealed.step('ran').stdout, /forged/);
      assert.match(sealed.step('write').stderr, /Read-only file system/);
    }
  }),
);

seeds('cloud-init does not end: /etc is closed nevertheless, and the boot is checked', () =>
  withRunFolder(async (folder) => {
    const limited = async (root: string) => {
      await edit(root);
      await editFile(join(root, 'usr/lib/systemd/system/immutafs-seed-finish.service'), (text) =>
        text.replace('JobTimeoutSec=9min', 'JobTimeoutSec=60'),
      );
    };
    await withAgent({ tree: await cloudInitTree(), edit: limited }, async (guest) => {
      const checked =
        'for second in $(seq 200); do test -e /run/immutafs/report.json && break; sleep 1; done; cat /run/immutafs/report.json';
      const done = await guest.boot({
        disk: 'readonly',
        drives: [drive(await makeEndless(folder), 'scsi-cd')],
        steps: { checked, ...look, write: steps.write },
        limitSeconds: 500,
      });
      const { status, observed } = checkOf(JSON.parse(done.step('checked').stdout) as Report, 'seed-genuine');
      const expected = 'only a part of the seed was applied: cloud-init did not finish in time';
      assert.equal([status, observed], ['fail', expected]);
      assertFailing(done, 'status', ['seed-genuine']);
      assert.match(done.step('write').stderr, /Read-only file system/);
    });
  }),
);

seeds('without cloud-init: the plain files of the seed, and host keys only if it has none', () =>
  withRunFolder(async (folder) => {
    const key = await makeHostKey(folder, 'web1');
    const files = seedFiles('web1', key, { cloudInit: false });
    const seed = await makeSeed(folder, 'seed', files);
    const names = Object.keys(files).filter((name) => !name.includes('ssh_host_'));
    const without = Object.fromEntries(names.map((name) => [name, files[name] ?? '']));
    const keyless = await makeSeed(folder, 'keyless', without);
    await withAgent({ edit }, async (guest) => {
      const sealed = await boot(guest, drive(seed, 'scsi-cd'));
      const { observed, status } = checkOf(assertSealed(sealed), 'seed-genuine');
      assert.is(status, 'pass', observed);
      assert.match(sealed.step('identity').stdout, identity(key, ''));
      assert.match(sealed.step('write').stderr, /Read-only file system/);

      const generated = await boot(guest, drive(keyless, 'scsi-cd'));
      const finding = checkOf(assertSealed(generated), 'seed-genuine');
      assert.is(finding.status, 'warn', finding.observed);
      assert.match(
        generated.step('identity').stdout,
        /\/etc\/ssh\/ssh_host_ecdsa_key\n.*ed25519_key\n.*rsa_key\n$/,
      );
    });
  }),
);

const others: Record<string, [release: Release, words: string[]]> = {
  'SELinux in enforcing mode': [usualRelease, enforcing],
  'cloud-init 20.4 of Debian 11': ['bullseye', []],
};
for (const [title, [release, words]] of Object.entries(others)) {
  seeds(`${title}: the identity of the seed`, () =>
    withSeeds(async (guest, seed, forged, key) => {
      const sealed = await guest.boot({
        disk: 'readonly',
        drives: [drive(seed, 'scsi-cd'), forged],
        steps: {
          ...steps,
          enforce: 'getenforce || echo none',
          labels: "stat -c '%n %C' /etc/hostname /etc/ssh/ssh_host_ed25519_key",
        },
        arguments: words,
        limitSeconds: 500,
      });
      const { observed, status } = checkOf(assertSealed(sealed), 'seed-genuine');
      assert.is(status, 'pass', observed);
      assert.match(sealed.step('identity').stdout, identity(key, 'bob:.*\n'));
      assert.match(sealed.step('write').stderr, /Read-only file system/);
      if (words === enforcing) {
        assert.is(sealed.step('enforce').stdout, 'Enforcing\n');
        assert.match(
          sealed.step('labels').stdout,
          /hostname \S+:(etc|hostname_etc|net_conf)_t:s0\n.*:sshd_key_t:s0\n$/,
        );
      }
    }, release),
  );
}

seeds.run();
