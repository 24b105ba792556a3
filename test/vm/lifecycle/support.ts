import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { ask } from '../libvirt/fixture.ts';
import type { LibvirtFixture } from '../libvirt/fixture.ts';
import { look } from '../libvirt/package.ts';
import type { Playing } from '../libvirt/playbooks.ts';

/** Returns the result of `versions` if every place has the same version. */
export function asVersion(version: string): Record<keyof typeof look, string> {
  return { database: version, usr: version, var: version, verify: '' };
}

/** Returns the version of the package in each place: rpm's database, /usr, /var. Connects once. */
export async function versions({ guest }: LibvirtFixture): Promise<Record<string, string>> {
  const commands = Object.values(look).map((text) => `said=$(${text}) && printf '%s|' "$said"`);
  const said = (await ask(guest, commands.join(' && '))).split('|');
  return Object.fromEntries(Object.keys(look).map((name, index) => [name, said[index] ?? '']));
}

/** Runs a playbook, and kills it when a condition holds. @throws if the playbook ends first */
export async function killedWhen(
  { ansible }: Pick<LibvirtFixture, 'ansible'>,
  playbook: string,
  moment: string,
  isThere: (playing: Playing) => boolean | Promise<boolean>,
  variables: Record<string, unknown> = {},
): Promise<void> {
  const playing = ansible.start(playbook, variables);
  let there = false;
  const arrives = until(moment, async () => (there = await isThere(playing)), 900);
  await Promise.race([arrives, playing.ended]);
  playing.kill();
  const { output } = await playing.ended;
  assert.ok(there, `${playbook} ended before it was killed: ${moment}\n${output}`);
}

/** Runs a playbook, and kills it as it begins a task. */
export function killedAt(
  fixture: LibvirtFixture,
  playbook: string,
  task: string,
  variables: Record<string, unknown> = {},
): Promise<void> {
  return killedWhen(fixture, playbook, task, ({ said }) => said().includes(` : ${task}] *`), variables);
}

/** Returns the line that status.yml reports. Does not wait for a guest that does not answer. */
export async function stateOf({ ansible }: LibvirtFixture): Promise<string | undefined> {
  const { report } = await ansible.play('status', { ansible_timeout: 3 });
  return report[0];
}

/** Whether the next start attaches the disk read-only. */
export async function isSealed({ host, guest }: LibvirtFixture): Promise<boolean> {
  return (await host.virsh('dumpxml', '--inactive', guest.name)).includes('<readonly/>');
}
