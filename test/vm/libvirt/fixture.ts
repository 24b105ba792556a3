import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { repository } from '../harness/cache.ts';
import { agentRpm } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { mountKernelFileSystems } from '../harness/mounts.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import type { Template } from '../harness/template.ts';
import { freePort } from './domain.ts';
import { defineHollow } from './stub-domain.ts';
import { withHypervisor } from './hypervisor.ts';
import type { Hypervisor } from './hypervisor.ts';
import { buildDistribution, buildUpdate } from './package.ts';
import { withAnsible } from './playbooks.ts';
import type { Ansible } from './playbooks.ts';
import { defineGuest } from './virtual-guest.ts';
import type { VirtualGuest } from './virtual-guest.ts';

/** What a guest's life with its host needs. */
export interface Bed {
  ansible: Ansible;
  host: Hypervisor;
  /**
   * rpm there knows of a distribution that the agent and the package `updated` can be installed on. Version 1 of the
   * latter is /root/1.rpm, version 2 is in /root/repository, from which dnf updates.
   */
  guest: VirtualGuest;
  /** While it lies, QEMU is started with every disk writable, whatever libvirt has asked for. */
  lie: (lies: boolean) => Promise<void>;
  /** The click of somebody who edits the domain by hand. */
  click: (readonly: 'on' | 'off') => Promise<void>;
}

/** Calls `work` with a guest that is shut off and writable, and with `hollow`, another one, which never answers. */
export async function withBed(
  template: Template,
  edit: Edit | undefined,
  work: (bed: Bed) => Promise<void>,
): Promise<void> {
  await withRunFolder((folder) =>
    withHypervisor(folder, async (host) => {
      const { emulator, lie } = await lyingEmulator(folder);
      const fill = await filling(folder);
      const guest = await defineGuest(host, {
        name: 'guest',
        template,
        emulator,
        memoryMiB: 2048,
        edit: async (root, mounts) => {
          await fill(root, mounts);
          await edit?.(root, mounts);
        },
      });
      const hollow = { name: 'hollow', port: await freePort(), key: guest.key };
      await defineHollow(host, hollow.name, hollow.port);
      const click: Bed['click'] = async (readonly) => {
        const edited = ['--edit', 'target=vda', '--disk', `readonly=${readonly}`];
        const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
        await execa('/usr/bin/virt-xml', ['--connect', host.uri, guest.name, ...edited], { env });
      };
      await withAnsible(host, [guest], (ansible) => work({ ansible, host, guest, lie, click }), [hollow]);
    }),
  );
}

/** What a command that works writes to stdout. */
export async function ask(guest: VirtualGuest, text: string): Promise<string> {
  const { exit, stdout, stderr } = await guest.ssh(text);
  assert.is(exit, 0, `${text}: ${stdout}${stderr}`);
  return stdout;
}

/** Puts the packages there. A machine has an initramfs for itself, as RHEL's has. */
async function filling(folder: string): Promise<Edit> {
  const packages = [await buildUpdate(folder, 1), await buildUpdate(folder, 2)] as const;
  const distribution = await buildDistribution(folder, [await agentRpm(), ...packages]);
  return async (root, mounts) => {
    const put = (from: string, to: string) => execa('install', ['-D', from, join(root, to)]);
    await put(packages[0], 'root/1.rpm');
    await put(packages[1], 'root/repository/2.rpm');
    await execa('createrepo_c', ['--quiet', join(root, 'root/repository')]);
    const repository = '[updates]\nname=updates\nbaseurl=file:///root/repository\ngpgcheck=0\n';
    await mkdir(join(root, 'etc/yum.repos.d'), { recursive: true });
    await writeFile(join(root, 'etc/yum.repos.d/updates.repo'), repository);
    await writeFile(join(root, 'etc/dracut.conf.d/zz-hostonly.conf'), 'hostonly="yes"\n');
    await writeFile(join(root, 'etc/dpkg/dpkg.cfg.d/immutafs'), await dpkgHook());
    await mountKernelFileSystems(mounts);
    await put(distribution, 'run/distribution.rpm');
    await mounts.chroot('rpm', '--install', '/run/distribution.rpm');
  };
}

/** As docs/host.md has it. */
async function dpkgHook(): Promise<string> {
  const text = await readFile(join(repository, 'docs/host.md'), 'utf8');
  const [, line = ''] = /^ *(pre-invoke=.*)$/m.exec(text) ?? [];
  return `${line}\n`;
}

/** A QEMU that can be told to give every disk writable, with libvirt none the wiser. */
async function lyingEmulator(folder: string): Promise<{ emulator: string; lie: Bed['lie'] }> {
  const [emulator, lies] = [join(folder, 'emulator'), join(folder, 'lies')];
  const rewrite = `for arg; do
  shift
  if [ -e ${lies} ]; then arg=$(printf %s "$arg" | sed 's/"read-only":true/"read-only":false/'); fi
  set -- "$@" "$arg"
done`;
  await writeFile(emulator, `#!/bin/sh\n${rewrite}\nexec /usr/bin/qemu-system-x86_64 "$@"\n`);
  await chmod(emulator, 0o755);
  return { emulator, lie: (on) => (on ? writeFile(lies, '') : rm(lies)) };
}
