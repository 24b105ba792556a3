/** Tests the actions of the migration with stubs for programs. test/system/prepare-home*.test.ts use real disks. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemReader } from '../../../../agent/system/reader.ts';
import type { Ran, SystemWriter } from '../../../../agent/system/writer.ts';
import { type Context, PlanOutdated, withContext } from '../../../../agent/prepare/engine/context.ts';
import { copyHome, partitionHome } from '../../../../agent/prepare/home/copy.ts';
import { cutoverHome } from '../../../../agent/prepare/home/cutover.ts';
import { openMigration } from '../../../../agent/prepare/home/migration.ts';
import { readMarker, writeMarker } from '../../../../agent/prepare/home/progress-marker.ts';
import { copyInUse } from '../../../../agent/prepare/move/copy.ts';
import { toolsOf } from '../../../harness/fake-executors.ts';
import { type Guest, withGuest } from '../../../harness/guest.ts';
import { disk, guestWithDisk, uuid } from '../../../harness/home-disk.ts';
import { errorOf } from '../../../harness/rejection.ts';

const good: Ran = { exit: 0, stdout: '', stderr: '', late: false };
type Run = (command: string, output?: (text: string) => void) => Partial<Ran> | undefined;

interface Work {
  context: Context;
  /** Every program that was started, and every text that was written to a device. */
  done: string[];
  root: string;
}

/** @param run returns how a program ends, if it does not succeed without output */
const inContext = (
  guest: Guest,
  run: Run,
  work: (work: Work) => Promise<void>,
  own?: Partial<SystemReader>,
) =>
  withGuest(guest, async (reader, root) => {
    const done: string[] = [];
    const tools = toolsOf({ ...reader, ...own }, root);
    const writer: SystemWriter = {
      ...tools.writer,
      run: (program, args, _seconds, output) => {
        const command = [path.basename(program), ...args].join(' ');
        done.push(command);
        return Promise.resolve({ ...good, ...run(command, output) });
      },
      writeAt: (file, offset, text) => {
        done.push(`write ${file}: ${text.split(' -')[0]}`);
        tools.writer.writeAt(file, offset, text);
      },
    };
    await withContext({ ...tools, writer }, (context) => work({ context, done, root }));
  });
/** Commands of a move that are not part of its actions. */
const isOwn = (command: string) => !/^(mount --(bind|make-private)|umount|sh -c|du) /.test(command);

const actions = suite('prepare home: the actions');
actions('a disk is marked before anything else is done to it, without a sync after its check', () =>
  inContext(
    guestWithDisk(undefined, false),
    () => undefined,
    async ({ context, done }) => {
      await partitionHome(context, { do: 'partition-home', disk, wipe: false });
      assert.equal(done.filter(isOwn).slice(0, 2), [
        `write ${disk}: immutafs home making`,
        `wipefs --all ${disk}`,
      ]);
    },
  ),
);
actions('an incomplete copy that cannot be mounted is discarded, even if sync fails', () => {
  const guest = guestWithDisk({ progress: 'copying', uuid }, true);
  const run: Run = (command) => (/^sync|^mount -t /.test(command) ? { exit: 1, stderr: 'bad' } : undefined);
  return inContext(guest, run, async ({ context }) => {
    const error = await errorOf(copyHome(context, { do: 'copy-home', disk, wipe: false }));
    assert.instance(error, PlanOutdated);
    assert.match(error.message, 'vdb1 cannot be mounted');
    assert.is(readMarker(context.reader, { device: disk })?.progress, 'making');
  });
});
actions('the time of a marker is before the sync', () => {
  let seconds = 1000;
  const run: Run = (command) => {
    if (command === 'sync') seconds += 60;
    return undefined;
  };
  const clock = { now: () => new Date(seconds * 1000) };
  const work = async ({ context }: Work) => {
    await writeMarker(context, { device: disk }, 'copied', uuid);
    assert.equal(readMarker(context.reader, { device: disk }), { progress: 'copied', uuid, seconds: 1000 });
    assert.is(seconds, 1060);
  };
  return inContext(guestWithDisk(undefined, false), run, work, clock);
});
actions('a link to no file is neither followed nor removed: /etc/fstab, a marker', () => {
  const guest = guestWithDisk(undefined, false);
  guest.files['etc/fstab'] = { linkTo: '/run/fstab' };
  guest.files['home/.immutafs-home'] = { linkTo: '/run/marker' };
  return inContext(
    guest,
    () => undefined,
    async ({ context, root }) => {
      const migration = await context.shared(openMigration);
      migration.staged = { volume: { device: `${disk}1`, uuid, type: 'xfs' }, marker: { device: disk } };
      migration.moving.old = {
        region: { path: '/home', devices: new Set(), root: '/home' },
        state: {} as never,
      };
      const action = { do: 'cutover-home', disk, file: '/etc/fstab', before: null, after: 'x' } as const;
      for (const part of [cutoverHome.complete, cutoverHome.execute]) {
        const error = await errorOf(Promise.resolve(part?.(context, action)));
        assert.match(error.message, /^\/etc\/fstab: no such file/);
      }
      assert.is(fs.readlinkSync(path.join(root, 'etc/fstab')), '/run/fstab');
      assert.throws(() => readMarker(context.reader, { root: '/home' }), /no such file/);
    },
  );
});
for (const [bytes, shown] of [
  [0, 0],
  [4096, 1],
] as const)
  actions(`the progress bar of a copy of ${bytes} bytes`, () => {
    const run: Run = (command, output) => {
      if (command.startsWith('rsync')) output?.('2048 50%\n');
      return { stdout: command.startsWith('du -sx -b') ? `${bytes}\t/home\n` : '1\t/home\n' };
    };
    return inContext(
      guestWithDisk(undefined, false),
      run,
      async ({ context }) => {
        let lines = 0;
        const progress = () => void (lines += 1);
        const move = { path: '/home', to: disk, type: 'xfs', dropCache: () => Promise.resolve() };
        await copyInUse({ ...context, progress }, move);
        assert.is(lines, shown);
      },
      { usage: () => ({ type: 0, sizeBytes: 1e9, usedBytes: 0, inodes: 0, inodesUsed: 0 }) },
    );
  });
actions.run();
