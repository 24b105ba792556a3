import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';

/** Tests update.yml with maintenance windows, serial 1 and three sealed stub domains. Check mode, as no guest answers. */
const host = suite('guests are opened only in a window');

const names = ['first', 'second', 'third'];

/** Returns a time of day in UTC, this many minutes from now. */
const clock = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);

/** Returns the guests whose disk the playbook would make writable. */
function openedIn(output: string): string[] {
  const tasks = output.matchAll(/TASK \[[^\]]* : Set the disk writable\] \*+\n([\s\S]*?)(?=\nTASK|\nPLAY)/g);
  return [...tasks].flatMap(([, text = '']) =>
    [...text.matchAll(/^changed: \[(\w+)/gm)].map(([, name = '']) => name),
  );
}

host('two windows, three guests: exactly those that fit are opened, the others stay sealed', () =>
  withHypervisor(async (hypervisor) => {
    const guests = [];
    for (const name of names) guests.push(await defineStubDomain(hypervisor, name, { isSealed: true }));
    await withAnsible(hypervisor, guests, async (ansible) => {
      const open = { from: clock(-10), to: clock(60) };
      const closed = { from: clock(120), to: clock(180) };
      const of = (each: unknown[]) =>
        `{{ {${each.map((value, index) => `'${names[index]}': ${JSON.stringify(value)}`).join(', ')}}[inventory_hostname] }}`;
      const { exit, report, output } = await ansible.play(
        'update',
        {
          immutafs_window: of([[closed, open], [closed], [open]]),
          immutafs_window_duration: of([1200, 1200, 7200]),
        },
        '--check',
      );
      assert.is(exit, 0, output);
      assert.equal(openedIn(output), ['first'], output);
      const [first = '', second = '', third = '', ...more] = report;
      assert.equal([first, more], ['first: shut off, sealed', []]);
      assert.match(
        second,
        /^second: shut off, sealed; not updated: outside of every window; the next window opens at /,
      );
      assert.match(
        third,
        /^third: shut off, sealed; not updated: the window closes in \d+ min, but an update may take 120 /,
      );

      const all = await ansible.play(
        'update',
        { immutafs_window: [open], immutafs_window_duration: 600 },
        '--check',
      );
      assert.equal(openedIn(all.output), names, all.output);
    });
  }),
);

host.run();
