import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { killedAt, note, withPool } from '../libvirt/scripted-guest.ts';
import type { Pool } from '../libvirt/scripted-guest.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';

/** Tests update.yml with `immutafs_update: offline` and stub domains, in which a program answers for guest and builder. */
const offline = suite('the next disk of a sealed guest is made while the guest runs');

const variables = ({ common }: Pool) => ({
  ...common,
  immutafs_update: 'offline',
  immutafs_builder_host: 'web',
  immutafs_builder_domain: 'web-builder',
  immutafs_backlog_required: false,
  immutafs_update_commands: note('update'),
  immutafs_initramfs_command: note('initramfs')[0],
  immutafs_accept_command: note('accept')[0],
  immutafs_health_commands: note('health'),
});

const withGuest = (work: (pool: Pool) => Promise<void>) => withPool(['a'], work, ['web']);

/** The disks that were made for the guest, in the order of their versions. */
const disksOf = async ({ host }: Pool) =>
  (await readdir(host.folder)).filter((name) => /^a-\d{14}\.raw$/.test(name)).toSorted();

const inBuilder = ['update', 'initramfs', 'accept', 'health'].map((each) => `${each} web-builder`);

/** Lets another domain answer at the address of the builder. */
const answersFor = ({ host }: Pool, name: string) => writeFile(join(host.folder, 'answers-web'), name);

offline('it starts from the disk, and the previous disk is kept; a failed disk is exchanged back', () =>
  withGuest(async (pool) => {
    const { ansible, host, notes, state } = pool;
    // A template that is never started, and whose own disk is not copied.
    await defineStubDomain(host, 'template');
    const settings = { ...variables(pool), immutafs_builder_template: 'template' };
    const before = await readFile(join(host.folder, 'one'));
    const { exit, report, output } = await ansible.play('update', settings);
    assert.equal([exit, report], [0, ['a: sealed']], output);
    const [first = ''] = await disksOf(pool);
    assert.equal(await state(), [`a running ${first}`]);
    assert.equal(await notes(), [...inBuilder, 'health a']);
    assert.equal(await readFile(join(host.folder, 'one')), before, 'the previous disk is unchanged');
    assert.not.match(await host.virsh('list', '--all', '--name'), /builder/);

    // The disk is good in the builder, and fails in the guest.
    const failing = { ...settings, immutafs_health_commands: [['sh', '-c', 'test "$NAME" != a']] };
    const returned = await ansible.play('update', failing);
    assert.is(returned.exit, 2, returned.output);
    assert.match(returned.report.join('\n'), /^a: sealed; rolled back: Run the health commands: /);
    assert.equal(await state(), [`a running ${first}`]);

    const made = await disksOf(pool);
    const again = await ansible.play('update', { ...settings, immutafs_image_keep: 1 });
    assert.equal([again.exit, again.report], [0, ['a: sealed']], again.output);
    const [kept, last = '', ...more] = await disksOf(pool);
    assert.equal(
      [made.length, kept, more],
      [2, first, []],
      'the disk that failed is removed, the previous one is not',
    );
    assert.ok(!made.includes(last), 'the failed disk was not used again');
    assert.equal(await state(), [`a running ${last}`]);
  }),
);

offline('a failed command, and another machine at the address of the builder, leave the guest running', () =>
  withGuest(async (pool) => {
    const { ansible, host, state, notes } = pool;
    const running = (await host.virsh('domid', 'a')).trim();
    const refusal = async (changes: Record<string, unknown>) => {
      const { exit, report, output } = await ansible.play('update', { ...variables(pool), ...changes });
      assert.is(exit, 2, output);
      assert.equal([await state(), await disksOf(pool)], [['a running one'], []]);
      return report.join('\n');
    };
    assert.match(
      await refusal({ immutafs_update_commands: [['sh', '-c', 'echo no mirror; exit 3']] }),
      /^a: sealed\. FAILED: Update: .*no mirror/,
    );
    assert.match(
      await refusal({ immutafs_builder_host: 'a' }),
      /^a: sealed\. FAILED: Require a connection to the builder: set immutafs_builder_host/,
    );
    await answersFor(pool, 'a');
    assert.match(await refusal({}), /FAILED: Require maintenance mode: web-builder is in mode sealed/);
    await defineStubDomain(host, 'open');
    await host.virsh('start', 'open');
    await answersFor(pool, 'open');
    assert.match(
      await refusal({}),
      /FAILED: Require that the builder answers: the machine that answers on web/,
    );
    assert.is((await host.virsh('domstate', 'open')).trim(), 'running', 'it was not shut down');
    assert.is((await host.virsh('domid', 'a')).trim(), running);
    assert.equal(await notes(), []);
  }),
);

offline(
  'a disk that is made is used by the next run, in a window or after a kill, until the exchange is finished',
  () =>
    withGuest(async (pool) => {
      const { ansible, state, notes } = pool;
      const clock = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);
      const closed = { immutafs_window: [{ from: clock(60), to: clock(180) }] };
      const deferred = await ansible.play('update', { ...variables(pool), ...closed });
      assert.is(deferred.exit, 0, deferred.output);
      assert.match(deferred.report.join('\n'), /^a: sealed; not updated: outside of every window/);
      assert.equal([await state(), await notes()], [['a running one'], inBuilder]);

      await killedAt(pool, 'update', 'Set the image', variables(pool));
      await killedAt(pool, 'update', 'Run the health commands', variables(pool));
      const { exit, report, output } = await ansible.play('update', { ...variables(pool), ...closed });
      assert.equal([exit, report], [0, ['a: sealed']], output);
      const [disk, ...more] = await disksOf(pool);
      assert.equal([await state(), more], [[`a running ${disk}`], []]);
      assert.equal(
        (await notes()).filter((line) => line.startsWith('update')),
        ['update web-builder'],
      );
    }),
);

offline.run();
