import { execFile } from 'node:child_process';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Hypervisor } from '../libvirt/hypervisor.ts';
import { stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/** Uses a stub domain like `host.test.ts`. Guests with seeds boot in `long/seed.test.ts`. */
const seeds = suite('the seed of a guest');

/** The arguments that every call of the module has. */
const at = ({ uri, folder }: Hypervisor) => ({
  ...{ uri, domain: 'stub', directory: join(folder, 'state'), image_directory: folder },
});

/** Prints the path of each file in the image, and its content. */
const read = async (image: string): Promise<string> => {
  const program = `work=$(mktemp -d) && xorriso -osirrox on -indev "$1" -extract / "$work/seed" >/dev/null 2>&1 &&
    cd "$work/seed" && find . -type f | sort | while read -r file; do echo "$file"; cat "$file"; done; chmod -R u+w "$work"; rm -r "$work"`;
  return (await promisify(execFile)('sh', ['-c', program, 'sh', image])).stdout;
};

seeds('it is made and attached once, keeps its host key, and changes with its options', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const directory = join(hypervisor.folder, 'state');
    const image = join(hypervisor.folder, 'stub-seed.iso');
    const more = { ...at(hypervisor), target: 'sda' };
    const seed = (options: Record<string, unknown> = {}, mode?: 'check') =>
      ansible.module('seed', { ...more, ...options }, mode);
    const user = { users: [{ name: 'deploy' }] };

    const planned = await seed({ user_data: user }, 'check');
    assert.is(planned.changed, true);
    assert.is(await stat(image).catch(() => null), null, 'check mode changes nothing');

    const first = await seed({ user_data: user });
    assert.is(first.changed, true, first.msg);
    assert.is((await stat(image)).mode & 0o777, 0o600);
    assert.is(
      (await stat(join(directory, 'stub'))).mode & 0o777,
      0o700,
      'the key is where only root can enter',
    );
    const secret = await readFile(join(directory, 'stub/ssh_host_ed25519_key'), 'utf8');
    const content = await read(image);
    assert.match(
      content,
      /^\.\/meta-data\n\{\n "instance-id": "stub",\n "local-hostname": "stub"\n\}\n\.\/user-data\n#cloud-config\n/,
    );
    assert.match(content, JSON.stringify(secret));
    assert.match(content, '"name": "deploy"');
    assert.match(String(first['host_key']), /^ssh-ed25519 \S+ stub$/);
    assert.match(
      await stubXml(hypervisor),
      new RegExp(
        `device='cdrom'>[^]*<source file='${image}'[^]*<target dev='sda' bus='sata'/>[^]*<readonly/>`,
      ),
    );
    // The host reads only what the administrator wrote.
    assert.not.match(JSON.stringify(first), /PRIVATE KEY|deploy/);

    const again = await seed({ user_data: user });
    assert.equal([again.changed, again['checksum']], [false, first['checksum']], again.msg);
    const changed = await seed({ user_data: user, network_config: { version: 2 } });
    assert.is(changed.changed, true);
    assert.is.not(changed['checksum'], first['checksum']);
    assert.is(changed['host_key'], first['host_key']);
    assert.match(await read(image), /\.\/network-config\n\{\n "version": 2\n\}/);

    await rm(image);
    const plain = await seed({ cloud_init: false, files: { 'lan.network': '[Match]\nName=lan\n' } });
    assert.is(plain.changed, true, plain.msg);
    assert.match(
      await read(image),
      /^\.\/immutafs\/hostname\nstub\n\.\/immutafs\/lan\.network\n\[Match\]\nName=lan\n\.\/immutafs\/ssh_host_ed25519_key\n/,
    );
  }),
);

seeds('a disk that is not the drive of the seed is left alone, and a name with a directory is refused', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const before = await stubXml(hypervisor);
    const seed = (options: Record<string, unknown>) =>
      ansible.module('seed', { ...at(hypervisor), ...options });
    const other = await seed({ target: 'vdb' });
    assert.match(other.msg ?? '', /vdb is not a CD-ROM drive with .*stub-seed\.iso, but has .*home\.raw/);
    const path = await seed({ target: 'sda', cloud_init: false, files: { '../shadow': '' } });
    assert.match(path.msg ?? '', /\.\.\/shadow is not the name of a file/);
    const nowhere = await seed({ target: 'sda', image_directory: join(hypervisor.folder, 'none') });
    assert.match(nowhere.msg ?? '', /none\/stub-seed\.iso cannot be written: .*No such file/);
    assert.is(await stubXml(hypervisor), before);
    assert.is(await stat(join(hypervisor.folder, 'stub-seed.iso')).catch(() => null), null);
  }),
);

seeds('the playbook makes the seed with the host name of the inventory', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const directory = join(hypervisor.folder, 'state');
    const variables = {
      immutafs_state_directory: directory,
      immutafs_seed_directory: hypervisor.folder,
      // Ansible would mask these values wherever they occur, also in the checksum.
      immutafs_seed_user_data: { locale: 'C', users: [1, 2, 3, 4, 5, 6, 7, 8, 9].map((uid) => ({ uid })) },
    };
    const made = await ansible.play('seed', variables);
    assert.is(made.exit, 0, made.output);
    assert.match(made.output, /stub: the seed .*\/stub-seed\.iso has the SHA-256 [0-9a-f]{64}/);
    const content = await read(join(hypervisor.folder, 'stub-seed.iso'));
    assert.match(content, '"local-hostname": "stub"');
    assert.match(content, '"locale": "C"');
    assert.match((await ansible.play('seed', variables)).output, /changed=0/);
  }),
);

seeds.run();
