import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { type Machine, PageRun } from '../../harness/pages/run.ts';
import { kernelArguments } from '../harness/arguments.ts';
import { agentRpm } from '../harness/agent.ts';
import { cached, digest } from '../harness/cache.ts';
import { generateMissingKeys } from '../harness/key-generator.ts';
import { type Disks, type Edit, copyDisks, editDisks, imagesIn } from '../harness/disk.ts';
import { dnfTree } from '../harness/dnf.ts';
import { layout } from '../harness/layout.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { templateOf } from '../harness/template.ts';
import { ordinaryTree } from '../harness/ordinary-tree.ts';
import { withGuestfs } from '../harness/virt-customize.ts';
import { filling } from './fixture.ts';
import { local, systemPath, withPowerButton } from './page-machines.ts';

/** As a vendor divides the disk: /boot and one root file system, to which everything else belongs. */
const plain = layout({ stack: 'partition', home: null, fstab: 'installed' });

/**
 * Returns the stand-in for the generic cloud image of a vendor, which the tests cannot download: a qcow2 file with GPT and GRUB,
 * Debian 13 with its cloud kernel, cloud-init, sshd and dnf, without machine ID and host keys, and without the agent. `dnf` has
 * an update in a local repository. What differs from RHEL's image: dpkg installed the packages, systemd-networkd takes the
 * place of NetworkManager, SELinux is off, and units that slow an emulated guest down are masked.
 */
export async function cloudImage(): Promise<string> {
  const template = await templateOf(plain, await tree());
  // The packages of the tests provide what the agent requires.
  const { stdout: requires } = await execa('rpm', ['--query', '--requires', '--package', await agentRpm()]);
  const recipe = {
    disks: template.disks,
    requires,
    make: [fill, generalise, generateMissingKeys, installGrub].map(String),
  };
  const image = await cached('cloud-image', recipe, async (folder) => {
    const disks = await copyDisks(template.disks, folder);
    await editDisks(disks, await fill(folder));
    await installGrub(disks.images.system, folder);
    const command = ['convert', '-f', 'raw', '-O', 'qcow2', disks.images.system, join(folder, name)];
    await execa('qemu-img', command);
    await rm(disks.images.system);
  });
  return join(image, name);
}

const tree = async () =>
  dnfTree(treeWithPackages('stock-tree', await ordinaryTree(), ['cloud-init', 'iproute2']));

/** Returns the file systems of such an image, which is `system.raw` in a folder. */
export async function disksOfImage(folder: string): Promise<Disks> {
  const { placements } = (await templateOf(plain, await tree())).disks;
  return { images: imagesIn(folder), placements };
}

const name = 'cloud.qcow2';

/** The page whose section makes the first version of an image, and the test that this section belongs to. */
export const page = 'docs/images.md';
const section = 'The first version';
const test = 'test/vm/long/images-page-first.test.ts';

/** State of Debian's packages, which a sealed boot may reset: what the page says that the tests accept. */
export const accepted = acceptedIn(readFileSync(page, 'utf8'));

function acceptedIn(text: string): string[] {
  const [, paths] = /`prepare` gets `--accept ([^`]+)` in addition/.exec(text) ?? [];
  if (paths === undefined) throw new Error(`${page} does not say what the tests accept`);
  return paths.split(' ');
}

/**
 * Returns the directory of images of the page with the first version, which the commands of the page have made: with
 * `web-2026.11.qcow2`, and with `admin`, the private key of the controller.
 */
export async function firstVersion(): Promise<string> {
  const [cloud, rpm] = [await cloudImage(), await agentRpm()];
  const blocks = blocksOf(page).filter(({ heading }) => heading === section);
  const [commands] = blocks.filter(({ language }) => language === 'ini');
  const text = (commands?.text ?? '').replace('--apply --yes', `$& --accept ${accepted.join(' ')}`);
  const recipe = { cloud, text, blocks: blocks.map((block) => block.text), rpm: digest(await readFile(rpm)) };
  return cached('first-version', recipe, async (folder) => {
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'admin')]);
    await execa('cp', [rpm, join(folder, 'immutafs-agent.rpm')]);
    await execa('cp', ['--reflink=auto', cloud, join(folder, name)]);
    await writeFile(join(folder, 'web.commands'), text);
    const onHost = local(folder, { PATH: systemPath });
    const machine: Machine = async (command) =>
      command.startsWith('virt-customize ')
        ? { exit: 0, output: await withGuestfs(folder, command) }
        : onHost(command);
    const pages = new PageRun(test, { 'on the host': machine });
    await pages.section(page, section);
    pages.assertComplete();
    await rm(join(folder, name));
  });
}

/** Returns an edit that installs the packages of the tests, and leaves out what identifies a machine. */
async function fill(folder: string): Promise<Edit> {
  const packages = await filling(folder);
  return async (root, mounts) => {
    await packages(root, mounts);
    await mounts.chroot('rpm', '--install', '/root/1.rpm');
    await withPowerButton(root);
    await generalise(root);
  };
}

async function generalise(root: string): Promise<void> {
  const at = (path: string): string => join(root, path);
  await rm(at('etc/systemd/system/multi-user.target.wants/vmtest.service'));
  await writeFile(at('etc/machine-id'), '');
  // The image has no SELinux: virt-customize of Debian cannot label files, and requests this for the first boot.
  await rm(at('etc/selinux/config'));
  // As with the package dracut-config-generic, which images of RHEL have.
  await rm(at('etc/dracut.conf.d/zz-hostonly.conf'));
  const keys = (await readdir(at('etc/ssh'))).filter((name) => name.startsWith('ssh_host_'));
  await Promise.all(keys.map((name) => rm(at(`etc/ssh/${name}`))));
  await generateMissingKeys(root, 'ssh.service');
  // Without a configuration from cloud-init, an image uses DHCP, as RHEL's does.
  const network = '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n';
  await writeFile(at('etc/systemd/network/90-default.network'), network);
  await execa('systemctl', ['--quiet', `--root=${root}`, 'enable', 'systemd-networkd.service']);
  await execa('systemctl', [
    ...['--quiet', `--root=${root}`, 'mask', 'systemd-networkd-wait-online.service'],
  ]);
  const names = await readdir(at('boot'));
  const [kernel, initramfs] = ['vmlinuz-', 'init'].map((start) =>
    names.find((name) => name.startsWith(start)),
  );
  await mkdir(at('boot/grub'), { recursive: true });
  const lines = [`linux /${kernel} ${kernelArguments(plain).join(' ')}`, `initrd /${initramfs}`, 'boot'];
  await writeFile(at('boot/grub/grub.cfg'), `${lines.join('\n')}\n`);
}

/** The partition before the first one of the layout, in which the BIOS finds the rest of GRUB (UEFI 2.10, 5.3.3). */
const biosBoot = { start: 34, type: '21686148-6449-6E6F-744E-656564454649' };

/**
 * Installs GRUB for BIOS in a raw image, as grub-install(8) does on a disk: the sector of the MBR loads GRUB from a partition
 * of its own (grub-core/boot/i386/pc: boot.S, kernel_sector; diskboot.S, the block list at the end of the first sector).
 */
async function installGrub(image: string, folder: string): Promise<void> {
  const [early, core] = [join(folder, 'early.cfg'), join(folder, 'core.img')];
  await writeFile(early, 'search --no-floppy --set=root --file /grub/grub.cfg\nsource /grub/grub.cfg\n');
  const modules = ['biosdisk', 'part_gpt', 'ext2', 'linux', 'search', 'search_fs_file', 'configfile'];
  const format = ['--format', 'i386-pc', '--prefix', ''];
  await execa('grub-mkimage', [...format, '--output', core, '--config', early, ...modules]);
  const { stdout: table } = await execa('sfdisk', ['--dump', image]);
  const own = `start=${biosBoot.start}, size=${2048 - biosBoot.start}, type=${biosBoot.type}\n`;
  await execa('sfdisk', ['--quiet', '--no-reread', image], {
    input: `${table.replace(/^first-lba: .*$/m, `first-lba: ${biosBoot.start}`)}\n${own}`,
  });
  const [first, rest] = [await readFile('/usr/lib/grub/i386-pc/boot.img'), await readFile(core)];
  first.writeBigUInt64LE(BigInt(biosBoot.start), 0x5c);
  rest.writeBigUInt64LE(BigInt(biosBoot.start + 1), 0x1f4);
  rest.writeUInt16LE(Math.ceil(rest.length / 512) - 1, 0x1fc);
  const disk = await open(image, 'r+');
  try {
    await disk.write(first, 0, 440, 0);
    await disk.write(rest, 0, rest.length, biosBoot.start * 512);
  } finally {
    await disk.close();
  }
}
