import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeProcesses } from '../../../agent/changes/export/processes.ts';
import type { ExportTarget } from '../../../agent/system/layers/export-file.ts';
import { tarWriter } from '../../../agent/system/layers/tar-writer.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { goodGuest, mapsOf, memorySize, withGuest } from '../../harness/guest.ts';

const marks = suite('the process list of an export');

interface Written {
  /** The mark of this process, which the list contains because it is that of the real /proc. */
  foreign: unknown;
  unreadable: unknown;
  command: unknown;
  problems: string[];
}

/** Writes the list, with the fixture of a process that has the ID of this process. */
async function written(
  maps: string,
  {
    config = '',
    stat = fs.readFileSync(`/proc/${process.pid}/stat`, 'latin1'),
    as,
  }: { config?: string; stat?: string; as?: (reader: SystemReader) => SystemReader } = {},
): Promise<Written> {
  const guest = goodGuest();
  Object.assign(guest.files, {
    'etc/immutafs/immutafs.conf': config,
    [`proc/${process.pid}/maps`]: maps,
    [`proc/${process.pid}/statm`]: memorySize,
    [`proc/${process.pid}/stat`]: stat,
    [`proc/${process.pid}/exe`]: { linkTo: '/usr/bin/a' },
  });
  guest.mounts['shm'] = '0:43 / /dev/shm rw - tmpfs tmpfs rw';
  const parts: Buffer[] = [];
  const target: ExportTarget = {
    write: (part) => Promise.resolve(void parts.push(Buffer.from(part))),
    finish: () => undefined,
    abandon: () => undefined,
  };
  const problems: string[] = [];
  await withGuest(guest, async (reader) => {
    const tar = tarWriter(target);
    await writeProcesses(as?.(reader) ?? reader, tar, (text) => problems.push(text));
    await tar.end();
  });
  const lines = Buffer.concat(parts)
    .toString()
    .split('\n')
    .flatMap((line) => /\{"pid":.*\}$/.exec(line.replaceAll('\0', ''))?.[0] ?? []);
  const own = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find(({ pid }) => pid === process.pid);
  return { foreign: own?.['foreign'], unreadable: own?.['unreadable'], command: own?.['command'], problems };
}

const sealed = mapsOf('fd:00', '/usr/bin/a');

marks('a process that maps a file which did not come from the sealed disk is marked', async () => {
  const { foreign, problems } = await written(sealed + mapsOf('00:2b', '/dev/shm/x.so'));
  assert.equal(foreign, {
    path: '/dev/shm/x.so',
    role: 'mapping',
    why: 'memory',
    reason: 'in memory, tmpfs at /dev/shm',
    otherFiles: 0,
  });
  assert.equal(problems, []);
});

marks('a process of the sealed disk is not', async () => {
  assert.is((await written(sealed)).foreign, false);
});

marks(
  'a process that started after the search is unknown, even if its ID was that of another one',
  async () => {
    const stat = `${process.pid} (a) S ${'0 '.repeat(18)}1 0`;
    assert.is((await written(sealed, { stat })).foreign, null);
    assert.is((await written(sealed, { stat: '' })).foreign, null);
  },
);

marks('with FOREIGN_PROGRAMS=off, it is unknown', async () => {
  assert.is((await written(sealed, { config: 'FOREIGN_PROGRAMS=off\n' })).foreign, null);
});

marks('a process that could not be examined is not passed off as one of the sealed disk', async () => {
  const { foreign, problems } = await written('1000-2000 r-xp x\n');
  assert.is(foreign, null);
  assert.match(problems.join(), /not marked among 1 processes that could not be examined/);
});

marks('of a process whose memory cannot be read, nothing is read', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    processes: {
      ...reader.processes,
      mappedFiles: () => Promise.resolve(undefined),
      silent: (pids) => Promise.resolve(new Map(pids.includes(process.pid) ? [[process.pid, 'locked']] : [])),
    },
  });
  const { foreign, unreadable, command, problems } = await written(sealed, { as });
  assert.equal([foreign, unreadable, command], [null, 'locked', undefined]);
  assert.match(problems.join(), `process ${process.pid} is not described: locked`);
});

marks.run();
