import { rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Hypervisor, redefine, refusalOf } from '../libvirt/hypervisor.ts';
import { freePort } from '../libvirt/domain.ts';
import type { Ansible } from '../libvirt/playbooks.ts';
import { defineStubDomain, stubArguments, withStubDomain } from '../libvirt/stub-domain.ts';

/** Uses stub domains like `host.test.ts`. */
const host = suite('an image that more than one disk has');

/** Returns the disks that can write the image of the domain `stub`. */
async function writersOf(ansible: Ansible, hypervisor: Hypervisor): Promise<unknown> {
  return (await othersOf(ansible, hypervisor, 'stub')).writers;
}

/** Returns what the module `domain` reports about a domain and the others. */
async function othersOf(ansible: Ansible, hypervisor: Hypervisor, domain: string) {
  const { failed, msg, ...found } = await ansible.module('domain', {
    ...stubArguments(hypervisor),
    domain,
    others: true,
  });
  assert.not(failed, msg);
  return found;
}

host('another disk that can write the image is named, and the guest is not sealed', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const imageOf = (name: string, image = 'system.raw') => join(hypervisor.folder, name, image);
    const writers = () => writersOf(ansible, hypervisor);
    assert.is((await ansible.module('domain', stubArguments(hypervisor))).writers, null, 'not asked for');
    await defineStubDomain(hypervisor, 'other', await freePort());
    assert.equal(await writers(), [], 'two domains with images of their own');

    // The link shows that files are compared, not names.
    const link = join(hypervisor.folder, 'link');
    await symlink(imageOf('stub'), link);
    await redefine(hypervisor, 'other', (xml) => xml.replace(imageOf('other'), link));
    assert.equal(await writers(), ['other vda'], 'a domain that is shut off');
    const sealing = await ansible.play('seal', { immutafs_boot_required: false, ansible_timeout: 2 });
    assert.is(sealing.exit, 2);
    assert.match(
      sealing.output,
      /the image of vda can be written by other vda: make these disks read-only, or remove them/,
    );
    assert.match(sealing.report.join('\n'), /^stub: shut off, open\. FAILED: Require that no other disk/);

    await hypervisor.virsh('start', 'other');
    await redefine(hypervisor, 'other', (xml) => xml.replace(link, imageOf('other')));
    assert.equal(await writers(), ['other vda'], 'until the domain that is running ends');
    await hypervisor.virsh('destroy', 'other');
    assert.equal(await writers(), []);

    const readOnly = (xml: string) =>
      xml
        .replace(imageOf('other'), link)
        .replace(/<target dev=.vda.[^>]*>/, (target) => `${target}<readonly/>`);
    await redefine(hypervisor, 'other', readOnly);
    assert.equal(await writers(), [], 'a pool of guests has the image, and none can write it');

    await redefine(hypervisor, 'stub', (xml) => xml.replace(imageOf('stub', 'home.raw'), link));
    assert.equal(await writers(), ['stub vdb'], 'a second disk of the same domain');
  }),
);

host('a file on which the image is based counts, and so does a storage volume', () =>
  withStubDomain(
    async (ansible, hypervisor) => {
      const writers = () => writersOf(ansible, hypervisor);
      await defineStubDomain(hypervisor, 'builder', await freePort());
      const folder = join(hypervisor.folder, 'builder');
      const [base, image] = [join(folder, 'system.raw'), join(hypervisor.folder, 'stub/system.qcow2')];
      assert.equal(await writers(), [], 'an image that is based on nothing');
      await rm(image);
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, image]);
      assert.equal(await writers(), ['builder vda']);
      const sharers = async () => (await othersOf(ansible, hypervisor, 'builder')).sharers;
      assert.equal(await sharers(), ['stub vda'], 'an image that is based on this one');
      await redefine(hypervisor, 'builder', (xml) => xml.replace(base, join(folder, 'home.raw')));
      assert.equal([await writers(), await sharers()], [[], ['builder vdb']], 'no longer stub vda');

      // The image of another domain that cannot be read is based on nothing.
      await redefine(hypervisor, 'builder', (xml) => xml.replace(join(folder, 'home.raw'), base));
      await rename(base, `${base}.gone`);
      assert.equal(await sharers(), []);
      await rename(`${base}.gone`, base);
      await redefine(hypervisor, 'builder', (xml) => xml.replace(base, join(folder, 'home.raw')));

      const give = (name: string, type: string, source: string) =>
        redefine(hypervisor, name, (xml) =>
          xml
            .replace(/<disk type='\w+'/, `<disk type='${type}'`)
            .replace(/<source (file|pool)=[^>]*>/, `<source ${source}/>`),
        );
      const giveVolume = (name: string, volume: string) =>
        give(name, 'volume', `pool='images' volume='${volume}'`);
      await giveVolume('stub', 'system');
      await giveVolume('builder', 'system');
      assert.equal(await writers(), ['builder vda'], 'a pool that libvirt does not have: by the names');
      await giveVolume('builder', 'other');
      assert.equal(await writers(), []);

      await hypervisor.virsh('pool-define-as', 'images', 'dir', '--target', folder);
      await give('stub', 'file', `file='${image}'`);
      assert.equal(await writers(), []);
      await giveVolume('builder', 'system.raw');
      assert.equal(await writers(), ['builder vda'], 'a volume of a pool that is not active');
      await giveVolume('builder', 'home.raw');
      assert.equal(await writers(), []);

      await hypervisor.virsh('pool-define-as', 'sealed', 'dir', '--target', join(hypervisor.folder, 'stub'));
      await give('stub', 'volume', `pool='sealed' volume='system.qcow2'`);
      assert.equal(await writers(), []);
      await give('builder', 'file', `file='${base}'`);
      assert.equal(await writers(), ['builder vda'], 'the file on which a volume is based');
    },
    undefined,
    'qcow2',
  ),
);

for (const format of ['raw', 'qcow2'] as const) {
  host(
    `${format}: domains run at once from one image that is read-only, and QEMU refuses a writer beside them`,
    () =>
      withStubDomain(
        async (_, hypervisor, disk) => {
          const image = `stub/system.${format}`;
          await disk(true);
          const copyOf = async (name: string) => {
            await defineStubDomain(hypervisor, name, await freePort(), { systemFormat: format });
            await redefine(hypervisor, name, (xml) => xml.replace(`${name}/system.${format}`, image));
          };
          await copyOf('second');
          await redefine(hypervisor, 'second', (xml) =>
            xml.replace(/<target dev='vda'[^>]*>/, '$&<readonly/>'),
          );
          await copyOf('writer');
          await hypervisor.virsh('start', 'stub');
          await hypervisor.virsh('start', 'second');
          assert.match(await hypervisor.virsh('list', '--name'), /stub\s+second/);
          const writer = hypervisor.virsh('start', 'writer');
          assert.match(await refusalOf(writer), /Failed to get (shared )?"write" lock/);

          await hypervisor.virsh('destroy', 'stub');
          await hypervisor.virsh('destroy', 'second');
          await hypervisor.virsh('start', 'writer');
          assert.match(
            await refusalOf(hypervisor.virsh('start', 'stub')),
            /Failed to get shared "write" lock/,
          );
        },
        undefined,
        format,
      ),
  );
}

host.run();
