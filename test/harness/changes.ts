import * as assert from 'uvu/assert';
import { type Guest, bootEnv } from './guest.ts';
import type { DiskFixture } from './sysfs.ts';

/** A change of a guest's fixture. */
export type Change = (guest: Guest) => void;

export const config =
  (text: string): Change =>
  ({ files }) => {
    files['etc/immutafs/immutafs.conf'] = text;
  };
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
export const handoff =
  (changes: Record<string, string | undefined>): Change =>
  ({ files }) => {
    files['run/immutafs/boot.env'] = bootEnv(changes);
  };
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
/** Replaces the whole file. */
export const fstab = (...lines: string[]): Change =>
  file('etc/fstab', lines.map((line) => `${line}\n`).join(''));
/** A second disk that the host made read-only, without parts of the system. */
export const another: Change = (guest) => {
  file('dev/vdc', '')(guest);
  guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true });
};
export const nothing: Change = () => undefined;
