/**
 * Guests that are started from an image, which `prepare --image` has prepared offline: in a chroot, as the %post section of
 * kickstart does, and with virt-customize.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentTree } from '../harness/agent.ts';
import { copyDisks } from '../harness/disk.ts';
import { mountKernelFileSystems } from '../harness/mounts.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { type Boot, type Guest, assertSealed, layout, look, withAgent } from '../harness/scenario.ts';
import { withGuest } from '../harness/guest.ts';
import { templateOf } from '../harness/template.ts';
import { withGuestfs } from '../harness/virt-customize.ts';

const images = suite('guests of an image');

const name = 'image-of-the-test';
const prepare = 'immutafs-agent prepare --image --apply --yes';
const command = `${prepare} --image-name ${name} --image-version 1`;
/** State of Debian's packages that a sealed boot may reset. */
const accepted = '--accept /var/lib /var/log /var/spool';
/** As an installer leaves the disk: fstab has no `ro`. */
const installed = layout({ fstab: 'installed', stack: 'partition' });

const steps = {
  ...look,
  identity: 'cat /etc/machine-id; ls /etc/ssh | grep -c host_ || :',
  uuid: 'cat /sys/class/dmi/id/product_uuid',
};

/** Two guests with the same image: each sealed by the host, with a machine ID of its own that a reboot does not change. */
async function assertTwoGuests(guest: Guest): Promise<void> {
  const bootFiles = await guest.bootFilesOnDisk();
  const before = await guest.checksum();
  const boot = (uuid: string): Promise<Boot> =>
    guest.boot({ disk: 'readonly', steps, bootFiles, uuid, memoryMiB: 1024, limitSeconds: 400 });
  const uuids = ['6b2d0c1e-1111-4c1b-9d7e-0123456789ab', '6b2d0c1e-2222-4c1b-9d7e-0123456789ab'];
  for (const uuid of uuids) {
    const sealed = await boot(uuid);
    const { image } = assertSealed(sealed);
    assert.equal({ name: image?.name, version: image?.version }, { name, version: '1' });
    assert.equal(sealed.step('identity').stdout, `${uuid.replaceAll('-', '')}\n0\n`);
  }
  assert.is(await guest.checksum(), before);
}

images('prepared in a chroot, as in the %post section of kickstart', async () => {
  let said = '';
  await withAgent(
    {
      layout: installed,
      edit: async (root, mounts) => {
        await mountKernelFileSystems(mounts);
        assert.match(await readFile(join(root, 'etc/machine-id'), 'utf8'), /^[\da-f]{32}\n$/);
        // As after an update of the kernel, so that the initramfs is made in the chroot.
        await mounts.chroot('sh', '-c', 'touch /usr/lib/modules/*/modules.dep');
        said = await mounts.chroot('sh', '-c', `${command} ${accepted}`);
        assert.match(await readFile(join(root, 'var/lib/immutafs/prepare.json'), 'utf8'), /"--no-hostonly"/);
        assert.not.match(said, /\/dev\/loop|\/dev\/vda/, 'a device of this machine');
        const ready = await mounts.chroot('immutafs-agent', 'check', '--ready-to-seal', '--image');
        assert.match(ready, /^Ready to seal\.\nAt the first boot/);
        assert.equal(
          (await readdir(join(root, 'boot'))).filter((file) => file.startsWith('.')),
          [],
        );
      },
    },
    assertTwoGuests,
  );
});

images('prepared with virt-customize', () =>
  withRunFolder(async (folder) => {
    const template = await templateOf(installed, await agentTree());
    const disks = await copyDisks(template.disks, folder);
    const said = await withGuestfs(
      folder,
      `virt-customize --format raw -a ${basename(disks.images.system)} --no-network --run-command '${command} ${accepted}'`,
    );
    assert.not.match(said, /error|warning: .*immutafs/i, said);
    await withGuest({ template: { ...template, disks } }, assertTwoGuests);
  }),
);

images(
  'the twin: without the step image, every guest has the machine ID and the host keys of the image',
  async () => {
    await withAgent(
      {
        layout: installed,
        edit: async (root, mounts) => {
          await mountKernelFileSystems(mounts);
          await mounts.chroot('sh', '-c', `${prepare} --skip image ${accepted}`);
          await writeFile(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n');
        },
      },
      async (guest) => {
        const bootFiles = await guest.bootFilesOnDisk();
        const boot = await guest.boot({ disk: 'readonly', steps, bootFiles, limitSeconds: 400 });
        const { image } = assertSealed(boot);
        assert.is(image, null);
        const [id, keys] = boot.step('identity').stdout.split('\n');
        assert.is(id, '0123456789abcdef0123456789abcdef');
        assert.ok(Number(keys) > 0);
      },
    );
  },
);

images.run();
