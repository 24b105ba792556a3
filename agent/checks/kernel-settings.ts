import { type Lockdown, seedFile } from '../facts/security/kernel-settings.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';
import { openBypasses, ptraceSysctl } from '../assess/exec-bypass.ts';
import { persistenceTest } from '../assess/persistence.ts';
import { isWritable } from '../facts/mounts/mountinfo.ts';

export const kernelLockdownHints: Check = {
  id: 'kernel-lockdown-hints',
  severity: 'advisory',
  seal: true,
  messageId: 'e5172adc6fc24183ac50f5fc387b36c1',
  expected: 'no system disk is writable from the guest',
  evaluate: (facts) => {
    const { disks } = unwrap(facts.systemDisks);
    const kernel = describe(unwrap(facts.lockdown));
    if (disks.length === 0) throw new Error('no system disk was found');
    const open = disks.filter(({ hostReadOnly }) => hostReadOnly !== true);
    const subject = (open.length === 0 ? disks : open).map(({ name }) => name).join(' ');
    if (open.length === 0)
      return { status: 'pass', subject, observed: `not writable from the guest (${kernel})` };
    const remedy = 'Have the host make the system disks read-only.';
    return { status: 'warn', subject, observed: `writable by root in the guest (${kernel})`, remedy };
  },
};

function describe({ lockdown, modulesDisabled, signaturesEnforced, kexecDisabled }: Lockdown): string {
  const modules =
    modulesDisabled === true ? 'disabled' : signaturesEnforced === true ? 'signed only' : 'unsigned allowed';
  return [
    `lockdown: ${lockdown ?? 'not supported'}`,
    `modules: ${modulesDisabled === undefined && signaturesEnforced === undefined ? 'unknown' : modules}`,
    `kexec: ${kexecDisabled === undefined ? 'unknown' : kexecDisabled ? 'disabled' : 'allowed'}`,
  ].join(', ');
}

export const execBypass: Check = {
  id: 'exec-bypass',
  severity: 'advisory',
  seal: true,
  messageId: '36bc4620952f456eacc2734227f96566',
  expected: 'the bypasses that this kernel can close are closed',
  evaluate: (facts) => {
    const settings = unwrap(facts.execBypass);
    const open = openBypasses(settings, unwrap(facts.lockdown));
    const lines = open.flatMap(({ closedBy }) => closedBy ?? []);
    const hopeless = open.filter(({ closedBy }) => closedBy === undefined).map(({ name }) => name);
    const ownChildren =
      settings.ptraceScope === 1 ? `; ${ptraceSysctl}=1 permits ptrace of own children` : '';
    const remaining = `no setting of this kernel closes ${[...hopeless, 'interpreters'].join(', ')}${ownChildren}`;
    if (lines.length === 0) return { status: 'pass', observed: remaining };
    const names = open.filter(({ closedBy }) => closedBy !== undefined).map(({ name }) => name);
    return {
      status: 'warn',
      // The short view, which must fit a terminal, leaves out what is expected.
      expected: `${lines.join(' ')}; ${remaining}`,
      observed: `open: ${names.join(', ')}`,
      remedy: 'Set the kernel settings that status --all lists, unless a program needs what they disable.',
    };
  },
};

export const randomSeed: Check = {
  id: 'random-seed',
  severity: 'advisory',
  seal: true,
  messageId: '939478e7147f4d37a95789cfb914e062',
  expected: 'virtio-rng or a random instruction of the processor',
  evaluate: (facts) => {
    const { current, instruction, distrusted, seed } = unwrap(facts.randomSources);
    const sources = [current, distrusted ? '' : instruction].filter((each) => each !== '');
    if (sources.length > 0) return { status: 'pass', observed: sources.join(' and ') };
    const mount = facts.mounts.serving(seedFile);
    const isKept =
      seed &&
      mount !== undefined &&
      isWritable(mount) &&
      persistenceTest(facts.mounts, facts.scratchDevice)(mount);
    if (isKept) return { status: 'pass', observed: `none, but ${seedFile} is kept across reboots` };
    const ignored = distrusted && instruction !== '' ? ` (${instruction}: random.trust_cpu=off)` : '';
    return {
      status: 'warn',
      subject: seedFile,
      observed: `no random source${ignored}; ${seed ? 'the seed is the same at every boot' : 'there is no seed'}`,
      remedy: 'Add virtio-rng to the domain (/usr/share/doc/immutafs-agent/host.md).',
    };
  },
};
