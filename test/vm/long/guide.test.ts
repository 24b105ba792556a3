import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { agentRpm } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { dnfTree } from '../harness/dnf.ts';
import { layout } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { until } from '../../wire/support/until.ts';
import { ask, filling } from '../libvirt/fixture.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import {
  asInGuide,
  guestMachine,
  hostMachine,
  sourceMachine,
  withLogMachine,
} from '../libvirt/page-machines.ts';
import { withLetter } from '../lifecycle/sealed.ts';
import { type VirtualGuest, defineGuest, untilUp } from '../libvirt/virtual-guest.ts';

/**
 * Runs the commands of docs/guide.md for one guest, and those of docs/host.md for virsh, in ten boots with a real libvirt
 * and a real log server: the guest is prepared, sealed, updated, sealed again, and becomes an ordinary guest.
 */
const guide = suite('docs/guide.md: one guest');

/** The layout that an installer creates: everything is on one disk and writable. The second disk is empty. */
const ordinary = layout({ home: null, fstab: 'installed' });

/** A file that the layer does not have, for the measurement of a copy. */
const large = '/var/cache/large';
const largeMiB = 32;

const withLargeFile: Edit = (root) => writeFile(join(root, large), Buffer.alloc(largeMiB * 2 ** 20, 1));

guide('from the package to a sealed guest with a log server, an update, and back', () =>
  withHypervisor((host) =>
    withLogMachine(async (server) => {
      await agentRpm();
      const fill = await filling(host.folder);
      const web1 = await defineGuest(host, {
        name: 'web1',
        template: await templateOf(ordinary, await dnfTree()),
        memoryMiB: 2048,
        reachesHost: true,
        edit: async (root, mounts) => {
          await fill(root, mounts);
          await asInGuide('web1')(root, mounts);
          await withLargeFile(root, mounts);
          await withLetter(root, mounts);
        },
      });
      const machines = {
        'on the build machine': await sourceMachine(host.folder, web1),
        'on the log server': server.machine,
        'in the guest, as root, when it is up again': guestMachine(web1, noMove),
        'in the guest': guestMachine(web1),
        'on the host': hostMachine(host),
      };
      const pages = new PageRun('test/vm/long/guide.test.ts', machines, { GUEST: 'web1' });

      await host.virsh('start', 'web1');
      await untilUp(web1, 600);
      const before = await tracesOf(web1);
      await ask(web1, 'rpm --install /root/1.rpm');
      await pages.section('docs/guide.md', 'Get the package');
      await pages.section('docs/guide.md', 'A log server');
      await server.start();
      await pages.section('docs/guide.md', 'One guest');
      await ask(web1, inInitramfs);
      await assertSizes(web1);
      await pages.section('docs/guide.md', 'Logs');
      await pages.section('docs/guide.md', 'Monitoring');

      await pages.section('docs/guide.md', 'Updates');
      assert.is(await ask(web1, 'rpm --query --queryformat "%{VERSION}" updated'), '2');
      await pages.section('docs/host.md', 'With virsh and virt-xml', { machine: 'on the host' });
      await untilUp(web1, 600);
      await ask(web1, 'immutafs-agent status');
      const count = "grep -c ' Linux version ' /var/log/guests/web1/journal.log";
      const fourBoots = async () => (await server.machine(count)).output === '4';
      await until(
        'the log has a line for each boot since the installation, except for that of the move',
        fourBoots,
        60,
      );

      await pages.section('docs/guide.md', 'Updates', { blocks: 2 });
      await untilUp(web1, 600);
      await pages.section('docs/guide.md', 'Remove it again');
      await assertRemoved(web1, before);
      await machines['in the guest']('systemctl poweroff');
      const isOff = async () => (await host.virsh('domstate', 'web1')).trim() === 'shut off';
      await until('web1 is shut off', isOff, 180);
      await host.virsh('start', 'web1');
      await untilUp(web1, 600);
      const mounts = 'findmnt --mountpoint /var; findmnt --mountpoint /home; cat /home/alice/letter';
      assert.is(await ask(web1, mounts), 'dear Bob');
      pages.assertComplete();
    }),
  ),
);

/** Succeeds in the boot after the one that moves data. */
const noMove = 'test ! -e /etc/immutafs/move-at-boot && test -e /run/immutafs/report.json';

/** The initramfs of the tests is not compressed. */
const inInitramfs = 'grep --files-with-matches immutafs /boot/init*';

interface Traces {
  fstab: string;
  files: string[];
}

/** Returns what installation and preparation change. The compiled plug-in of dnf is one of Debian's Python only. */
async function tracesOf(guest: VirtualGuest): Promise<Traces> {
  const find = "find /etc /usr /boot -path '*immutafs*' -not -name '*.pyc'";
  const files = await ask(guest, `{ ${find}; ${inInitramfs} || :; } | sort`);
  return { fstab: await ask(guest, 'cat /etc/fstab'), files: files.split('\n') };
}

/** Asserts that nothing of the package is left but the configuration, which the administrator has changed. */
async function assertRemoved(guest: VirtualGuest, before: Traces): Promise<void> {
  assert.is((await guest.ssh('rpm --query immutafs-agent')).exit, 1);
  const { fstab, files } = await tracesOf(guest);
  assert.is(fstab, before.fstab);
  const left = files.filter((file) => !before.files.includes(file));
  assert.equal(left, ['/etc/immutafs', '/etc/immutafs/immutafs.conf.rpmsave']);
}

/** Compares the layer of the sealed guest with the table "measured" of the guide. */
async function assertSizes(guest: VirtualGuest): Promise<void> {
  const page = readFileSync('docs/guide.md', 'utf8');
  const [, mebibytes, inodes] = /\| less than (\d+) MiB and (\d+) inodes \|/.exec(page) ?? [];
  const [, file, more] = /appended to a file of (\d+) MiB on the disk \| (\d+) MiB more/.exec(page) ?? [];
  const usage = async () => {
    const { var: layer } = JSON.parse(await ask(guest, 'immutafs-agent status --json')) as Report;
    return { mebibytes: (layer.usedBytes ?? NaN) / 2 ** 20, inodes: layer.inodesUsed ?? NaN };
  };
  const before = await usage();
  process.stdout.write(`upper layer: ${before.mebibytes.toFixed(1)} MiB, ${before.inodes} inodes\n`);
  assert.ok(before.mebibytes < Number(mebibytes) && before.inodes < Number(inodes), JSON.stringify(before));
  assert.is(Number(file), largeMiB);
  await ask(guest, `echo >>${large}`);
  const grown = (await usage()).mebibytes - before.mebibytes;
  assert.ok(Math.abs(grown - Number(more)) < 2, `${grown} MiB`);
  await ask(guest, `rm ${large}`);
}

guide.run();
