import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { unsetBoot } from '../libvirt/stub-domain.ts';
import { type PlayRow, shortLimits, stubSuite } from '../libvirt/stub-suite.ts';

/** Uses stub domains like `host.test.ts`. Tests the boot settings of a domain, and the reports of the playbooks. */
const host = stubSuite('the host sets and reports how domains boot');

/** The part of the result of the module `domain` that describes the boot. */
interface Boot {
  firmware: string;
  store: string | null;
  wrong: string[];
  blockers: string[];
}

host('the boot: the system disk alone boots, with serials; once', async ({ expect, module, virsh, xml }) => {
  await expect('boot', {}, { corrected: unsetBoot }, 'check');
  await expect('boot', {}, { changed: true });
  const after = await xml();
  assert.not.match(after, '<boot dev=');
  assert.equal([...after.matchAll(/<boot order='\d'\/>/g)].length, 1);
  assert.match(
    after,
    /<target dev='vda' bus='virtio'\/>\s*<serial>[0-9a-f]{12}-vda<\/serial>\s*<boot order='1'\/>/,
  );
  assert.match(after, /<serial>[0-9a-f]{12}-vdb<\/serial>/);
  assert.match(after, '<on_reboot>restart</on_reboot>', 'a BIOS has no variables');
  await expect('boot', {}, { changed: false });
  assert.equal(((await module('domain', {}))['boot'] as Boot).wrong, []);
  await virsh('start', 'stub');
  assert.match(await virsh('domstate', 'stub'), 'running', 'libvirt and QEMU accept the definition');
});

/** The XML for the firmware of Debian's package ovmf. */
const flash = (folder: string) =>
  `<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
  <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>${folder}/variables.fd</nvram>`;

host(
  'UEFI variables: a start by the role resets the store, a plain start does not',
  async ({ folder, expect, expectPlays, module, virsh, xml }) => {
    const start = (answer: Record<string, unknown> = {}) => expect('domain', { state: 'running' }, answer);
    const store = join(folder, 'variables.fd');
    const state = () => virsh('domstate', 'stub');
    const reset = () => virsh('reset', 'stub');
    const isPlanted = async () => (await readFile(store)).includes('planted');
    const plant = async () => {
      await virsh('destroy', 'stub');
      const content = await readFile(store);
      content.write('planted', content.length - 64);
      await writeFile(store, content);
    };
    await start({ changed: true });
    await plant();
    await virsh('start', 'stub');
    assert.is(await isPlanted(), true, 'libvirt keeps the store');
    await plant();
    await start();
    assert.is(await isPlanted(), false);
    await reset();
    await sleep(2000);
    assert.match(await state(), 'running', 'with on_reboot as virt-install sets it');

    await virsh('destroy', 'stub');
    await expect('boot', {}, { corrected: [...unsetBoot, 'on_reboot is restart'] });
    assert.match(await xml(), '<on_reboot>destroy</on_reboot>');
    await start();
    // QEMU may end before it has answered this reset, so only the state of the domain tells.
    await reset().catch(() => undefined);
    await until('a reboot ends the domain', async () => (await state()).startsWith('shut off'), 60);
    await virsh('autostart', 'stub');
    const seen = (await module('domain', {}))['boot'] as Boot;
    assert.equal([seen.firmware, seen.store, seen.wrong], ['uefi', store, []]);
    assert.match(
      seen.blockers.join('\n'),
      /^libvirt starts the domain automatically and keeps UEFI variables/,
    );
    const blocked = /^stub: shut off, open\. FAILED: Require that only the host /;
    await expectPlays([['open', 'shut off', 'seal', { ansible_timeout: 2 }, 2, blocked]]);
  },
  { firmware: flash },
);

const notStarted = /^stub: running, open, does not answer. FAILED: Wait until the guest has started: /;
const unanswered = /^stub: running, open, does not answer. FAILED: Wait until the guest /;
const stateUnknown =
  /^stub: running, sealed, .*FAILED: Require that no state is lost: stub was not shut down, because state .* could be lost: the guest: /;
const deaf =
  'stub: running, sealed, does not answer. FAILED: Wait until the guest has shut down: stub is running, not shut off, after 2 s';

const reports: readonly PlayRow[] = [
  ['open', 'shut off', 'unseal', {}, 2, notStarted],
  ['open', 'shut off', 'seal', {}, 2, unanswered],
  ['sealed', 'running', 'unseal', {}, 2, stateUnknown],
  ['sealed', 'running', 'unseal', { immutafs_lose_state: true }, 2, [deaf]],
  ['open', 'running', 'status', {}, 0, ['stub: running, open, does not answer']],
];

host(
  'playbooks report the state of a guest that does not start, shut down or answer',
  async ({ expectPlays, xml }) => {
    for (const row of reports) {
      await expectPlays([row], shortLimits);
      const isSealed = (await xml()).includes('<readonly/>');
      assert.is(
        isSealed,
        row[0] === 'sealed',
        'no disk is changed; a guest that did not confirm is not sealed',
      );
    }
  },
);

host.run();
