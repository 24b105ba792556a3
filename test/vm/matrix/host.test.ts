import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { ModuleResult } from '../libvirt/playbooks.ts';
import { rawCopy } from '../libvirt/images.ts';
import { defineStubDomain, stubArguments, unsetBoot } from '../libvirt/stub-domain.ts';
import { type Answer, type Stub, stubSuite } from '../libvirt/stub-suite.ts';
import { writeProgram } from '../libvirt/write-program.ts';

/**
 * Tests the modules and playbooks of the host with real libvirt, virt-xml, QEMU and Ansible, and with stub domains. No
 * system runs in a stub domain, so it starts immediately and never reacts.
 */
const host = stubSuite('the host seals and unseals domains');

host('the disk: only its <readonly/> changes, and only without a saved memory image', async (stub) => {
  const { ansible, hypervisor, module, virsh, xml } = stub;
  const disk = (readonly: boolean, answer: Answer, mode?: 'check') =>
    stub.expect('disk', { readonly }, answer, mode);
  const before = await xml();
  await disk(true, { changed: true }, 'check');
  await disk(true, { changed: true });
  const sealed = await xml();
  const [first = '', ...others] = sealed.split(/ *<readonly\/>\n/);
  assert.is(first + others.join(''), before);
  assert.match(first.slice(first.lastIndexOf('<disk')), "<target dev='vda'");
  await disk(true, { changed: false });
  for (const target of ['vda', 'vdz']) {
    const args = { ...stubArguments(hypervisor), target, readonly: true };
    assert.equal(await ansible.adHoc('disk', args), await module('disk', args), 'ad hoc');
  }
  await disk(false, { changed: true });
  assert.is(await xml(), before);

  await stub.expect('disk', { readonly: true, target: 'vdz' }, 'stub has no disk vdz');
  await virsh('start', 'stub');
  // The module does not fail where nothing has to change.
  await disk(false, { changed: false });
  await virsh('managedsave', 'stub');
  await disk(true, /has a saved memory image/);
  assert.is(await xml(), before);
});

host(
  'a running domain is changed by no module; each file of tests has the counterparts',
  async ({ directory, expect, folder, image, virsh }) => {
    const path = await rawCopy(folder, image);
    await virsh('start', 'stub');
    for (const [module, args] of [
      ['disk', { readonly: false }],
      ['boot', {}],
      ['image', { state: 'trial', path, format: 'raw', reason: 'requested' }],
      ['snapshot', { state: 'present', directory }],
    ] as const)
      await expect(module, args, /^stub is running: it can be changed only while it is shut off/);
    await expect('snapshot', { state: 'query', directory }, { taken: null });
  },
  { systemFormat: 'qcow2', isSealed: true },
);

const more = '/usr/bin/virt-xml "$@"; /usr/bin/virt-xml "$1" "$2" "$3" --edit --memory 256';

/** What a program in the place of virt-xml does, and the message of the module. */
const faults: readonly [program: string, message: string | RegExp][] = [
  [more, 'stub: more than the <readonly/> of vda changed; the previous XML was restored'],
  [
    `${more}; echo no room >&2; exit 1`,
    /more than the <readonly\/> of vda changed; the previous XML was restored/,
  ],
  ['echo no room >&2; exit 1', 'virt-xml stub: no room'],
  ['/usr/bin/virt-xml "$@"; echo half >&2; exit 1', 'virt-xml stub: half; the previous XML was restored'],
  ['exit 0', 'stub: virt-xml did not change vda'],
];

host(
  'the disk: if virt-xml changes more, or nothing, the module restores the domain and fails',
  async (stub) => {
    // Restored is the whole domain, including the password of its console.
    for (const [text, message] of faults) {
      const program = await writeProgram(join(stub.folder, 'virt-xml'), `set -e\n${text}`);
      await stub.expect('disk', { readonly: true, virt_xml: program }, message);
    }
    // The counterpart: the real virt-xml.
    await stub.expect('disk', { readonly: true }, { changed: true });
  },
);

/**
 * Destroys the domain while the module waits until the domain has ended. If the module had not started to wait, tries
 * again after a longer time.
 */
async function crashWhile(
  stub: Pick<Stub, 'virsh'>,
  wait: () => Promise<ModuleResult>,
  seconds = 4,
): Promise<ModuleResult> {
  const waiting = wait();
  await sleep(seconds * 1000);
  await stub.virsh('destroy', 'stub');
  const result = await waiting;
  if (result.failed || seconds > 60) return result;
  await stub.virsh('start', 'stub');
  return crashWhile(stub, wait, 4 * seconds);
}

host(
  'the domain: one that does not shut down stays running; the module reports the state of libvirt and QEMU',
  async (stub) => {
    const { module, expect, virsh } = stub;
    await expect('domain', { state: 'running' }, { changed: true });
    const boot = { firmware: 'bios', store: null, wrong: unsetBoot, blockers: [] };
    const { read, ...found } = await module('domain', {});
    const uuid = (await virsh('domuuid', 'stub')).trim();
    assert.equal(
      { ...found, reason: '', written: 0 },
      {
        ...{
          changed: false,
          failed: false,
          state: 'running',
          reason: '',
          uuid,
          target: 'vda',
          bus: 'virtio',
        },
        ...{ serial: null, wwn: null, saved: false, persistent: true, live: true, qemu: true, now: true },
        ...{ read_only: ['vda'], boot, boot_now: boot, written: 0 },
        ...{ rollback: null, writers: null, sharers: null },
      },
    );
    assert.equal(Object.keys(read as object), ['vda', 'vdb'], 'bytes that QEMU has read, by target');
    const off = { state: 'shut off' };
    await expect('domain', { ...off, timeout: 2 }, 'stub is running, not shut off, after 2 s');
    assert.match(await virsh('domstate', 'stub'), 'running');
    const crashed = await crashWhile(stub, () => module('domain', { ...off, ask: false, timeout: 600 }));
    assert.is(crashed.msg, 'stub did not shut down cleanly, libvirt reports the reason: destroyed');
    await expect('domain', {}, { ...off, persistent: true, live: null, qemu: null, now: null });
  },
  { isSealed: true },
);

host(
  'a name that virsh takes for another domain is refused, and the other domain is left alone',
  async (stub) => {
    const { hypervisor, module, virsh } = stub;
    await virsh('start', 'stub');
    // virsh takes a name for an ID, then for a UUID, and only then for a name.
    const [id, uuid] = [(await virsh('domid', 'stub')).trim(), (await virsh('domuuid', 'stub')).trim()];
    const off = { state: 'shut off', force: true, timeout: 1 };
    for (const domain of [id, uuid]) {
      await defineStubDomain(hypervisor, domain);
      const refused = { domain, ...off };
      await stub.expect(
        'domain',
        refused,
        `virsh takes ${domain} for the ID or UUID of another domain: rename it`,
      );
    }
    await stub.expect('disk', { domain: id, readonly: true }, /^virsh takes /);
    assert.match(await virsh('domstate', 'stub'), 'running');

    // The counterpart: no domain has this ID any more.
    await virsh('destroy', 'stub');
    const disk = (changed: boolean) => stub.expect('disk', { domain: id, readonly: true }, { changed });
    await disk(true);
    await disk(false);
    const { state, read_only: sealed } = await module('domain', { domain: id });
    assert.equal([state, sealed], ['shut off', null]);
    assert.not.match(await stub.xml(), '<readonly/>');
    await stub.expect('domain', { domain: id, state: 'running' }, { changed: true });
    assert.match(await virsh('list', '--name'), new RegExp(`^${id}\\s*$`));
  },
);

host.run();
