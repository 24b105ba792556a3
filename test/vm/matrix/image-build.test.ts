import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { held } from '../harness/shared.ts';
import { withHypervisor } from '../libvirt/hypervisor.ts';
import { assertPlayed, withAnsible } from '../libvirt/playbooks.ts';
import { type Pool, killedAt, note, withPool } from '../libvirt/scripted-guest.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';
import { type Answer, assertAnswer } from '../libvirt/stub-suite.ts';

/** Tests the playbook image with stub domains, in which a program answers for the builder. */
const image = suite('the next version of an image is made in a copy');

const variables = ({ common }: Pool) => ({
  ...common,
  immutafs_hosts: 'web',
  immutafs_builder_template: 'a',
  immutafs_image_version: '2',
  immutafs_update_commands: note('update'),
  immutafs_health_commands: note('health'),
});

/** The files of a pool whose name contains "web", without those that answer for the builder. */
const filesOf = async ({ host }: Pool) =>
  (await readdir(host.folder)).filter((name) => /^\.?web[.-][^-]*$/.test(name)).toSorted();

const published = ['', '.cdx.json', '.json', '.sha256'].map((end) => `web-2.raw${end}`);

/** What is used here of the bill of materials. */
interface Bill {
  metadata: { component: { hashes: unknown[] } };
  components: { name: string }[];
}

const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'));

const withImage = (work: (pool: Pool) => Promise<void>) => withPool(['a'], work, ['web']);

/** A pool that tests share, in their order: the first two leave it as it was, and the others make the versions 2 to 4. */
const { open, close } = held(withImage);

/** Creates an overlay of a raw image. @param more arguments of `qemu-img create`; with `-u`, the image need not exist */
const createOverlay = (overlay: string, base: string, ...more: string[]) =>
  execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, overlay, ...more]);

image(
  'a failed command, a failed trial boot and a failed test leave the old version, and nothing else',
  async () => {
    const pool = await open();
    const { ansible, host, state } = pool;
    const before = await readFile(join(host.folder, 'one'));
    const put = (line: string) => [
      ['sh', '-c', `printf '\\n${line}\\n' | dd of="$IMAGE" bs=1 seek=64 conv=notrunc status=none`],
    ];
    for (const [changes, reason] of [
      [
        { immutafs_update_commands: [['sh', '-c', 'echo no mirror; exit 3']] },
        /: Update: .*exit code 3.*no mirror/,
      ],
      [{ immutafs_image_command: ['true'] }, /: Require the version of the image: .* reports the version 1 /],
      [
        { immutafs_image_ready_command: ['false'] },
        /: Verify that the guest can be sealed: false ended with 1/,
      ],
      [{ immutafs_update_commands: put('fails') }, /: Query the status of the sealed guest: .*failed: disk/],
      [{ immutafs_health_commands: [['false']] }, /: Run the health commands: false ended with 1/],
    ] as const) {
      assertPlayed(await ansible.play('image', { ...variables(pool), ...changes }), 2, reason);
      assert.equal(await filesOf(pool), []);
      assert.not.match(await host.virsh('list', '--all', '--name'), /web-builder/);
      assert.equal(await readFile(join(host.folder, 'one')), before, 'the image is unchanged');
      assert.equal(await state(), ['a running one']);
    }
  },
);

/** Arguments of the module `builder` other than the usual ones, what it must return, and its mode. */
type Row = readonly [args: Record<string, unknown>, answer: Answer, mode?: 'check'];

image('too little space, an image that a domain can write, and an untried copy are refused', async () => {
  const { ansible, host } = await open();
  const at = (name: string): string => join(host.folder, name);
  const usual = { uri: host.uri, domain: 'web-builder', target: 'vda', name: 'web', version: '2' };
  const assertRows = async (rows: readonly Row[]) => {
    for (const [args, answer, mode] of rows) {
      const all = { ...usual, template: 'a', state: 'begun', ...args };
      assertAnswer(await ansible.module('builder', all, mode), answer, JSON.stringify(args));
    }
  };
  const directory = at('small');
  await mkdir(directory);
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'small', directory]);
  const space = /needs up to 1 MiB for the next version of .*\/one, but only 0 MiB are free: free some/;
  try {
    await assertRows([
      [{ directory }, space, 'check'],
      [{ directory, growth: '256K' }, { changed: true }, 'check'],
    ]);
  } finally {
    await execa('umount', [directory]);
  }
  const home = { source: at('a/home.raw'), format: 'raw' };
  // The copy of an image that is based on another one is based on nothing.
  const [overlay, copy] = [at('overlay.qcow2'), at('.web.building')];
  await createOverlay(overlay, at('one'));
  await assertRows([
    [home, /a\/home\.raw can be written by a vdb: seal these domains first$/],
    [{ name: '../web' }, /^'\.\.\/web' cannot be the name of an image/],
    [{ template: 'none' }, /failed to get domain 'none'/],
    [{ source: at('none') }, /none cannot be used: No such file or directory$/],
    [{ state: 'absent', domain: 'a' }, /^the domain a exists and is not a builder/],
    [
      { source: overlay, format: 'qcow2', disks: ['vdb'] },
      { path: at('web-2.qcow2'), copy },
    ],
  ]);
  const { stdout } = await execa('qemu-img', ['info', '--output=json', copy]);
  assert.not.match(stdout, /backing/);
  await execa('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', copy, at('one')]);
  const xml = await host.virsh('dumpxml', 'web-builder');
  assert.equal(
    [xml.match(/<disk /g)?.length, xml.includes('<interface'), xml.includes('hostfwd')],
    [2, false, false],
  );

  // The image of a domain other than the template.
  await defineStubDomain(host, 'template');
  const owned = { name: 'owned', template: 'template' };
  const claims = 'agent 1\nkernel 1\npackage a 1\nfile 1  /boot/vmlinuz\n';
  const untried = { state: 'published', source: overlay, before: claims, after: claims };
  await assertRows([
    [{ ...owned, owner: 'a' }, { source: at('one') }, 'check'],
    [owned, { source: at('template/system.raw') }, 'check'],
    [untried, /^web-builder was not tried: its disk is writable$/],
    [{ state: 'absent' }, { changed: true }],
    [{ state: 'absent' }, { changed: false }],
  ]);
  assert.not.match(await host.virsh('list', '--all', '--name'), /web-builder/);
  assert.equal(
    (await readdir(host.folder)).filter((name) => name.startsWith('.web')),
    [],
  );
});

image('it is updated, tried and published with checksum and receipt', async () => {
  const pool = await open();
  const { ansible, host, notes } = pool;
  const [previous, path] = [join(host.folder, 'one'), join(host.folder, 'web-2.raw')];
  const before = await readFile(previous);
  const earlier = (await notes()).length;
  await chmod(previous, 0o640);
  const { exit, report, output } = await ansible.play('image', variables(pool));
  assert.is(exit, 0, output);
  const [, sha256 = ''] =
    /^web: (?:.*)web-2\.raw: 1 packages added, 1 removed, SHA-256 (\w{64})$/.exec(report.join('\n')) ?? [];
  assert.is(await readFile(`${path}.sha256`, 'utf8'), `${sha256}  web-2.raw\n`, output);
  const receipt = (await readJson(`${path}.json`)) as Record<string, unknown>;
  assert.equal([receipt['name'], receipt['image'], receipt['source']], ['web', '2', previous]);
  assert.equal(receipt['changes'], { removed: ['pool 1'], added: ['pool 2'] });
  const { metadata, components } = (await readJson(`${path}.cdx.json`)) as Bill;
  assert.equal(metadata.component.hashes, [{ alg: 'SHA-256', content: sha256 }]);
  assert.equal(components.map((each) => each.name).toSorted(), ['debian', 'pool']);
  assert.equal(await filesOf(pool), published);
  const modes = await Promise.all(
    published.map(async (each) => (await stat(join(host.folder, each))).mode & 0o777),
  );
  assert.equal(
    modes,
    [0o640, 0o644, 0o644, 0o644],
    'the mode of the previous image; the receipts are not secret',
  );
  assert.not.match(await host.virsh('list', '--all', '--name'), /web-builder/);
  assert.equal(await readFile(previous), before, 'the image is unchanged');
  const did = ['update web-builder', 'health web-builder'];
  assert.equal((await notes()).slice(earlier), did);

  assertPlayed(await ansible.play('image', variables(pool)), 0, [`web: ${path} exists`]);
  assert.equal((await notes()).slice(earlier), did, 'nothing was built');
});

image('a domain whose image cannot be examined prevents the removal of old versions', async () => {
  const pool = await open();
  const { ansible, host } = pool;
  await defineStubDomain(host, 'c', { homeFormat: 'qcow2' });
  const overlay = join(host.folder, 'c/home.qcow2');
  await createOverlay(overlay, 'gone', '-u', '1M');
  const make = (version: string) =>
    ansible.play('image', { ...variables(pool), immutafs_image_keep: 1, immutafs_image_version: version });
  const third = await make('3');
  // The new version is made nevertheless.
  assertPlayed(third, 0, /web-3\.raw: .* SHA-256 \w{64}$/);
  assert.match(third.output, /qemu-img .*gone/);
  await rm(overlay);
  // The counterpart.
  assertPlayed(await make('4'), 0, /; removed: .*web-2\.raw, .*web-3\.raw$/);
});

image('guests are brought to the version', async () => {
  const pool = await open();
  const { ansible, host, state } = pool;
  const own = { immutafs_image: join(host.folder, 'web-4.raw'), immutafs_image_version: '4' };
  const moved = await ansible.play('pool', {
    ...{ ...variables(pool), immutafs_hosts: 'a', immutafs_backlog_required: false },
    ...own,
  });
  assert.equal([moved.exit, await state()], [0, ['a running web-4.raw']], moved.output);
});

image('a run that is killed is repeated; a domain that is no builder is never ended', () =>
  withImage(async (pool) => {
    const { ansible, host, state } = pool;
    for (const task of ['Require maintenance mode', 'Publish']) {
      await killedAt(pool, 'image', task, variables(pool));
      assert.not.match((await filesOf(pool)).join(), /web-2\.raw(,|$)/, 'not yet published');
      assert.match(await host.virsh('list', '--all', '--name'), /web-builder/);
    }
    const play = (more: Record<string, unknown> = {}) =>
      ansible.play('image', { ...variables(pool), ...more });
    assertPlayed(await play(), 0, /web-2\.raw: /);
    assert.equal(await filesOf(pool), published);

    const foreign = /Copy the image: the domain a exists and is not a builder/;
    assertPlayed(await play({ immutafs_image_version: '3', immutafs_builder_domain: 'a' }), 2, foreign);
    assert.equal(await state(), ['a running one']);

    const receipt = join(host.folder, 'web-2.raw.json');
    await rm(receipt);
    assertPlayed(await play(), 2, /web-2\.raw exists, but was not made by this playbook/);
    await writeFile(receipt, '{}');
    assert.is((await play()).exit, 0, 'the counterpart');
  }),
);

image('old versions are removed, but none that is used, and the newest good ones are kept', () =>
  withHypervisor((host) =>
    withAnsible(host, [], async (ansible) => {
      for (const name of ['a', 'b']) await defineStubDomain(host, name, { isSealed: true });
      const at = (version: number): string => join(host.folder, `web-${version}.raw`);
      for (const version of [1, 2, 3, 4, 5, 6, 7, 8]) {
        await execa('truncate', ['--size', '1M', at(version)]);
        const time = `2026-12-0${version}T00:00:00Z`;
        const receipt = { version: 1, name: 'web', image: String(version), source: at(version - 1), time };
        for (const end of ['json', 'cdx.json', 'sha256'])
          await writeFile(`${at(version)}.${end}`, JSON.stringify(end === 'json' ? receipt : {}));
      }
      await writeFile(at(0), 'an image of an administrator');
      const set = async (domain: string, state: string, version?: number) => {
        const path = version === undefined ? {} : { path: at(version) };
        const own = { uri: host.uri, domain, target: 'vda', format: 'raw', reason: 'failed', state, ...path };
        assert.is((await ansible.module('image', own)).failed, false, `${domain} ${state}`);
      };
      // a returns from version 6, which has failed; b has version 8, and returns to version 2.
      for (const state of ['trial', 'returned', 'kept']) await set('a', state, 6);
      for (const version of [2, 8]) for (const state of ['trial', 'kept']) await set('b', state, version);
      // The data disk of another domain is based on version 3, and QEMU uses version 4 without libvirt.
      await defineStubDomain(host, 'c', { homeFormat: 'qcow2' });
      await createOverlay(join(host.folder, 'c/home.qcow2'), at(3));
      const own = { uri: host.uri, domain: 'web-builder', target: 'vda', directory: host.folder };
      const pruned = { ...own, name: 'web', template: 'a' };
      const prune = async (keep: number, mode?: 'check') => {
        const { msg, ...result } = await ansible.module(
          'builder',
          { ...pruned, state: 'pruned', keep },
          mode,
        );
        assert.is(msg, undefined);
        return result['removed'];
      };
      const left = async () => (await readdir(host.folder)).filter((name) => name.startsWith('web-')).length;
      const drive = `if=virtio,readonly=on,format=raw,file=${at(4)}`;
      const machine = ['-S', '-nodefaults', '-display', 'none', '-drive', drive];
      const user = execa('qemu-system-x86_64', machine, { stdin: 'ignore', reject: false });
      try {
        const isLocked = async () =>
          (await execa('qemu-io', ['-f', 'raw', '-c', 'quit', at(4)], { reject: false })).exitCode !== 0;
        await until('QEMU has locked its image', isLocked);
        const before = await left();
        assert.equal([await prune(0), await prune(9), await prune(7)], [[], [], []]);
        assert.equal([await prune(2, 'check'), await left()], [[at(1), at(5), at(6)], before]);
        assert.equal([await prune(3), await prune(3)], [[at(1)], []]);
        assert.equal([await prune(2), await left()], [[at(5), at(6)], before - 12]);
      } finally {
        user.kill();
        await user;
      }
      assert.equal(await prune(1), [at(4), at(7)], 'QEMU no longer uses it');
      await host.virsh('undefine', 'b');
      await host.virsh('undefine', 'c');
      assert.equal(await prune(1), [at(2), at(3)]);
      assert.equal([await prune(1), (await readFile(at(0), 'utf8')).slice(0, 8)], [[], 'an image']);
    }),
  ),
);

image('the pool ends without an error', close);

image.run();
