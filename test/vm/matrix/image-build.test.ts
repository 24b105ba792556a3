import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { freePort } from '../libvirt/domain.ts';
import { type Hypervisor, setReadOnly, withHypervisor } from '../libvirt/hypervisor.ts';
import { type Ansible, withAnsible } from '../libvirt/playbooks.ts';
import { killedAt, note, withPool } from '../libvirt/scripted-guest.ts';
import type { Pool } from '../libvirt/scripted-guest.ts';
import { defineStubDomain } from '../libvirt/stub-domain.ts';

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

const receiptOf = async ({ host }: Pool) =>
  JSON.parse(await readFile(join(host.folder, 'web-2.raw.json'), 'utf8')) as Record<string, unknown>;

/** Asserts that a run that failed has left nothing, and that the guests have the image that they had. */
async function assertUntouched(pool: Pool, before: Buffer): Promise<void> {
  assert.equal(await filesOf(pool), []);
  assert.not.match(await pool.host.virsh('list', '--all', '--name'), /web-builder/);
  assert.equal(await readFile(join(pool.host.folder, 'one')), before, 'the image is unchanged');
  assert.equal(await pool.state(), ['a running one']);
}

const withImage = (work: (pool: Pool) => Promise<void>) => withPool(['a'], work, ['web']);

image('it is updated, tried and published with checksum and receipt, and guests are brought to it', () =>
  withImage(async (pool) => {
    const { ansible, host, notes, state } = pool;
    const before = await readFile(join(host.folder, 'one'));
    await chmod(join(host.folder, 'one'), 0o640);
    const { exit, report, output } = await ansible.play('image', variables(pool));
    assert.is(exit, 0, output);
    const path = join(host.folder, 'web-2.raw');
    const [, sha256 = ''] =
      /^web: (?:.*)web-2\.raw: 1 packages added, 1 removed, SHA-256 (\w{64})$/.exec(report.join('\n')) ?? [];
    assert.is(await readFile(`${path}.sha256`, 'utf8'), `${sha256}  web-2.raw\n`, output);
    const { name, image: version, source, changes } = await receiptOf(pool);
    assert.equal([name, version, source], ['web', '2', join(host.folder, 'one')]);
    assert.equal(changes, { removed: ['pool 1'], added: ['pool 2'] });
    const { metadata, components } = JSON.parse(await readFile(`${path}.cdx.json`, 'utf8')) as Bill;
    assert.equal(metadata.component.hashes, [{ alg: 'SHA-256', content: sha256 }]);
    assert.equal(components.map((each) => each.name).toSorted(), ['debian', 'pool']);
    assert.equal(await filesOf(pool), published);
    const modes = await Promise.all(
      published.map(async (name) => (await stat(join(host.folder, name))).mode),
    );
    assert.equal(
      modes.map((mode) => mode & 0o777),
      [0o640, 0o644, 0o644, 0o644],
      'the mode of the previous image; the receipts are not secret',
    );
    assert.not.match(await host.virsh('list', '--all', '--name'), /web-builder/);
    assert.equal(await readFile(join(host.folder, 'one')), before, 'the image is unchanged');
    assert.equal(await notes(), ['update web-builder', 'health web-builder']);

    const again = await ansible.play('image', variables(pool));
    assert.equal([again.exit, again.report], [0, [`web: ${path} exists`]], again.output);
    assert.is((await notes()).length, 2, 'nothing was built');

    const pooled = { ...variables(pool), immutafs_hosts: 'a', immutafs_image: path };
    const moved = await ansible.play('pool', { ...pooled, immutafs_backlog_required: false });
    assert.equal([moved.exit, await state()], [0, ['a running web-2.raw']], moved.output);
  }),
);

image('a failed command, a failed trial boot and a failed test leave the old version, and nothing else', () =>
  withImage(async (pool) => {
    const { ansible, host } = pool;
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
      const { exit, report, output } = await ansible.play('image', { ...variables(pool), ...changes });
      assert.is(exit, 2, output);
      assert.match(report.join('\n'), reason, output);
      await assertUntouched(pool, before);
    }
  }),
);

image('a run that is killed is repeated; a domain that is no builder is never ended', () =>
  withImage(async (pool) => {
    const { ansible, host } = pool;
    for (const task of ['Require maintenance mode', 'Publish']) {
      await killedAt(pool, 'image', task, variables(pool));
      assert.not.match((await filesOf(pool)).join(), /web-2\.raw(,|$)/, 'not yet published');
      assert.match(await host.virsh('list', '--all', '--name'), /web-builder/);
    }
    const { exit, output } = await ansible.play('image', variables(pool));
    assert.is(exit, 0, output);
    assert.equal(await filesOf(pool), published);

    const other = { ...variables(pool), immutafs_image_version: '3', immutafs_builder_domain: 'a' };
    const foreign = await ansible.play('image', other);
    assert.match(foreign.report.join('\n'), /Copy the image: the domain a exists and is not a builder/);
    assert.equal(await pool.state(), ['a running one']);

    await rm(join(host.folder, 'web-2.raw.json'));
    const unknown = await ansible.play('image', variables(pool));
    assert.match(unknown.report.join('\n'), /web-2\.raw exists, but was not made by this playbook/);
    await writeFile(join(host.folder, 'web-2.raw.json'), '{}');
    assert.is((await ansible.play('image', variables(pool))).exit, 0, 'the counterpart');
  }),
);

image('too little space, an image that a domain can write, and an untried copy are refused', () =>
  withImage(async ({ ansible, host }) => {
    const at = (name: string): string => join(host.folder, name);
    const own = {
      uri: host.uri,
      domain: 'web-builder',
      target: 'vda',
      name: 'web',
      version: '2',
      template: 'a',
    };
    const builder = (args: Record<string, unknown>, mode?: 'check') =>
      ansible.module('builder', { ...own, ...args }, mode);
    const begun = { state: 'begun' };
    await mkdir(at('small'));
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'small', at('small')]);
    try {
      const small = { ...begun, directory: at('small') };
      const { msg = '' } = await builder(small, 'check');
      assert.match(
        msg,
        /needs up to 1 MiB for the next version of .*\/one, but only 0 MiB are free: free some/,
      );
      assert.is((await builder({ ...small, growth: '256K' }, 'check')).changed, true, 'the counterpart');
    } finally {
      await execa('umount', [at('small')]);
    }
    const written = await builder({ ...begun, source: at('a/home.raw'), format: 'raw' });
    assert.match(written.msg ?? '', /a\/home\.raw can be written by a vdb: seal these domains first$/);
    for (const [changes, message] of [
      [{ name: '../web' }, /^'\.\.\/web' cannot be the name of an image/],
      [{ template: 'none' }, /failed to get domain 'none'/],
      [{ source: at('none') }, /none cannot be used: No such file or directory$/],
      [{ state: 'absent', domain: 'a' }, /^the domain a exists and is not a builder/],
    ] as const)
      assert.match((await builder({ ...begun, ...changes })).msg ?? '', message);

    // The copy of an image that is based on another one is based on nothing.
    const overlay = at('overlay.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', at('one'), overlay]);
    const made = await builder({ ...begun, source: overlay, format: 'qcow2', disks: ['vdb'] });
    assert.equal([made.failed, made['path'], made['copy']], [false, at('web-2.qcow2'), at('.web.building')]);
    const { stdout } = await execa('qemu-img', ['info', '--output=json', at('.web.building')]);
    assert.not.match(stdout, /backing/);
    await execa('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', at('.web.building'), at('one')]);
    const xml = await host.virsh('dumpxml', 'web-builder');
    assert.equal(
      [xml.match(/<disk /g)?.length, xml.includes('<interface'), xml.includes('hostfwd')],
      [2, false, false],
    );

    // The image of a domain other than the template.
    await defineStubDomain(host, 'template', await freePort());
    const owned = { ...begun, name: 'owned', template: 'template' };
    assert.is((await builder({ ...owned, owner: 'a' }, 'check'))['source'], at('one'));
    assert.is((await builder(owned, 'check'))['source'], at('template/system.raw'));

    const claims = 'agent 1\nkernel 1\npackage a 1\nfile 1  /boot/vmlinuz\n';
    const published = { state: 'published', source: overlay, before: claims, after: claims };
    assert.match((await builder(published)).msg ?? '', /^web-builder was not tried: its disk is writable$/);
    assert.is((await builder({ state: 'absent' })).changed, true);
    assert.is((await builder({ state: 'absent' })).changed, false);
    assert.not.match(await host.virsh('list', '--all', '--name'), /web-builder/);
    assert.equal(
      (await readdir(host.folder)).filter((name) => name.startsWith('.web')),
      [],
    );
  }),
);

/** Calls `work` with domains that are shut off and sealed. */
const withSealedDomains = (
  names: readonly string[],
  work: (ansible: Ansible, host: Hypervisor) => Promise<void>,
): Promise<void> =>
  withHypervisor(async (host) => {
    for (const name of names) {
      await defineStubDomain(host, name, await freePort());
      await setReadOnly(host, name, true);
    }
    await withAnsible(host, [], (ansible) => work(ansible, host));
  });

image('old versions are removed, but none that is used, and the newest good ones are kept', () =>
  withSealedDomains(['a', 'b'], async (ansible, host) => {
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
    await defineStubDomain(host, 'c', await freePort(), { homeFormat: 'qcow2' });
    const overlay = join(host.folder, 'c/home.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', at(3), overlay]);
    const own = { uri: host.uri, domain: 'web-builder', target: 'vda', directory: host.folder };
    const pruned = { ...own, name: 'web', template: 'a' };
    const prune = async (keep: number, mode?: 'check') => {
      const { msg, ...result } = await ansible.module('builder', { ...pruned, state: 'pruned', keep }, mode);
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
);

image('a domain whose image cannot be examined prevents the removal', () =>
  withImage(async (pool) => {
    const { ansible, host } = pool;
    assert.is((await ansible.play('image', variables(pool))).exit, 0);
    await defineStubDomain(host, 'c', await freePort(), { homeFormat: 'qcow2' });
    const overlay = join(host.folder, 'c/home.qcow2');
    const create = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-u', '-b', 'gone', overlay, '1M'];
    await execa('qemu-img', create);
    const later = { ...variables(pool), immutafs_image_keep: 1 };
    const first = await ansible.play('image', { ...later, immutafs_image_version: '3' });
    assert.is(first.exit, 0, 'the new version is made nevertheless');
    assert.match(first.output, /qemu-img .*gone/);
    assert.match(first.report.join(), /web-3\.raw: .* SHA-256 \w{64}$/);
    await rm(overlay);
    const second = await ansible.play('image', { ...later, immutafs_image_version: '4' });
    assert.match(second.report.join(), /; removed: .*web-2\.raw, .*web-3\.raw$/, 'the counterpart');
  }),
);

image.run();
