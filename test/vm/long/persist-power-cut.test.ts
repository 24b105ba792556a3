import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { type Boot, assertSealed, look, withAgent } from '../harness/scenario.ts';
import { random, seed } from '../harness/seed.ts';

const [folders, filesInFolder] = [150, 20];
/** With a folder of hard links. */
const topNames = folders + 1;
/** Files and folders below the directory: the folder of hard links has the files of one other folder. */
const allNames = topNames * (filesInFolder + 1);

/**
 * The moments of the cuts: a line of the watcher in the guest, which reports how many names of the top directory have
 * been copied, and milliseconds after this line, of which a random part is waited for. The copy is written to the disk
 * after its last name and before it gets its final name. The moments do not depend on the speed of this machine, so the
 * last one in the copy is the only one that may come too late.
 */
const moments: [copied: number, milliseconds: number][] = [
  [1, 0],
  [10, 100],
  [25, 100],
  [45, 100],
  [65, 100],
  [85, 100],
  [110, 100],
  [135, 50],
  [topNames, 200],
];

const powerCut = suite('power cuts during the first copy of PERSIST');

powerCut('at ten moments: the store has nothing or all of the directory, and the next boot keeps it', () =>
  withDataDisk(async (drive) =>
    withAgent({ edit: bigDirectory }, async (guest) => {
      const drives = [drive];
      const cutAt = async (after: RegExp, most: number, name: string) => {
        const milliseconds = Math.floor(random(name) * most);
        const cut = await guest.boot({ disk: 'readonly', drives, powerCutAt: { after, milliseconds } });
        assert.is(cut.endedBy, 'power-cut', `${name} (seed ${seed})`);
        return { progress: progressOf(cut), left: await leftIn(drive.file) };
      };
      const cuts = [];
      for (const [copied, most] of moments) cuts.push(await cutAt(atLeast(copied), most, `cut at ${copied}`));
      const inside = cuts.filter(({ progress }) => !progress.renamed);
      const seen = `${JSON.stringify(cuts)} (seed ${seed})`;
      assert.ok(inside.length >= moments.length - 1, `the cuts were during the copy: ${seen}`);
      assert.equal(
        inside.filter(({ left }) => left === 'complete'),
        [],
        seen,
      );
      const incomplete = inside.filter(({ left }) => left === 'incomplete');
      assert.ok(incomplete.length >= 4, `the copies were on the disk in part: ${seen}`);

      // The tenth cut: the copy has its final name, which may not be on the disk yet. leftIn() fails if the name is on
      // the disk and the content is not.
      if (cuts.at(-1)?.left !== 'complete') await cutAt(/^seeded/m, 2500, 'cut after the copy');
      const last = await guest.boot({
        ...{ disk: 'readonly', drives },
        steps: {
          ...look,
          same: sameTree,
          other: `touch /var/lib/big/new; ${sameTree}`,
          store: 'ls /data/store',
        },
      });
      const report = assertSealed(last);
      assert.equal(
        report.persisted.map(({ path, state, reason }) => [path, state, reason]),
        [['/var/lib/big', 'kept', '']],
      );
      assert.equal(last.step('same'), { exit: 0, stdout: '', stderr: '' });
      assert.match(last.step('other').stdout, /new/, 'a difference would be seen');
      assert.is(last.step('store').stdout, 'var=lib=big\n');
    }),
  ),
);

/** A directory of 50 MB with 3,000 files, whose copy takes seconds, with hard links, and a watcher of the copy. */
async function bigDirectory(root: string): Promise<void> {
  // The file system writes to the disk each second, so that a cut leaves what had been copied a second before.
  await persistOnDataDisk(root, '/var/lib/big', 'commit=1');
  const big = join(root, 'var/lib/big');
  for (let folder = 0; folder < folders; folder++) {
    await mkdir(join(big, `${folder}`), { recursive: true });
    for (let file = 0; file < filesInFolder; file++) {
      const name = `${folder}/${file}`;
      await writeFile(join(big, name), contentOf(name));
    }
  }
  await execa('cp', ['-al', join(big, '0'), join(big, 'links')]);
  const units = join(root, 'etc/systemd/system');
  await writeFile(join(root, 'usr/bin/watch-copy'), watcher, { mode: 0o755 });
  await writeFile(
    join(units, 'watch-copy.service'),
    '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/watch-copy\n',
  );
  await mkdir(join(units, 'sysinit.target.wants'), { recursive: true });
  await symlink('../watch-copy.service', join(units, 'sysinit.target.wants/watch-copy.service'));
}

function contentOf(name: string): string {
  return `${name} `.repeat(3000);
}

/** Reports the progress of the copy on the console. */
const watcher = `#!/bin/sh
store=/data/store copied=0
until [ -e "$store/var=lib=big" ]; do
  set -- "$store/seeding:var=lib=big"/*
  if [ -e "$1" ] && [ $# -gt "$copied" ]; then
    copied=$#
    echo "copied $copied"
  fi
  sleep 0.05
done >/dev/ttyS0
echo seeded >/dev/ttyS0
`;

/** Returns a pattern for a line of the watcher with this number or a higher one. */
function atLeast(copied: number): RegExp {
  const numbers = Array.from({ length: topNames - copied + 1 }, (_, index) => copied + index);
  return new RegExp(`^copied (${numbers.join('|')})$`, 'm');
}

/** Returns the last progress of the copy that the watcher reported before a cut. */
function progressOf({ console }: Boot): { copied: number; renamed: boolean } {
  const copied = [...console.matchAll(/^copied (\d+)$/gm)].at(-1)?.[1];
  return { copied: Number(copied ?? 0), renamed: /^seeded$/m.test(console) };
}

const picture = (folder: string) =>
  `(cd ${folder} && find . -printf "%p %m %U:%G %n %T@ %y\\n" | sort; find . -type f | sort | xargs sha256sum)`;
const sameTree = `${picture('/run/immutafs/lower/lib/big')} | grep -v '^\\. ' >/run/a
  ${picture('/var/lib/big')} | grep -v '^\\. ' >/run/b; diff /run/a /run/b`;

/**
 * Returns the state of the copy on a data disk, as the next boot finds it.
 *
 * @throws if a directory with the final name does not have all files
 */
async function leftIn(file: string): Promise<'nothing' | 'incomplete' | 'complete'> {
  return withRunFolder(async (folder) => {
    const copy = join(folder, 'copy.raw');
    await execa('cp', ['--sparse=always', file, copy]);
    // Replays the journal. The exit code 1 means that it has corrected something.
    const { exitCode } = await execa('e2fsck', ['-fy', copy], { reject: false });
    assert.ok(exitCode === 0 || exitCode === 1, `e2fsck ended with ${exitCode}`);
    await execa('debugfs', ['-R', `rdump /store ${folder}`, copy]);
    const names = await readdir(join(folder, 'store')).catch((): string[] => []);
    if (!names.includes('var=lib=big')) return names.length === 0 ? 'nothing' : 'incomplete';
    const all = await readdir(join(folder, 'store/var=lib=big'), { recursive: true });
    assert.is(all.length, allNames, 'a copy with its final name is complete');
    for (const name of all.filter((each) => /^\d+\/\d+$/.test(each))) {
      const text = await readFile(join(folder, 'store/var=lib=big', name), 'utf8');
      assert.ok(text === contentOf(name), `${name} of a copy with its final name has its content`);
    }
    return 'complete';
  });
}

powerCut.run();
