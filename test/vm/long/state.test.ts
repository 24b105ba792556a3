/**
 * A guest with real services whose state is in /var: a database, a key-value store, a message broker, a mail queue, and a
 * private service that no table knows. Before the seal, each of them is named and nothing else. The boot after `prepare`
 * moves the state of four of them to a data disk; it is there after the seal and after a further reboot. The state of
 * the broker is accepted: a reboot resets it, and `changes --state` lists only what is undecided. At the end, the move is
 * undone.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StateReport } from '../../../agent/changes/state.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { moveBoot } from '../harness/move-boot.ts';
import { type Boot, assertNothingFailed, checkOf, layout, look, statusOf } from '../harness/scenario.ts';
import { keptServices, mosquitto, servicesTree } from '../harness/services-tree.ts';
import {
  added,
  assertAdded,
  assertEnded,
  assertKept,
  assertNamed,
  assertRead,
  describe,
  prepareState,
  reads,
  sealedReadings,
} from '../harness/services.ts';
import { templateOf } from '../harness/template.ts';

const state = suite('state of services');

const services = { ...keptServices, mosquitto };
const names = ['/var/lib/acme', 'mosquitto', 'postfix', 'postgresql', 'redis'];
const moved = ['/var/lib/postgresql', '/var/lib/redis', '/var/spool/postfix', '/var/lib/acme'];

state('five services are named; what is moved survives, what is accepted is reset', () =>
  withDataDisk(async (drive) => {
    const space = layout({ system: [{ target: '/', filesystem: 'ext4', sizeMiB: 1800, options: 'ro' }] });
    const template = await templateOf(space, await servicesTree());
    const edit = (root: string) => persistOnDataDisk(root, '');
    await withGuest({ template, edit }, async (guest) => {
      const options = { drives: [drive], allUnits: true, memoryMiB: 1536, limitSeconds: 1200 };
      const boot = (disk: 'readonly' | 'writable', steps: Record<string, string>) =>
        guest.boot({ disk, steps, ...options });

      const open = await boot('writable', {
        started: 'timeout 600 systemctl is-system-running --wait',
        ...added(services, 1),
        found: `${prepareState} --json`,
        ready: 'immutafs-agent check --ready-to-seal',
        move: `${prepareState} --apply --yes --accept /var/lib/mosquitto --move-state ${moved.join(' ')}`,
        // The services run on, and what they write is moved, too.
        ...added(services, 2),
        running: `${mounts} || :`,
        failed: look.failed,
      });
      assertRecorded(open);
      assertMoves(await moveBoot(guest, options), 'moved to');

      const after = await boot('writable', {
        started: 'timeout 600 systemctl is-system-running --wait',
        ...reads(services),
        lines: 'cat /etc/immutafs/accepted-writes /etc/immutafs/immutafs.conf',
        mounts,
        old: `mkdir /run/old; mount --bind / /run/old; cd /run/old; ls -d ${moved.map((path) => `.${path}/moved-by-immutafs-agent/content`).join(' ')}`,
        failed: look.failed,
      });
      assertMoved(after);

      const sealed = await boot('readonly', {
        ...sealedReadings(services),
        ...added(services, 3),
        none: 'immutafs-agent changes --state --json',
        undecided: 'mkdir /var/lib/other && echo 3 >/var/lib/other/file',
        losses: 'immutafs-agent changes --state --json',
        changes: 'immutafs-agent changes --json /var/lib/mosquitto',
        warned: 'immutafs-agent status --json',
      });
      assertKept(sealed, services, retained('12', '2'));
      assertAdded(sealed, services, 3);
      assertLosses(sealed);

      const again = await boot('readonly', sealedReadings(services));
      assertKept(again, services, retained('123', '2'));

      // What was written since is moved back, too.
      const undo = await boot('writable', { undo: 'immutafs-agent prepare --undo' });
      assert.is(undo.step('undo').exit, 1, describe(undo, 'undo'));
      assertMoves(await moveBoot(guest, options), 'moved back to');
      const undone = await boot('writable', {
        started: 'timeout 600 systemctl is-system-running --wait',
        ...reads(services),
        mounts: `${mounts} || :`,
        failed: look.failed,
      });
      assertRead(undone, services, retained('123', '2'));
      assert.is(undone.step('mounts').stdout, '');
      assertNothingFailed(undone);
    });
  }),
);

/** Prints the mounts of directories of PERSIST_STORE. */
const mounts = 'findmnt -nr -o TARGET,SOURCE | grep store/var=';

/** The records of each service, and that of mosquitto. */
const retained = (records: string, last: string) => (name: string) => (name === 'mosquitto' ? last : records);

function assertRecorded(open: Boot): void {
  assertAdded(open, services, 1);
  const findings = assertNamed(open, 'found', names);
  assert.is(open.step('ready').exit, 1, describe(open, 'ready'));
  assert.match(open.step('ready').stdout, /^ +\/var\/lib\/postgresql .* keep$/m);
  const own = findings.find(({ service }) => service === null);
  assert.equal(own?.declaredBy, ['StateDirectory= of acme.service']);
  assert.is(open.step('move').exit, 1, describe(open, 'move'));
  assertAdded(open, services, 2);
  assert.is(open.step('running').stdout, '', 'nothing is moved in a running system');
  assertNothingFailed(open);
}

/** Asserts that a move boot moved each directory, or moved it back. */
function assertMoves(boot: Boot, how: string): void {
  for (const path of moved) assert.match(boot.console, new RegExp(`immutafs: ${path} ${how} `));
  assert.not.match(boot.console, /immutafs: .* was not moved/);
}

function assertMoved(boot: Boot): void {
  assertRead(boot, services, retained('12', '2'));
  assert.match(boot.step('lines').stdout, /^# \S+, root:\n\/var\/lib\/mosquitto\n/m);
  assert.match(boot.step('lines').stdout, new RegExp(`^PERSIST=${moved.join(' ')}$`, 'm'));
  const targets = boot
    .step('mounts')
    .stdout.split('\n')
    .map((line) => line.split(' ')[0]);
  assert.equal(targets.toSorted(), ['', ...moved].toSorted(), describe(boot, 'mounts'));
  assertEnded(boot, 'old');
  assertNothingFailed(boot);
}

/** Asserts that what is undecided is a loss, and that what was accepted is only a change. */
function assertLosses(sealed: Boot): void {
  assert.is(assertEnded(sealed, 'none').stdout, '', 'nothing that is undecided');
  const { directories, files } = JSON.parse(assertEnded(sealed, 'losses').stdout) as StateReport;
  assert.equal([directories, files], [['/var/lib/other'], 1]);
  assert.match(assertEnded(sealed, 'changes').stdout, /mosquitto\.db/);
  const check = (step: string) => checkOf(statusOf(sealed, step).report, 'state-kept');
  assert.is(check('status').status, 'pass');
  assert.equal([check('warned').status, check('warned').subject], ['warn', '/var/lib/other']);
}

state.run();
