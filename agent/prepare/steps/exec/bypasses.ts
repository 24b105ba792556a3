import { type Bypass, openBypasses, ptraceSysctl } from '../../../assess/exec-bypass.ts';
import { findExecBypass } from '../../../facts/security/exec-bypass.ts';
import { findLockdown } from '../../../facts/security/lockdown.ts';
import { shortList } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { Action, Settings } from '../../engine/step.ts';
import { isEnabled } from '../enabled-units.ts';
import type { Running } from './running.ts';

const sysctlFile = '/etc/sysctl.d/60-immutafs.conf';

/** What a setting can break; the file has it as a comment. */
const breaks: Record<Bypass['name'], string> = {
  memfd:
    'older versions of runc, Podman and Docker, and programs with libffi (Python, GNOME), execute a memfd',
  'user-namespaces': 'rootless Podman, browsers, Flatpak and units with PrivateUsers= create user namespaces',
  ptrace: 'gdb and strace of users without CAP_SYS_PTRACE that attach to a running program',
  kexec: 'kdump loads its kernel after the sysctls are set',
  modules: 'unsigned modules, for example those that dkms or akmods builds',
};

const breaksStrictPtrace = 'gdb and strace of users without CAP_SYS_PTRACE';

interface PlannedBypasses {
  actions: Action[];
  why: string[];
  notes: string[];
}

/**
 * Plans the file of sysctls that close bypasses of noexec. It is written only on request, because software that does not
 * run now may need what it closes. What is in use now is left out. A stricter value in the file stays.
 */
export function planBypasses(
  reader: SystemReader,
  running: Running,
  { closeBypasses, strictPtrace }: Pick<Settings, 'closeBypasses' | 'strictPtrace'>,
): PlannedBypasses {
  const before = reader.readIfPresent(sysctlFile, 65536) ?? null;
  const present = (before ?? '').split('\n').map((line) => line.replaceAll(' ', ''));
  const isStrictPtrace = [2, 3].some((scope) => present.includes(`${ptraceSysctl}=${scope}`));
  const isWritten = ({ name, closedBy = '' }: Bypass) =>
    present.includes(closedBy) || (name === 'ptrace' && isStrictPtrace);
  const open = openBypasses(findExecBypass(reader), findLockdown(reader), strictPtrace ? 2 : 1).filter(
    (bypass) => bypass.name !== 'modules' && bypass.closedBy !== undefined && !isWritten(bypass),
  );
  if (open.length === 0) return { actions: [], why: [], notes: [] };
  const usedBy = (bypass: Bypass) => users(reader, running, bypass);
  const free = open.filter((bypass) => usedBy(bypass) === undefined);
  const used = open.flatMap((bypass) => {
    const by = usedBy(bypass);
    return by === undefined ? [] : [`Not closed: ${bypass.closedBy} (${bypass.name}), because ${by}.`];
  });
  const lines = free.map(({ closedBy = '' }) => closedBy);
  if (lines.length === 0) return { actions: [], why: [], notes: used };
  if (!closeBypasses) {
    const note = `Bypasses of noexec that no running program needs: ${free.map(({ name }) => name).join(', ')}. \`prepare --apply --only exec --close-bypasses\` closes them in ${sysctlFile}, and shows what this can break.`;
    return { actions: [], why: [], notes: [note, ...used] };
  }
  const broken = (name: Bypass['name']) =>
    name === 'ptrace' && strictPtrace ? breaksStrictPtrace : breaks[name];
  const why = free.map(({ name, closedBy }) => `${closedBy} can break: ${broken(name)}.`);
  const added = free.map(({ name, closedBy }) => `# Can break: ${broken(name)}.\n${closedBy}\n`).join('');
  const start = before ?? '# Closes bypasses of noexec (the check exec-bypass of immutafs-agent).\n';
  const after = `${start}${start.endsWith('\n') ? '' : '\n'}${added}`;
  return { actions: [{ do: 'edit', file: sysctlFile, before, after }], why, notes: used };
}

/** Returns what uses a bypass now; undefined if nothing does. */
function users(reader: SystemReader, running: Running, { name }: Bypass): string | undefined {
  const list = (who: readonly string[], does: string) =>
    who.length === 0 ? undefined : `${does} ${shortList(who, ', ', 3)}`;
  switch (name) {
    case 'memfd':
      return list(running.memfd, 'a memfd is executed by');
    case 'user-namespaces':
      return list(running.userNamespaces, 'a user namespace is used by');
    case 'ptrace':
      return list(running.traced, 'ptrace is used on');
    case 'kexec':
      return isEnabled(reader, 'kdump.service') || isEnabled(reader, 'kdump-tools.service')
        ? 'kdump is enabled'
        : undefined;
    case 'modules':
      return undefined;
  }
}
