/**
 * A guest with SELinux in enforcing mode, a database of at least 1 GiB, and three users. The move boot moves the database to
 * a data disk and /home to an empty disk, and after `--undo`, another one moves both back: every byte, owner, mode, ACL,
 * attribute and label is the same, the database verifies, and SELinux denies the package nothing. Nothing of a directory that was
 * replaced after it had been recorded is moved.
 */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { linesAtPowerOff, printDenialsAtPowerOff } from '../harness/denials.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { moveBoot } from '../harness/move-boot.ts';
import { type Boot, assertNothingFailed, enforcing, layout, look } from '../harness/scenario.ts';
import { assertEnded, describe } from '../harness/services.ts';
import { keptServices, servicesTree } from '../harness/services-tree.ts';
import { templateOf } from '../harness/template.ts';

const move = suite('the move boot');

const database = '/var/lib/postgresql';
const { postgresql } = keptServices;

/** About 700 MB of rows, and as much in the write-ahead log. */
const fillDatabase = `su postgres -c "psql -qc \\"create table large as select g, repeat(md5(g::text), 32) from generate_series(1, 650000) g\\"" &&
  ${postgresql.add(1)} && test $(du -sm ${database} | cut -f1) -ge 1024`;

const fillHome = `. "$BOX/home-tree.sh"; fill; mkdir /home/carol
  (cd /home/carol; head -c 30000000 /dev/urandom | split -a 3 -b 100000); chown -R 12347:12347 /home/carol
  touch -d '2011-02-03 04:05:06.7' /home /home/carol`;

/** Prints a digest of everything that a copy must keep, labels included. */
const pictures = `. "$BOX/home-tree.sh"; for path in /home ${database}; do
    { picture "$path"; cd "$path"; find . ! -path ./moved-by-immutafs-agent\\* -exec ls -Zd {} +; cd /; } | sha256sum; done`;

const noServer = ['systemd.mask=postgresql.service', 'systemd.mask=postgresql@17-main.service'];
const others = ['redis-server', 'mosquitto', 'postfix', 'acme'].map((name) => `systemd.mask=${name}.service`);
const complete = ['log_buf_len=4M', 'sysctl.kernel.printk_ratelimit=0'];
const ofMove = /comm="(immutafs-agent|move-[a-z]+|rsync|mv|mount)"|immutafs_/;

move('a database of 1 GiB and /home of three users move to data disks and back, with SELinux enforcing', () =>
  withDataDisk(
    (data) =>
      withEmptyDisk(400, async (home) => {
        const space = layout({
          system: [{ target: '/', filesystem: 'xfs', sizeMiB: 4600, options: 'ro' }],
          home: null,
        });
        const template = await templateOf(space, await servicesTree());
        const edit = async (root: string, mounts: Parameters<typeof printDenialsAtPowerOff>[1]) => {
          await persistOnDataDisk(root, '');
          await printDenialsAtPowerOff(root, mounts);
        };
        await withGuest({ template, edit }, async (guest) => {
          const common = {
            drives: [data, home],
            files: { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') },
            memoryMiB: 1536,
            limitSeconds: 1800,
          };
          const options = (...more: string[]) => ({
            ...common,
            arguments: [...enforcing, ...complete, ...others, ...more],
          });
          const open = (steps: Record<string, string>, ...more: string[]) =>
            guest.boot({ disk: 'writable', ...options(...more), steps });
          const moves = (how: RegExp) => movedIn(moveBoot(guest, options()), how);

          const filled = await open({
            started: 'timeout 900 systemctl is-system-running --wait',
            fillDatabase,
            fillHome,
            enforce: 'getenforce',
          });
          assertEnded(filled, 'fillDatabase');
          assertEnded(filled, 'fillHome');
          assert.is(filled.step('enforce').stdout, 'Enforcing\n');

          const plan = await open(
            {
              pictures,
              record: `immutafs-agent prepare --only home state --apply --yes --home-device ${emptyDevice} --move-state ${database}`,
            },
            ...noServer,
          );
          const before = assertEnded(plan, 'pictures').stdout;
          assert.is(plan.step('record').exit, 1, describe(plan, 'record'));
          await moves(/immutafs: (\/home|\/var\/lib\/postgresql) moved to /g);

          const after = await open({ pictures, sources, failed: look.failed }, ...noServer);
          assert.is(assertEnded(after, 'pictures').stdout, before);
          assert.match(
            after.step('sources').stdout,
            /^\/dev\/vd\w+\n\/dev\/vd\w+\[\/store\/var=lib=postgresql\]\n$/,
          );
          assertNothingFailed(after);

          const used = await open({
            started: 'timeout 900 systemctl is-system-running --wait',
            add: postgresql.add(2),
            verify: postgresql.verify,
            undo: 'immutafs-agent prepare --undo',
            pictures: `systemctl stop postgresql@17-main.service && ${pictures}`,
          });
          for (const step of ['add', 'verify']) assertEnded(used, step);
          assert.is(used.step('undo').exit, 1, describe(used, 'undo'));
          await moves(/immutafs: (\/home|\/var\/lib\/postgresql) moved back to /g);

          const undone = await open({ pictures, sources, failed: look.failed }, ...noServer);
          assert.is(assertEnded(undone, 'pictures').stdout, assertEnded(used, 'pictures').stdout);
          assert.is(undone.step('sources').stdout, '', 'both are on the system disk again');
          assertNothingFailed(undone);
          const last = await open({
            started: 'timeout 900 systemctl is-system-running --wait',
            read: postgresql.read,
            verify: postgresql.verify,
            record: `immutafs-agent prepare --only state --apply --yes --move-state ${database}`,
            replace: `systemctl stop postgresql@17-main.service; mv ${database} /var/lib/other && mkdir ${database} && echo x >${database}/mark`,
          });
          assert.is(assertEnded(last, 'read').stdout, '1\n2\n');
          for (const step of ['verify', 'replace']) assertEnded(last, step);

          const refused = await moveBoot(guest, options());
          assert.match(refused.console, /immutafs: \/var\/lib\/postgresql was not moved: /);
          const untouched = await open({ left: `cat ${database}/mark; ls -A /data/store` }, ...noServer);
          assert.is(untouched.step('left').stdout.split('\n')[0], 'x');
          assert.not.match(untouched.step('left').stdout, /^var=lib=postgresql$/m);
        });
      }),
    [],
    3000,
  ),
);

const sources = `for path in /home ${database}; do findmnt -no SOURCE --mountpoint $path; done || :`;

/** Asserts what a move boot prints for both directories, and that SELinux denied nothing. */
async function movedIn(boot: Promise<Boot>, how: RegExp): Promise<void> {
  const ended = await boot;
  assert.is(ended.console.match(how)?.length, 2, ended.console.slice(-3000));
  assert.equal(
    linesAtPowerOff(ended).filter((line) => ofMove.test(line)),
    [],
  );
}

move.run();
