import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { type Answer, stubSuite } from '../libvirt/stub-suite.ts';

/** Uses stub domains like `host.test.ts`; the playbook is tested in `pool.test.ts`. */
const host = stubSuite('the module image');

/** The part of an XML that describes the system disk. */
const diskIn = (xml: string) => /<disk [\s\S]*?<\/disk>/.exec(xml)?.[0] ?? '';

/** A call of the module: its state, further arguments, and what its result has other than `usual`. */
type Row = readonly [state: string, more: Record<string, unknown>, differs: Record<string, unknown>];

host(
  'the image is exchanged, returned and kept; the record survives the other modules',
  async ({ folder, image: old, module, expect, virsh, xml }) => {
    const raw = join(folder, 'raw');
    await execa('truncate', ['--size', '1M', raw]);
    const none = { previous: null, rejected: null, reason: null, is_rejected: false };
    const usual = { changed: false, failed: false, image: old, running: null, phase: null, ...none };
    const assertRows = async (rows: readonly Row[]) => {
      for (const [state, more, differs] of rows)
        assert.equal(await module('image', { state, ...more }), { ...usual, ...differs }, state);
    };
    const next = { path: raw, format: 'raw', reason: 'requested' };
    const onTrial = { image: raw, phase: 'trial', previous: old };
    const before = await xml();
    await assertRows([['query', next, {}]]);
    await expect('image', { state: 'trial', ...next }, { changed: true }, 'check');
    assert.is(await xml(), before, 'queries change nothing');

    await assertRows([
      ['trial', next, { ...onTrial, changed: true }],
      ['trial', next, onTrial],
    ]);
    assert.match(diskIn(await xml()), /type='raw'[\s\S]*<readonly\/>/);
    await virsh('start', 'stub');
    await assertRows([['query', {}, { ...onTrial, running: raw }]]);
    await virsh('destroy', 'stub');
    for (const readonly of [false, true]) await expect('disk', { readonly }, { changed: true });
    await expect('boot', {}, {});
    await assertRows([['query', {}, onTrial]]);

    const rejected = { rejected: raw, reason: 'broken  <twice> "in" a row' };
    await assertRows([
      [
        'returned',
        { reason: 'broken\u0007\n<twice> "in" a row' },
        { ...rejected, changed: true, phase: 'returning' },
      ],
      ['returned', { reason: 'again' }, { ...rejected, phase: 'returning' }],
    ]);
    assert.match(diskIn(await xml()), /type='qcow2'[\s\S]*<readonly\/>/);
    await assertRows([
      ['kept', {}, { ...rejected, changed: true }],
      ['query', next, { ...rejected, is_rejected: true }],
    ]);
    await truncate(raw, 2_097_152);
    const kept = { image: raw, previous: old };
    await assertRows([
      // It was built again.
      ['query', next, rejected],
      ['trial', next, { ...onTrial, changed: true }],
      ['kept', {}, { ...kept, changed: true }],
      ['kept', {}, kept],
    ]);
  },
  { systemFormat: 'qcow2', isSealed: true },
);

host(
  'an image that another domain can write, that does not exist, or of another format is refused',
  async ({ hypervisor, folder, image: previous, expect, xml }) => {
    const raw = join(folder, 'raw');
    await writeFile(raw, 'no qcow2');
    const image = (state: string, more: Record<string, unknown>, answer: Answer) =>
      expect('image', { state, path: raw, format: 'raw', reason: 'x', ...more }, answer);
    await image('trial', {}, /^stub: vda is writable: seal the guest first/);
    await expect('disk', { readonly: true }, { changed: true });
    const sealed = await xml();
    await defineStubDomain(hypervisor, 'other');
    for (const [state, more, message] of [
      ['query', { format: 'qcow2' }, /qemu-img stub: .*Image is not in qcow2 format/],
      ['query', { path: `${raw}-none` }, /raw-none cannot be used: No such file or directory/],
      ['query', { path: folder }, /is neither a file nor a block device/],
      [
        'trial',
        { path: join(folder, 'other/system.raw') },
        /other\/system\.raw can be written by other vda: remove it/,
      ],
    ] as const)
      await image(state, more, message);
    assert.is(await xml(), sealed, 'nothing was changed');

    // The counterpart: an image that only this domain has.
    await image('trial', {}, { changed: true });
    const third = { path: `${raw}-next` };
    await execa('truncate', ['--size', '1M', third.path]);
    const interrupted =
      `an interrupted run has left stub with the image ${raw}: finish with this image, or with ${previous} to return ` +
      'to it, before another image is used';
    for (const state of ['query', 'trial']) await image(state, third, interrupted);
    for (const path of [raw, previous]) await image('query', { path }, {});
    // While the previous image is brought back, a query succeeds, so that the return can be finished.
    await image('returned', {}, {});
    await image('query', third, { phase: 'returning' });
    await image('trial', third, /with the image .*\/system\.raw: finish with this/);
  },
);

host.run();
