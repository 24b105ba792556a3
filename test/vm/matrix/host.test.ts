import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import type { Hypervisor } from '../libvirt/hypervisor.ts';
import { freePort } from '../libvirt/domain.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import type { Ansible } from '../libvirt/playbooks.ts';

/**
 * The modules and playbooks of the host, with real libvirt, virt-xml, QEMU and Ansible, and stub domains: nothing runs in
 * them, so they start at once and never react.
 */
const host = suite('the host seals and unseals domains');

const xml = (hypervisor: Hypervisor, ...options: string[]) =>
  hypervisor.virsh('dumpxml', '--security-info', '--inactive', ...options, 'stub');

/** Boot problems of a domain as virt-install defines it. */
const unset = [
  'vda has no serial',
  'vdb has no serial',
  "the firmware may boot from a disk other than vda: the domain has <boot dev='hd'/>",
];

interface Boot {
  firmware: string;
  store: string | null;
  wrong: string[];
  blockers: string[];
}

const facts = ({ uri }: Hypervisor) => ({ uri, domain: 'stub', target: 'vda' });

/** Calls `work` with a libvirt, its domain `stub`, and Ansible. */
async function withStubDomain(
  work: (ansible: Ansible, hypervisor: Hypervisor, disk: Disk) => Promise<void>,
  firmware?: (folder: string) => string,
): Promise<void> {
  await withRunFolder((folder) =>
    withHypervisor(folder, async (hypervisor) => {
      const port = await freePort();
      await defineStubDomain(hypervisor, 'stub', port, { firmware: firmware?.(folder) ?? '' });
      await withAnsible(hypervisor, [{ name: 'stub', port, key: '/dev/null' }], (ansible) => {
        const disk: Disk = (readonly, more = {}, ...options) => {
          const args = { uri: hypervisor.uri, domain: 'stub', target: 'vda', readonly, ...more };
          return ansible.module('disk', args, ...options);
        };
        return work(ansible, hypervisor, disk);
      });
    }),
  );
}

type Disk = (
  readonly: boolean,
  more?: Record<string, unknown>,
  ...options: string[]
) => ReturnType<Ansible['module']>;

/** Destroys the domain while the module waits for its end. Waits longer each time the module had not started yet. */
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
  withStubDomain(async (_, hypervisor, disk) => {
    const before = await xml(hypervisor);
    assert.is((await disk(true, {}, '--check')).changed, true, 'check mode reports the change');
    assert.is(await xml(hypervisor), before, 'in check mode nothing changes');

    assert.is((await disk(true)).changed, true);
    const sealed = await xml(hypervisor);
    const [first = '', ...others] = sealed.split(/ *<readonly\/>\n/);
    assert.is(first + others.join(''), before);
    assert.match(first.slice(first.lastIndexOf('<disk')), "<target dev='vda'");
    assert.is((await disk(true)).changed, false, 'the second run changes nothing');
    assert.is((await disk(false)).changed, true);
    assert.is(await xml(hypervisor), before);

    const unknown = await disk(true, { target: 'vdz' });
    assert.is(unknown.msg, 'stub has no disk vdz');
    await hypervisor.virsh('start', 'stub');
    assert.match((await disk(true)).msg ?? '', /is running: it is changed only while it is shut off/);
    assert.is((await disk(false)).changed, false, 'no failure where nothing has to change');
    await hypervisor.virsh('managedsave', 'stub');
    assert.match((await disk(true)).msg ?? '', /has a saved memory image/);
    assert.is(await xml(hypervisor), before);
  }),
);

host('the disk: if virt-xml changes more, or nothing, the module restores the domain and fails', () =>
  withStubDomain(async (_, hypervisor, disk) => {
    const before = await xml(hypervisor);
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
      [
        '/usr/bin/virt-xml "$@"; echo half >&2; exit 1',
        'virt-xml stub: half; the previous XML was restored',
      ],
      ['exit 0', 'stub: virt-xml did not change vda'],
    ] as const) {
      const result = await disk(true, { virt_xml: await program(text) });
      assert.is(result.failed, true, text);
      if (typeof said === 'string') assert.is(result.msg, said);
      else assert.match(result.msg ?? '', said);
      assert.is(await xml(hypervisor), before, 'including the password of its console');
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
      const boot = { firmware: 'bios', store: null, wrong: unset, blockers: [] };
      assert.equal(
        { ...(await domain({})), reason: '', read: {} },
        {
          ...{ changed: false, failed: false, state: 'running', reason: '', target: 'vda', bus: 'virtio' },
          ...{
            saved: false,
            persistent: true,
            live: true,
            qemu: true,
            now: true,
            boot,
            boot_now: boot,
            read: {},
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
      assert.is(crashed.msg, 'stub did not shut down cleanly, its end was: destroyed');
      const { state, persistent, live, qemu, now } = await domain({});
      const off = { state: 'shut off', persistent: true, live: null, qemu: null, now: null };
      assert.equal({ state, persistent, live, qemu, now }, off);
    }),
);

host('the boot: the system disk alone boots, with serials; once, and only while the domain is shut off', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const before = await xml(hypervisor);
    const boot = (...options: string[]) =>
      ansible.module('boot', { uri: hypervisor.uri, domain: 'stub', target: 'vda' }, ...options);
    assert.equal((await boot('--check')).corrected, unset);
    assert.is(await xml(hypervisor), before, 'in check mode nothing changes');
    await hypervisor.virsh('start', 'stub');
    assert.match((await boot()).msg ?? '', /is running: it is changed only while it is shut off/);
    await hypervisor.virsh('destroy', 'stub');
    assert.is((await boot()).changed, true);
    const after = await xml(hypervisor);
    assert.not.match(after, '<boot dev=');
    assert.equal([...after.matchAll(/<boot order='\d'\/>/g)].length, 1);
    assert.match(
      after,
      /<target dev='vda' bus='virtio'\/>\s*<serial>[0-9a-f]{12}-vda<\/serial>\s*<boot order='1'\/>/,
    );
    assert.match(after, /<serial>[0-9a-f]{12}-vdb<\/serial>/);
    assert.match(after, '<on_reboot>restart</on_reboot>', 'a BIOS has no variables');
    const [{ changed }, seen] = [await boot(), await ansible.module('domain', facts(hypervisor))];
    assert.equal([changed, (seen.boot as Boot).wrong], [false, []]);
    await hypervisor.virsh('start', 'stub');
    assert.match(
      await hypervisor.virsh('domstate', 'stub'),
      'running',
      'libvirt and QEMU accept the definition',
    );
  }),
);

/** The paths of Debian's package ovmf. */
const flash = (folder: string) =>
  `<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
  <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>${folder}/variables.fd</nvram>`;

host('UEFI variables: a start by the role resets the store, a plain start does not', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const start = () => ansible.module('domain', { ...facts(hypervisor), state: 'running' });
    const store = join(hypervisor.folder, 'variables.fd');
    const state = () => hypervisor.virsh('domstate', 'stub');
    const reset = () => hypervisor.virsh('reset', 'stub');
    const isPlanted = async () => (await readFile(store)).includes('planted');
    const plant = async () => {
      await hypervisor.virsh('destroy', 'stub');
      const content = await readFile(store);
      content.write('planted', content.length - 64);
      await writeFile(store, content);
    };
    assert.is((await start()).changed, true);
    await plant();
    await hypervisor.virsh('start', 'stub');
    assert.is(await isPlanted(), true, 'libvirt keeps the store');
    await plant();
    assert.is((await start()).failed, false);
    assert.is(await isPlanted(), false);
    await reset();
    await sleep(2000);
    assert.match(await state(), 'running', 'with on_reboot as virt-install sets it');

    await hypervisor.virsh('destroy', 'stub');
    const boot = await ansible.module('boot', { uri: hypervisor.uri, domain: 'stub', target: 'vda' });
    assert.equal(boot.corrected, [...unset, 'on_reboot is restart']);
    assert.match(await xml(hypervisor), '<on_reboot>destroy</on_reboot>');
    await start();
    await reset();
    await until('a reboot ends the domain', async () => (await state()).startsWith('shut off'), 60);
    await hypervisor.virsh('autostart', 'stub');
    const seen = (await ansible.module('domain', facts(hypervisor))).boot as Boot;
    assert.equal([seen.firmware, seen.store, seen.wrong], ['uefi', store, []]);
    assert.match(
      seen.blockers.join('\n'),
      /^libvirt starts the domain by itself and keeps the UEFI variables/,
    );

    const sealing = await ansible.play('seal', { ansible_timeout: 2 });
    assert.is(sealing.exit, 2);
    assert.match(sealing.report.join('\n'), /^stub: shut off, open\. FAILED: Insist that only the host /);
  }, flash),
);

host('playbooks report the state of a guest that does not start, shut down or answer', () =>
  withStubDomain(async (ansible, hypervisor, disk) => {
    const limits = { immutafs_start_timeout: 2, immutafs_shutdown_timeout: 2, ansible_timeout: 2 };
    const { exit, report } = await ansible.play('unseal', limits);
    assert.is(exit, 2);
    assert.match(
      report.join('\n'),
      /^stub: running, open, does not answer. FAILED: Wait until the guest has started: /,
    );

    await hypervisor.virsh('destroy', 'stub');
    const sealing = await ansible.play('seal', limits);
    assert.is(sealing.exit, 2);
    assert.match(
      sealing.report.join('\n'),
      /^stub: running, open, does not answer. FAILED: Wait until the guest /,
    );
    assert.not.match(await xml(hypervisor), 'readonly', 'a guest that did not confirm is not sealed');

    await hypervisor.virsh('destroy', 'stub');
    await disk(true);
    await hypervisor.virsh('start', 'stub');
    const deaf = await ansible.play('unseal', limits);
    assert.is(deaf.exit, 2);
    assert.equal(deaf.report, [
      'stub: running, sealed, does not answer. FAILED: Wait until the guest has shut down: ' +
        'stub is running, not shut off, after 2 s',
    ]);

    await hypervisor.virsh('destroy', 'stub');
    await disk(false);
    await hypervisor.virsh('start', 'stub');
    const status = await ansible.play('status');
    assert.equal([status.exit, status.report], [0, ['stub: running, open, does not answer']]);
  }),
);

host.run();
