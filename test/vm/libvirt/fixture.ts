import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { repository } from '../harness/cache.ts';
import { agentRpm, agentTree } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import { type Layout, xfsOnLvm } from '../harness/layout.ts';
import { mountKernelFileSystems } from '../harness/mounts.ts';
import { type Template, templateOf } from '../harness/template.ts';
import { defineStubDomain } from './stub-domain.ts';
import { writeProgram } from './write-program.ts';
import { withHypervisor } from './hypervisor.ts';
import type { Hypervisor } from './hypervisor.ts';
import { buildDistribution, buildUpdate } from './package.ts';
import { withAnsible } from './playbooks.ts';
import type { Ansible } from './playbooks.ts';
import { defineGuest, untilUp } from './virtual-guest.ts';
import type { VirtualGuest, VirtualGuestOptions } from './virtual-guest.ts';

/** A guest with its host, for tests of the playbooks. */
export interface LibvirtFixture {
  ansible: Ansible;
  host: Hypervisor;
  /**
   * The guest's rpm database has a package that provides the requirements of the agent and of the package `updated`.
   * Version 1 of `updated` is /root/1.rpm; version 2 is in /root/repository, from which dnf updates.
   */
  guest: VirtualGuest;
  /** While the override is on, QEMU starts with every disk writable, contrary to the domain XML. */
  overrideReadOnly: (on: boolean) => Promise<void>;
  /** Changes the system disk in the domain XML, as an administrator does in virt-manager. */
  editDomain: (readonly: 'on' | 'off') => Promise<void>;
}

/** Calls `work` with a guest that is shut off and writable. A second domain, `stub`, never answers. */
export async function withFixture<T>(
  template: Template,
  edit: Edit | undefined,
  work: (fixture: LibvirtFixture) => Promise<T>,
): Promise<T> {
  return withHypervisor(async (host) => {
    const { emulator, overrideReadOnly } = await overridingEmulator(host.folder);
    const fill = await filling(host.folder);
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
    const stub = { ...(await defineStubDomain(host, 'stub')), key: guest.key };
    const editDomain: LibvirtFixture['editDomain'] = async (readonly) => {
      const edited = ['--edit', 'target=vda', '--disk', `readonly=${readonly}`];
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
      await execa('/usr/bin/virt-xml', ['--connect', host.uri, guest.name, ...edited], { env });
    };
    return withAnsible(
      host,
      [guest],
      (ansible) => work({ ansible, host, guest, overrideReadOnly, editDomain }),
      [stub],
    );
  });
}

/** Runs a command in the guest. @returns its stdout @throws if it fails */
export async function ask(guest: VirtualGuest, text: string): Promise<string> {
  const { exit, stdout, stderr } = await guest.ssh(text);
  assert.is(exit, 0, `${text}: ${stdout}${stderr}`);
  return stdout;
}

/** Seals a guest whose domain is shut off, and sets its boot order. */
export async function seal(
  ansible: Ansible,
  host: Hypervisor,
  guest: VirtualGuest,
  target = 'vda',
): Promise<void> {
  const domain = { uri: host.uri, domain: guest.name, target };
  for (const [module, args] of [
    ['disk', { readonly: true }],
    ['boot', {}],
  ] as const) {
    const { failed, msg } = await ansible.module(module, { ...domain, ...args });
    assert.is(failed, false, msg);
  }
}

/** Calls `seal`, starts the guest, and waits until root can log in. */
export async function startSealed(
  ansible: Ansible,
  host: Hypervisor,
  guest: VirtualGuest,
  target = 'vda',
): Promise<void> {
  await seal(ansible, host, guest, target);
  await host.virsh('start', guest.name);
  await untilUp(guest, 600);
}

/** Defines the domain `guest` and calls `startSealed`. The default layout is that of RHEL's installer. */
export async function defineSealed(
  host: Hypervisor,
  {
    layout = xfsOnLvm,
    tree,
    ...options
  }: Omit<VirtualGuestOptions, 'name' | 'template'> & { layout?: Layout; tree?: string },
): Promise<VirtualGuest> {
  const template = await templateOf(layout, tree ?? (await agentTree()));
  const guest = await defineGuest(host, { name: 'guest', template, ...options });
  await withAnsible(host, [guest], (ansible) => startSealed(ansible, host, guest, options.targets?.[0]));
  return guest;
}

/** Returns the exit code and the report of `status` in a guest. */
export async function statusIn(guest: VirtualGuest): Promise<{ exit: number; report: Report }> {
  const { exit, stdout } = await guest.ssh('immutafs-agent status --json');
  return { exit, report: JSON.parse(stdout) as Report };
}

/** Returns an edit that copies the packages to the guest and configures dracut for host-only images, as RHEL does. */
export async function filling(folder: string): Promise<Edit> {
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

/** Returns the hook of dpkg as given in docs/host.md. */
async function dpkgHook(): Promise<string> {
  const text = await readFile(join(repository, 'docs/host.md'), 'utf8');
  const [, line = ''] = /^ *(pre-invoke=.*)$/m.exec(text) ?? [];
  return `${line}\n`;
}

/** Creates a wrapper of QEMU that attaches every disk writable while the override is on. libvirt does not notice. */
export async function overridingEmulator(
  folder: string,
): Promise<{ emulator: string; overrideReadOnly: LibvirtFixture['overrideReadOnly'] }> {
  const [emulator, mark] = [join(folder, 'emulator'), join(folder, 'writable')];
  const rewrite = `for arg; do
  shift
  if [ -e ${mark} ]; then arg=$(printf %s "$arg" | sed 's/"read-only":true/"read-only":false/'); fi
  set -- "$@" "$arg"
done`;
  await writeProgram(emulator, `${rewrite}\nexec /usr/bin/qemu-system-x86_64 "$@"`);
  return { emulator, overrideReadOnly: (on) => (on ? writeFile(mark, '') : rm(mark)) };
}
