/**
 * Searches for foreign programs in a real PID namespace with a real overlay. Every file system of this machine counts as
 * sealed, except those that the script mounts.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import * as assert from 'uvu/assert';
import type { ForeignPrograms } from '../../agent/facts/security/programs/foreign-programs.ts';
import { dist } from '../../packaging/build/paths.ts';
import { cached, inPlace, mountRepository, node, repository } from './repository.ts';

export const search = `${cached} ${inPlace(path.join(repository, 'test/harness/search-programs.ts'))}`;
const deny = path.join(repository, 'test/harness/deny-call.py');

const prologue = `
mount -t tmpfs helpers /usr/libexec
mkdir /usr/libexec/immutafs
cp ${path.join(dist, 'read-mappings')} /usr/libexec/immutafs/
mkdir /mnt/memory /mnt/upper /mnt/merged
mount -t tmpfs memory /mnt/memory
mount -t tmpfs upper /mnt/upper
mkdir /mnt/upper/up /mnt/upper/work
mount -t overlay -o lowerdir=/usr/bin,upperdir=/mnt/upper/up,workdir=/mnt/upper/work overlay /mnt/merged
`;

/**
 * The ways to find the executable mappings: read-mappings with PROCMAP_QUERY (Linux 6.11) and on an older kernel, and
 * without read-mappings.
 */
export const ways = [
  `${node} ${search}`,
  `/usr/bin/python3 ${deny} ioctl ${node} ${search}`,
  `rm /usr/libexec/immutafs/read-mappings; ${node} ${search}`,
];

/**
 * Runs a script as PID 1 of a namespace, then searches in every way, and asserts that the results are the same.
 * @param allowed FOREIGN_PROGRAMS_ALLOW
 */
export function searchAfter(script: string, allowed = ''): ForeignPrograms {
  const results = searchIn(ways, script, allowed);
  // The number of processes and the precise start time may change between the searches.
  const [first, ...others] = results.map(({ list, count, unexamined }) => ({
    list: list.map((program) => ({ ...program, startedAt: '' })),
    count,
    unexamined,
  }));
  for (const other of others) assert.equal(other, first);
  return results[0] as ForeignPrograms;
}

/** Runs a script as PID 1 of a namespace, then searches in each of these ways. */
export function searchIn(commands: readonly string[], script: string, allowed = ''): ForeignPrograms[] {
  const lines = `set -e; ${mountRepository}; mount -t tmpfs scratch /mnt; ${prologue}
${script}
sleep 0.5
${commands.map((command) => `${command} '${allowed}'; echo`).join('\n')}`;
  const args = [
    ...['--mount', '--propagation', 'private', '--pid', '--fork', '--mount-proc', '--kill-child'],
    ...['sh', '-c', lines],
  ];
  const { stdout, stderr, status } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 60_000 });
  assert.is(status, 0, stderr);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ForeignPrograms);
}

/** Returns the path, the role and the reason of each program. */
export function found(script: string, allowed?: string): (string | undefined)[][] {
  const { list, unexamined, count } = searchAfter(script, allowed);
  assert.equal(unexamined, []);
  assert.is(count, list.length);
  return list.map(({ path: file, role, why }) => [file, role, why]);
}
