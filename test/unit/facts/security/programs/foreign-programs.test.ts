import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mountTable } from '../../../../../agent/facts/mounts/mountinfo.ts';
import { findForeignPrograms } from '../../../../../agent/facts/security/programs/foreign-programs.ts';
import { type SystemReader, systemReader } from '../../../../../agent/system/reader.ts';

const programs = suite('foreign programs');
const { pid } = process;
const executable = '/nonexistent/program';

for (const [what, link, threads, paths] of [
  ['has exited', undefined, [], []],
  ['is still there', executable, [], [executable]],
  ['has exited except for its other threads', undefined, [`${pid + 1}`], [executable]],
] as const) {
  programs(`a process of whose executable nothing was mapped, which ${what}`, async () => {
    const real = systemReader();
    const reader: SystemReader = {
      ...real,
      processes: {
        ...real.processes,
        list: () => [pid],
        mappedFiles: () =>
          Promise.resolve({
            groups: [{ executable, mapped: [], pids: [pid] }],
            ...{ addresses: new Map(), unreadable: new Map(), rest: [], memory: new Set() },
          }),
        link: (_, name) => (name === 'exe' ? link : 'mnt:[1]'),
        statOf: () => undefined,
        threadsOf: () => [...threads],
      },
    };
    const mounts = mountTable(reader.read('/proc/self/mountinfo'));
    const { list } = await findForeignPrograms(reader, mounts, { sealed: new Set(), allowed: [] });
    assert.equal(
      list.map(({ path }) => path),
      paths,
    );
  });
}

programs.run();
