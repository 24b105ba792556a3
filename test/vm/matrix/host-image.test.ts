import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../libvirt/domain.ts';
import { defineStubDomain, stubArguments, stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/** Uses stub domains like `host.test.ts`; the playbook is tested in `pool.test.ts`. */
const host = suite('the module image');

/** The part of an XML that describes the system disk. */
const diskIn = (xml: string) => /<disk [\s\S]*?<\/disk>/.exec(xml)?.[0] ?? '';

host('the image is exchanged, returned and kept; the record survives the other modules', () =>
  withStubDomain(
    async (ansible, hypervisor, disk) => {
      const [old, raw] = [join(hypervisor.folder, 'stub/system.qcow2'), join(hypervisor.folder, 'raw')];
      await execa('truncate', ['--size', '1M', raw]);
      await disk(true);
      const before = await stubXml(hypervisor);
      const image = async (state: string, more: Record<string, unknown> = {}, mode?: 'check') => {
        const args = { ...stubArguments(hypervisor), state, ...more };
        const { failed, ...result } = await ansible.module('image', args, mode);
        assert.not(failed, result.msg);
        return result as Record<string, unknown>;
      };
      const next = { path: raw, format: 'raw', reason: 'requested' };
      const none = { previous: null, rejected: null, reason: null, is_rejected: false };
      assert.equal(await image('query', next), {
        changed: false,
        image: old,
        running: null,
        phase: null,
        ...none,
      });
      assert.is((await image('trial', next, 'check')).changed, true);
      assert.is(await stubXml(hypervisor), before, 'check mode and queries change nothing');

      const onTrial = { image: raw, running: null, phase: 'trial', ...none, previous: old };
      assert.equal(await image('trial', next), { changed: true, ...onTrial });
      assert.equal(await image('trial', next), { changed: false, ...onTrial });
      assert.match(diskIn(await stubXml(hypervisor)), /type='raw'[\s\S]*<readonly\/>/);
      await hypervisor.virsh('start', 'stub');
      assert.is((await image('query')).running, raw);
      await hypervisor.virsh('destroy', 'stub');
      await disk(false);
      await disk(true);
      assert.is((await ansible.module('boot', stubArguments(hypervisor))).failed, false);
      assert.equal(await image('query'), { changed: false, ...onTrial });

      const reason = 'broken\u0007\n<twice> "in" a row';
      const rejected = { rejected: raw, reason: 'broken  <twice> "in" a row' };
      const returned = await image('returned', { reason });
      assert.equal(returned, {
        ...none,
        changed: true,
        image: old,
        running: null,
        phase: 'returning',
        ...rejected,
      });
      assert.match(diskIn(await stubXml(hypervisor)), /type='qcow2'[\s\S]*<readonly\/>/);
      assert.is((await image('returned', { reason: 'again' })).changed, false);
      assert.is((await image('kept')).phase, null);
      assert.is((await image('query', next)).is_rejected, true);
      await truncate(raw, 2_097_152);
      assert.is((await image('query', next)).is_rejected, false, 'it was built again');

      await image('trial', next);
      const kept = { image: raw, running: null, phase: null, ...none, previous: old };
      assert.equal(await image('kept'), { changed: true, ...kept });
      assert.equal(await image('kept'), { changed: false, ...kept });
    },
    undefined,
    'qcow2',
  ),
);

host('an image that another domain can write, that does not exist, or of another format is refused', () =>
  withStubDomain(async (ansible, hypervisor, disk) => {
    const raw = join(hypervisor.folder, 'raw');
    await writeFile(raw, 'no qcow2');
    const before = await stubXml(hypervisor);
    const refusal = async (state: string, more: Record<string, unknown> = {}) => {
      const args = { ...stubArguments(hypervisor), state, path: raw, format: 'raw', reason: 'x', ...more };
      const { failed, msg = '' } = await ansible.module('image', args);
      assert.ok(failed, state);
      return msg;
    };
    assert.match(await refusal('trial'), /^stub: vda is writable: seal the guest first/);
    assert.is(await stubXml(hypervisor), before);
    await disk(true);
    const sealed = await stubXml(hypervisor);
    assert.match(
      await refusal('query', { format: 'qcow2' }),
      /qemu-img stub: .*Image is not in qcow2 format/,
    );
    assert.match(
      await refusal('query', { path: `${raw}-none` }),
      /raw-none cannot be used: No such file or directory/,
    );
    assert.match(await refusal('query', { path: hypervisor.folder }), /is neither a file nor a block device/);

    const other = join(hypervisor.folder, 'other/system.raw');
    await defineStubDomain(hypervisor, 'other', await freePort());
    assert.match(
      await refusal('trial', { path: other }),
      /other\/system\.raw can be written by other vda: remove it/,
    );
    await hypervisor.virsh('start', 'stub');
    assert.match(await refusal('trial'), /^stub is running: it can be changed only while it is shut off/);
    await hypervisor.virsh('destroy', 'stub');
    assert.is(await stubXml(hypervisor), sealed, 'nothing was changed');

    // The counterparts: shut off, and an image that only this domain has.
    const args = { ...stubArguments(hypervisor), state: 'trial', path: raw, format: 'raw', reason: 'x' };
    assert.is((await ansible.module('image', args)).changed, true);
    await execa('truncate', ['--size', '1M', `${raw}-next`]);
    const previous = join(hypervisor.folder, 'stub/system.raw');
    for (const state of ['query', 'trial']) {
      assert.is(
        await refusal(state, { path: `${raw}-next` }),
        `an interrupted run has left stub with the image ${raw}: finish with this image, or with ${previous} to return ` +
          'to it, before another image is used',
      );
    }
    for (const path of [raw, previous]) {
      const { failed, msg } = await ansible.module('image', { ...args, state: 'query', path });
      assert.not(failed, msg);
    }
    // While the previous image is brought back, a query succeeds, so that the return can be finished.
    await ansible.module('image', { ...args, state: 'returned' });
    const query = { ...args, state: 'query', path: `${raw}-next` };
    assert.is((await ansible.module('image', query))['phase'], 'returning');
    assert.match(
      await refusal('trial', { path: `${raw}-next` }),
      /with the image .*\/system\.raw: finish with this/,
    );
  }),
);

host.run();
