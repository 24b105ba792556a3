import { appendFile, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { blocksOf, commandsIn } from '../../harness/pages/blocks.ts';
import { until } from '../../wire/support/until.ts';
import { agentTree } from '../harness/agent.ts';
import type { Edit } from '../harness/disk.ts';
import type { Layout } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { installBootSector } from './boot-sector.ts';
import { seal } from './fixture.ts';
import { type Hypervisor, redefine, setReadOnly } from './hypervisor.ts';
import { withAnsible } from './playbooks.ts';
import { type VirtualGuest, type VirtualGuestOptions, defineGuest, untilUp } from './virtual-guest.ts';

/** Returns the commands below a heading of docs/identity.md. */
export const commandsBelow = (heading: string): string[] =>
  blocksOf('docs/identity.md')
    .filter((block) => block.heading === heading && block.language === 'sh')
    .flatMap(({ text }) => commandsIn(text).map((command) => command.text));

/**
 * Runs the commands below some headings that begin like this, in a folder, with names of the test.
 * @returns how many there were
 */
export async function runCommands(
  headings: readonly string[],
  start: RegExp,
  folder: string,
  replace: Record<string, string>,
): Promise<number> {
  const chosen = headings.flatMap(commandsBelow).filter((command) => start.test(command));
  for (const command of chosen) {
    const text = Object.entries(replace).reduce((all, [from, to]) => all.replaceAll(from, to), command);
    // virt-xml runs the first python3 in PATH.
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
    await execa('sh', ['-ec', text], { cwd: folder, stdin: 'ignore', env, extendEnv: false });
  }
  return chosen.length;
}

/** Makes the CA and the host's key and certificate in two folders, as docs/identity.md does. @returns the number of commands */
export const makeHostKeys = (work: string, keys: string): Promise<number> =>
  runCommands(['Set up'], /^(openssl (?!verify)|mkdir|\(umask|printf 'basic)/, work, {
    '/etc/immutafs/identity': keys,
  });

/**
 * Defines the guest web1, which the firmware starts from its own disk, with IDENTITY=host. It is shut off and sealed.
 * @param authority the file with the CA
 */
export async function defineCertifiedGuest(
  host: Hypervisor,
  authority: string,
  layout: Layout,
  edit: Edit,
  options: Pick<VirtualGuestOptions, 'reachesHost'> = {},
): Promise<VirtualGuest> {
  const guest = await defineGuest(host, {
    ...{ name: 'web1', template: await templateOf(layout, await agentTree()), memoryMiB: 1536, ...options },
    edit: async (root, mounts) => {
      await copyFile(authority, join(root, 'etc/immutafs/identity-ca.pem'));
      const file = join(root, 'etc/immutafs/immutafs.conf');
      const there = { '/etc/immutafs/immutafs.conf': file };
      assert.is(await runCommands(['Set up'], /^printf 'IDENTITY=/, root, there), 1);
      await appendFile(file, 'FORWARD_CERT=identity\n');
      await edit(root, mounts);
    },
  });
  await installBootSector(guest.folder);
  await redefine(host, guest.name, (xml) => xml.replace(/ *<kernel>.*<\/kernel>\n/, ''));
  const added = { 'virt-xml web1': `/usr/bin/virt-xml --connect '${host.uri}' web1` };
  assert.is(await runCommands(['Set up'], /^virt-xml /, host.folder, added), 1);
  await withAnsible(host, [guest], (ansible) => seal(ansible, host, guest));
  return guest;
}

/** Requests a certificate, after the limit on requests, if it was reached. */
export async function requestIn(guest: VirtualGuest) {
  for (;;) {
    const said = await guest.ssh('immutafs-agent identity; cat /run/immutafs/identity/state.json');
    const last = said.stdout.split('\n').at(-1) ?? '';
    if (last === '') throw new Error(`the request recorded nothing: ${said.exit} ${said.stderr}`);
    const { problem } = JSON.parse(last) as { problem: string };
    if (!problem.includes('too many requests')) return { problem, stderr: said.stderr };
    await setTimeout(10_000);
  }
}

/** Waits until a request succeeds, because the host may have refused the ones before. */
export async function certificateAgain(guest: VirtualGuest): Promise<void> {
  let said = '';
  await until(
    'a certificate',
    async () => {
      said = (await requestIn(guest)).problem;
      return said === '';
    },
    240,
  ).catch((error: unknown) => {
    throw new Error(said, { cause: error });
  });
}

/** Starts a guest, which is shut off, with or without the seal. */
export async function startSealed(host: Hypervisor, guest: VirtualGuest, isSealed: boolean): Promise<void> {
  await setReadOnly(host, guest.name, isSealed);
  await host.virsh('start', guest.name);
  await untilUp(guest, 600);
}

/** Shuts a guest down. */
export async function shutDown(host: Hypervisor, guest: VirtualGuest): Promise<void> {
  await guest.ssh('systemctl poweroff');
  const isOff = async () => (await host.virsh('domstate', guest.name)).trim() === 'shut off';
  await until('the guest is shut off', isOff, 300);
}
