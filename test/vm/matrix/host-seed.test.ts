import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { type Stub, stubSuite } from '../libvirt/stub-suite.ts';

/** Uses a stub domain like `host.test.ts`. Guests with seeds boot in `long/seed.test.ts`. */
const seeds = stubSuite('the seed of a guest');

/** Prints the path of each file in the image, and its content. */
const read = async (image: string): Promise<string> => {
  const program = `work=$(mktemp -d) && xorriso -osirrox on -indev "$1" -extract / "$work/seed" >/dev/null 2>&1 &&
    cd "$work/seed" && find . -type f | sort | while read -r file; do echo "$file"; cat "$file"; done; chmod -R u+w "$work"; rm -r "$work"`;
  return (await promisify(execFile)('sh', ['-c', program, 'sh', image])).stdout;
};

/** The image of the seed, and the arguments that every call of the module has. */
const seedOf = ({ directory, folder }: Stub) => ({
  image: join(folder, 'stub-seed.iso'),
  at: { directory, image_directory: folder, target: 'sda' },
});

seeds('it is made and attached once, keeps its host key, and changes with its options', async (stub) => {
  const { directory, expect, xml } = stub;
  const { image, at } = seedOf(stub);
  const seed = (options: Record<string, unknown>, changed: boolean, mode?: 'check') =>
    expect('seed', { ...at, ...options }, { changed }, mode);
  const user = { user_data: { users: [{ name: 'deploy' }] } };

  await seed(user, true, 'check');
  assert.is(existsSync(image), false, 'check mode changes nothing');

  const { checksum, host_key: hostKey, ...first } = await seed(user, true);
  assert.is((await stat(image)).mode & 0o777, 0o600);
  const records = join(directory, 'stub');
  assert.is((await stat(records)).mode & 0o777, 0o700, 'the key is where only root can enter');
  const secret = await readFile(join(records, 'ssh_host_ed25519_key'), 'utf8');
  const content = await read(image);
  assert.match(
    content,
    /^\.\/meta-data\n\{\n "instance-id": "stub",\n "local-hostname": "stub"\n\}\n\.\/user-data\n#cloud-config\n/,
  );
  assert.match(content, JSON.stringify(secret));
  assert.match(content, '"name": "deploy"');
  assert.match(String(hostKey), /^ssh-ed25519 \S+ stub$/);
  assert.match(
    await xml(),
    new RegExp(`device='cdrom'>[^]*<source file='${image}'[^]*<target dev='sda' bus='sata'/>[^]*<readonly/>`),
  );
  // The host reads only what the administrator wrote.
  assert.not.match(JSON.stringify([first, checksum, hostKey]), /PRIVATE KEY|deploy/);

  assert.is((await seed(user, false))['checksum'], checksum);
  const changed = await seed({ ...user, network_config: { version: 2 } }, true);
  assert.is.not(changed['checksum'], checksum);
  assert.is(changed['host_key'], hostKey);
  assert.match(await read(image), /\.\/network-config\n\{\n "version": 2\n\}/);

  await rm(image);
  await seed({ cloud_init: false, files: { 'lan.network': '[Match]\nName=lan\n' } }, true);
  assert.match(
    await read(image),
    /^\.\/immutafs\/hostname\nstub\n\.\/immutafs\/lan\.network\n\[Match\]\nName=lan\n\.\/immutafs\/ssh_host_ed25519_key\n/,
  );
});

seeds(
  'a disk that is not the drive of the seed is left alone, and a name with a directory is refused',
  async (stub) => {
    const { folder, expect } = stub;
    const { image, at } = seedOf(stub);
    for (const [options, message] of [
      [{ target: 'vdb' }, /vdb is not a CD-ROM drive with .*stub-seed\.iso, but has .*home\.raw/],
      [{ cloud_init: false, files: { '../shadow': '' } }, /\.\.\/shadow is not the name of a file/],
      [{ image_directory: join(folder, 'none') }, /none\/stub-seed\.iso cannot be written: .*No such file/],
    ] as const) {
      await expect('seed', { ...at, ...options }, message);
      assert.is(existsSync(image), false);
    }
  },
);

seeds(
  'the playbook makes the seed with the host name of the inventory',
  async ({ ansible, directory, folder }) => {
    const variables = {
      immutafs_state_directory: directory,
      immutafs_seed_directory: folder,
      // Ansible would mask these values wherever they occur, also in the checksum.
      immutafs_seed_user_data: { locale: 'C', users: [1, 2, 3, 4, 5, 6, 7, 8, 9].map((uid) => ({ uid })) },
    };
    const made = await ansible.play('seed', variables);
    assert.is(made.exit, 0, made.output);
    assert.match(made.output, /stub: the seed .*\/stub-seed\.iso has the SHA-256 [0-9a-f]{64}/);
    const content = await read(join(folder, 'stub-seed.iso'));
    assert.match(content, '"local-hostname": "stub"');
    assert.match(content, '"locale": "C"');
    assert.match((await ansible.play('seed', variables)).output, /changed=0/);
  },
);

seeds.run();
