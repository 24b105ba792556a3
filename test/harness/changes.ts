import * as assert from 'uvu/assert';
import type { ProbeKind } from '../../agent/system/reader.ts';
import { type Guest, bootEnv } from './guest.ts';
import type { DiskFixture } from './sysfs.ts';

/** A change of a guest's fixture. */
export type Change = (guest: Guest) => void;

export const config = (text: string): Change => file('etc/immutafs/immutafs.conf', text);
export const edit =
  (mount: string, from: string | RegExp, to: string): Change =>
  ({ mounts }) => {
    const before = mounts[mount] ?? '';
    mounts[mount] = before.replace(from, to);
    assert.is.not(mounts[mount], before, `${mount} has nothing to edit`);
  };
export const without =
  (...names: string[]): Change =>
  ({ mounts }) => {
    for (const name of names) delete mounts[name];
  };
export const handoff = (changes: Record<string, string | undefined>): Change =>
  file('run/immutafs/boot.env', bootEnv(changes));
export const disk =
  (changes: Partial<DiskFixture>): Change =>
  ({ devices }) => {
    devices[0] = { ...(devices[0] as DiskFixture), ...changes };
  };
export const file =
  (name: string, content: string | { linkTo: string } | undefined): Change =>
  ({ files }) => {
    if (content === undefined) delete files[name];
    else files[name] = content;
  };
export const usage =
  (changes: Partial<Guest['answers']['usage']>): Change =>
  ({ answers }) => {
    Object.assign(answers.usage, changes);
  };
export const tryWrite =
  (answer: string): Change =>
  ({ answers }) => {
    answers.tryWrite = answer;
  };
/** Mounts something else at /home before the file system that is there. */
export const belowHome =
  (line: string): Change =>
  ({ mounts }) => {
    const home = mounts['home'] ?? '';
    delete mounts['home'];
    Object.assign(mounts, { below: line, home });
  };
/** @param seconds since the boot */
export const uptime =
  (seconds: number): Change =>
  ({ answers }) => {
    answers.uptime = seconds;
  };
/** What a probe of REQUIRE_OPTIONS answers. */
export const probed =
  (kind: ProbeKind, answer: string): Change =>
  ({ answers }) => {
    answers.probes[kind] = answer;
  };
export const all =
  (...changes: Change[]): Change =>
  (guest) => {
    for (const change of changes) change(guest);
  };
export const mount =
  (name: string, line: string): Change =>
  ({ mounts }) => {
    mounts[name] = line;
  };
/**
 * The boot has opened vdb for SCRATCH, and a file system is mounted there.
 * @param below the disk below the mapping of this file system
 */
export const scratchDisk =
  (below = 'vdb'): Change =>
  (guest) => {
    const { device = '' } = guest.devices.find(({ name }) => name === 'vdb') ?? {};
    guest.files['run/immutafs/scratch-device'] = `STATE=ready\nREASON=\nREMEDY=\nDEVICE=${device}\n`;
    guest.devices = guest.devices.filter(({ name }) => name !== 'dm-9');
    guest.devices.push({ name: 'dm-9', device: '253:9', on: [below] });
    guest.mounts['scratch'] =
      '253:9 / /run/immutafs/scratch-disk rw,nosuid,nodev,noexec,noatime - ext4 /dev/mapper/immutafs-scratch rw';
  };

/** Replaces the whole /etc/fstab. */
export const fstab = (...lines: string[]): Change =>
  file('etc/fstab', lines.map((line) => `${line}\n`).join(''));
/** Adds a third disk, which the host made read-only and which contains no part of the system. */
export const another: Change = (guest) => {
  file('dev/vdc', '')(guest);
  guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true });
};
export const nothing: Change = () => undefined;

/** Writes /proc/swaps with the given lines. */
export const swaps = (...lines: string[]): Change =>
  file(
    'proc/swaps',
    `Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n${lines.map((each) => `${each}\n`).join('')}`,
  );
/** Appends lines to the guest's /etc/fstab. */
export const moreFstab = (...lines: string[]): Change =>
  editFstab((before) => `${before}${lines.map((each) => `${each}\n`).join('')}`);
/** Replaces the first occurrence of a text in /etc/fstab. */
export const replaceFstab = (from: string | RegExp, to: string): Change =>
  editFstab((before) => before.replace(from, to));
/** Replaces the line of a target in /etc/fstab. */
export const fstabLine = (target: string, line: string): Change =>
  replaceFstab(new RegExp(`^\\S+ ${target} .*$`, 'm'), line);

function editFstab(change: (before: string) => string): Change {
  return ({ files }) => {
    const before = files['etc/fstab'];
    assert.type(before, 'string');
    files['etc/fstab'] = change(before as string);
    assert.is.not(files['etc/fstab'], before, '/etc/fstab has nothing to edit');
  };
}

/** Sets the SELinux types that stat(1) prints for /var and /tmp. */
export const labels =
  (...types: string[]): Change =>
  ({ answers }) => {
    answers.labels = types.map((type) => `system_u:object_r:${type}:s0\n`).join('');
  };
/** Sets SELinux to enforcing or permissive mode. @param contexts content of the policy's file_contexts */
export const selinux = (enforcing: '0' | '1', contexts: string): Change =>
  all(
    file('sys/fs/selinux/enforce', enforcing),
    file('etc/selinux/config', '# x\nSELINUXTYPE=targeted\n'),
    file('etc/selinux/targeted/contexts/files/file_contexts', contexts),
  );
/** The line of file_contexts by which the policy has the module of this package. */
export const moduleContexts = '/usr/bin/immutafs-agent -- a:b:immutafs_exec_t:s0\n';
/** Sets SELinux to enforcing mode, with the module of this package, and files labelled as in the policy. */
export const enforcingGuest = all(
  selinux('1', `/var -d a:b:var_t:s0\n/tmp -d a:b:tmp_t:s0\n${moduleContexts}`),
  labels('var_t', 'tmp_t'),
);

/** SCRATCH names /srv/build, whose overlay has its upper layer, with a file of 16 KiB, in a directory. */
export const scratchOverlay = (layer: '/run/var/below/srv+build' | '/run/immutafs/scratch-disk/srv=build') =>
  all(
    config('SCRATCH=/srv/build\n'),
    mount(
      'build',
      `0:61 / /srv/build rw - overlay immutafs rw,lowerdir=/run/immutafs/below/srv+build,upperdir=${layer}/upper,workdir=${layer}/work`,
    ),
    file(`${layer.slice(1)}/upper/file`, 'x'.repeat(16384)),
  );
