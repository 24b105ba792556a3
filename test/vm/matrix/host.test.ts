import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Hypervisor } from '../libvirt/hypervisor.ts';
import type { Ansible } from '../libvirt/playbooks.ts';
import { stubArguments, stubXml, unsetBoot, withStubDomain } from '../libvirt/stub-domain.ts';

/**
 * Tests the modules and playbooks of the host with real libvirt, virt-xml, QEMU and Ansible, and with stub domains. No
 * system runs in a stub domain, so it starts immediately and never reacts.
 */
const host = suite('the host seals and unseals domains');

/**
 * Destroys the domain while the module waits until the domain has ended. If the module had not started to wait, tries
 * again after a longer time.
 */
async function crashWhile(
  { virsh }: Pick<Hypervisor, 'virsh'>,
  wait: () => ReturnType<Ansible['module']>,
  seconds = 4,
): ReturnType<Ansible['module']> {
  const waiting = wait();
  await sleep(seconds * 1000);
  await virsh('destroy', 'stub');
  const result = await waiting;
  if (result.failed || seconds > 60) return result;
  await virsh('start', 'stub');
  return crashWhile({ virsh }, wait, 4 * seconds);
}

host('the disk: only its <readonly/> changes, and only while the domain is shut off', () =>
  withStubDomain(async (ansible, hypervisor, disk) => {
    const before = await stubXml(hypervisor);
    assert.is((await disk(true, {}, 'check')).changed, true, 'check mode reports the change');
    assert.is(await stubXml(hypervisor), before, 'in check mode nothing changes');

    assert.is((await disk(true)).changed, true);
    const sealed = await stubXml(hypervisor);
    const [first = '', ...others] = sealed.split(/ *<readonly\/>\n/);
    assert.is(first + others.join(''), before);
    assert.match(first.slice(first.lastIndexOf('<disk')), "<target dev='vda'");
    assert.is((await disk(true)).changed, false, 'the second run changes nothing');
    for (const target of ['vda', 'vdz']) {
      const args = { ...stubArguments(hypervisor), target, readonly: true };
      assert.equal(await ansible.adHoc('disk', args), await disk(true, { target }), 'ad hoc');
    }
    assert.is((await disk(false)).changed, true);
    assert.is(await stubXml(hypervisor), before);

    const unknown = await disk(true, { target: 'vdz' });
    assert.is(unknown.msg, 'stub has no disk vdz');
    await hypervisor.virsh('start', 'stub');
    assert.match((await disk(true)).msg ?? '', /is running: it can be changed only while it is shut off/);
    assert.is((await disk(false)).changed, false, 'no failure where nothing has to change');
    await hypervisor.virsh('managedsave', 'stub');
    assert.match((await disk(true)).msg ?? '', /has a saved memory image/);
    assert.is(await stubXml(hypervisor), before);
  }),
);

host('the disk: if virt-xml changes more, or nothing, the module restores the domain and fails', () =>
  withStubDomain(async (_, hypervisor, disk) => {
    const before = await stubXml(hypervisor);
    const program = async (text: string): Promise<string> => {
      const file = join(hypervisor.folder, 'virt-xml');
      await writeFile(file, `#!/bin/sh\nset -e\n${text}\n`);
      await chmod(file, 0o755);
      return file;
    };
    const more = '/usr/bin/virt-xml "$@"; /usr/bin/virt-xml "$1" "$2" "$3" --edit --memory 256';
    for (const [text, said] of [
      [more, 'stub: more than the <readonly/> of vda changed; the previous XML was restored'],
      [
        `${more}; echo no room >&2; exit 1`,
        /more than the <readonly\/> of vda changed; the previous XML was restored/,
      ],
      ['echo no room >&2; exit 1', 'virt-xml stub: no room'],
      ['/usr/bin/virt-xml "$@"; echo half >&2; exit 1', 'virt-xml stub: half; the previous XML was restored'],
      ['exit 0', 'stub: virt-xml did not change vda'],
    ] as const) {
      const result = await disk(true, { virt_xml: await program(text) });
      assert.is(result.failed, true, text);
      if (typeof said === 'string') assert.is(result.msg, said);
      else assert.match(result.msg ?? '', said);
      assert.is(await stubXml(hypervisor), before, 'including the password of its console');
    }
    assert.is((await disk(true)).changed, true, 'the real virt-xml works');
  }),
);

host(
  'the domain: one that does not shut down stays running; the module reports the state of libvirt and QEMU',
  () =>
    withStubDomain(async (ansible, hypervisor, disk) => {
      const domain = (more: Record<string, unknown>) =>
        ansible.module('domain', { uri: hypervisor.uri, domain: 'stub', target: 'vda', ...more });
      await disk(true);
      const { changed, failed } = await domain({ state: 'running' });
      assert.equal([changed, failed], [true, false]);
      const boot = { firmware: 'bios', store: null, wrong: unsetBoot, blockers: [] };
      assert.equal(
        { ...(await domain({})), reason: '', read: {}, written: 0 },
        {
          ...{ changed: false, failed: false, state: 'running', reason: '', target: 'vda', bus: 'virtio' },
          ...{
            serial: null,
            wwn: null,
            saved: false,
            persistent: true,
            live: true,
            qemu: true,
            now: true,
            read_only: ['vda'],
            boot,
            boot_now: boot,
            read: {},
            written: 0,
            rollback: null,
            writers: null,
            sharers: null,
          },
        },
      );
      const { read } = await domain({});
      assert.equal(Object.keys(read as object), ['vda', 'vdb'], 'bytes that QEMU has read, by target');
      const deaf = await domain({ state: 'shut off', timeout: 2 });
      assert.is(deaf.msg, 'stub is running, not shut off, after 2 s');
      assert.match(await hypervisor.virsh('domstate', 'stub'), 'running');
      const crashed = await crashWhile(hypervisor, () =>
        domain({ state: 'shut off', ask: false, timeout: 600 }),
      );
      assert.is(crashed.msg, 'stub did not shut down cleanly, libvirt reports the reason: destroyed');
      const { state, persistent, live, qemu, now } = await domain({});
      const off = { state: 'shut off', persistent: true, live: null, qemu: null, now: null };
      assert.equal({ state, persistent, live, qemu, now }, off);
    }),
);

host.run();
