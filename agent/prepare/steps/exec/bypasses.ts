import { type Bypass, openBypasses, ptraceSysctl } from '../../../assess/exec-bypass.ts';
import { findExecBypass, findLockdown } from '../../../facts/security/kernel-settings.ts';
import { shortList } from '../../../lib/format.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { Part } from '../../engine/part.ts';
import type { Settings } from '../../engine/step.ts';
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

/**
 * Plans the file of sysctls that close bypasses of noexec. It is written only on request, because software that does not
 * run now may need what it closes. What is in use now is left out. A stricter value in the file stays.
 */
export function planBypasses(
  reader: SystemReader,
  running: Running,
  { closeBypasses }: Pick<Settings, 'closeBypasses'>,
): Partial<Part> {
  const before = reader.readIfPresent(sysctlFile, 65536) ?? null;
  const present = (before ?? '').split('\n').map((line) => line.replaceAll(' ', ''));
  const isStrictPtrace = [2, 3].some((scope) => present.includes(`${ptraceSysctl}=${scope}`));
  const isWritten = ({ name, closedBy = '' }: Bypass) =>
    present.includes(closedBy) || (name === 'ptrace' && isStrictPtrace);
  const open = openBypasses(findExecBypass(reader), findLockdown(reader)).filter(
    (bypass) => bypass.name !== 'modules' && bypass.closedBy !== undefined && !isWritten(bypass),
  );
  const examined = open.map((bypass) => ({ ...bypass, by: users(reader, running, bypass) }));
  const free = examined.filter(({ by }) => by === undefined);
  const used = examined
    .filter((each) => !free.includes(each))
    .map(({ closedBy, name, by }) => `Not closed: ${closedBy} (${name}), because ${by}.`);
  if (free.length === 0) return { notes: used };
  if (!closeBypasses) {
    const note = `Bypasses of noexec that no running program needs: ${free.map(({ name }) => name).join(', ')}. \`prepare --apply --only exec --close-bypasses\` closes them in ${sysctlFile}, and shows what this can break.`;
    return { notes: [note, ...used] };
  }
  const why = free.map(({ name, closedBy }) => `${closedBy} can break: ${breaks[name]}.`);
  const added = free.map(({ name, closedBy }) => `# Can break: ${breaks[name]}.\n${closedBy}\n`).join('');
  const start = before ?? '# Closes bypasses of noexec (the check exec-bypass of immutafs-agent).\n';
  const after = `${start}${start.endsWith('\n') ? '' : '\n'}${added}`;
  return { actions: [{ do: 'edit', file: sysctlFile, before, after }], why, notes: used };
}

/** Returns what uses a bypass now; undefined if nothing does. */
function users(reader: SystemReader, running: Running, { name }: Bypass): string | undefined {
  if (name === 'kexec') {
    const isEnabledNow = ['kdump.service', 'kdump-tools.service'].some((unit) => isEnabled(reader, unit));
    return isEnabledNow ? 'kdump is enabled' : undefined;
  }
  const uses = {
    memfd: { who: running.memfd, does: 'a memfd is executed by' },
    'user-namespaces': { who: running.userNamespaces, does: 'a user namespace is used by' },
    ptrace: { who: running.traced, does: 'ptrace is used on' },
    modules: { who: [], does: '' },
  };
  const { who, does } = uses[name];
  return who.length === 0 ? undefined : `${does} ${shortList(who, ', ', 3)}`;
}
