import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { stubArguments, stubXml, unsetBoot, withStubDomain } from '../libvirt/stub-domain.ts';

/** Uses stub domains like `host.test.ts`. Tests the boot settings of a domain, and the reports of the playbooks. */
const host = suite('the host sets and reports how domains boot');

/** The part of the result of the module `domain` that describes the boot. */
interface Boot {
  firmware: string;
  store: string | null;
  wrong: string[];
  blockers: string[];
}

host('the boot: the system disk alone boots, with serials; once, and only while the domain is shut off', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const before = await stubXml(hypervisor);
    const boot = (mode?: 'check') =>
      ansible.module('boot', { uri: hypervisor.uri, domain: 'stub', target: 'vda' }, mode);
    assert.equal((await boot('check')).corrected, unsetBoot);
    assert.is(await stubXml(hypervisor), before, 'in check mode nothing changes');
    await hypervisor.virsh('start', 'stub');
    assert.match((await boot()).msg ?? '', /is running: it can be changed only while it is shut off/);
    await hypervisor.virsh('destroy', 'stub');
    assert.is((await boot()).changed, true);
    const after = await stubXml(hypervisor);
    assert.not.match(after, '<boot dev=');
    assert.equal([...after.matchAll(/<boot order='\d'\/>/g)].length, 1);
    assert.match(
      after,
      /<target dev='vda' bus='virtio'\/>\s*<serial>[0-9a-f]{12}-vda<\/serial>\s*<boot order='1'\/>/,
    );
    assert.match(after, /<serial>[0-9a-f]{12}-vdb<\/serial>/);
    assert.match(after, '<on_reboot>restart</on_reboot>', 'a BIOS has no variables');
    const [{ changed }, seen] = [await boot(), await ansible.module('domain', stubArguments(hypervisor))];
    assert.equal([changed, (seen.boot as Boot).wrong], [false, []]);
    await hypervisor.virsh('start', 'stub');
    assert.match(
      await hypervisor.virsh('domstate', 'stub'),
      'running',
      'libvirt and QEMU accept the definition',
    );
  }),
);

/** The XML for the firmware of Debian's package ovmf. */
const flash = (folder: string) =>
  `<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
  <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>${folder}/variables.fd</nvram>`;

host('UEFI variables: a start by the role resets the store, a plain start does not', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const start = () => ansible.module('domain', { ...stubArguments(hypervisor), state: 'running' });
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
    assert.equal(boot.corrected, [...unsetBoot, 'on_reboot is restart']);
    assert.match(await stubXml(hypervisor), '<on_reboot>destroy</on_reboot>');
    await start();
    // QEMU may end before it has answered this reset, so only the state of the domain tells.
    await reset().catch(() => undefined);
    await until('a reboot ends the domain', async () => (await state()).startsWith('shut off'), 60);
    await hypervisor.virsh('autostart', 'stub');
    const seen = (await ansible.module('domain', stubArguments(hypervisor))).boot as Boot;
    assert.equal([seen.firmware, seen.store, seen.wrong], ['uefi', store, []]);
    assert.match(
      seen.blockers.join('\n'),
      /^libvirt starts the domain automatically and keeps UEFI variables/,
    );

    const sealing = await ansible.play('seal', { ansible_timeout: 2 });
    assert.is(sealing.exit, 2);
    assert.match(sealing.report.join('\n'), /^stub: shut off, open\. FAILED: Require that only the host /);
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
    assert.not.match(await stubXml(hypervisor), 'readonly', 'a guest that did not confirm is not sealed');

    await hypervisor.virsh('destroy', 'stub');
    await disk(true);
    await hypervisor.virsh('start', 'stub');
    const unknown = await ansible.play('unseal', limits);
    assert.match(
      unknown.report.join('\n'),
      /^stub: running, sealed, .*FAILED: Require that no state is lost: stub was not shut down, because state .* could be lost: the guest: /,
    );
    const deaf = await ansible.play('unseal', { ...limits, immutafs_lose_state: true });
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
