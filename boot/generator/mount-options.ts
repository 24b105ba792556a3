import { itemOptions, pathOf } from '../../agent/config/boot-keys.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { isBelow } from '../../agent/lib/paths.ts';
import { mountOptionItems } from '../guest/config.ts';
import { deviceLineOf, hasOption } from '../guest/fstab.ts';
import { escapePath } from '../guest/units.ts';
import { type Guest, hasSystemUnit } from './guest.ts';
import { keepAtShutdown } from './unit-files.ts';

/** The beginning of a command in the units. */
const setMountOptions = '/usr/libexec/immutafs/immutafs-boot options';

interface Run extends Guest {
  /** The services that have a command. */
  services: Set<string>;
  /** The options of the tmpfs on /run/user. */
  userOptions: string[];
}

/**
 * A mount that the initramfs has given its options needs no unit, except at shutdown: a bind mount on a directory of /var
 * is kept as /var is, and programs run from /run at the end of the shutdown (dracut-shutdown.service).
 */
export function addMountOptionUnits(guest: Guest): void {
  const run: Run = { ...guest, services: new Set(), userOptions: ['nosuid', 'nodev'] };
  for (const item of mountOptionItems(guest.config)) {
    const [path, options] = [pathOf(item), itemOptions(item)];
    if (path === '/run/user/*') {
      addUserRuntimeUnits(run, options);
      continue;
    }
    const mount = guest.mountAt(path);
    if (mount === undefined || !options.every((option) => mount.options.includes(option)))
      addMountOptionsService(run, path, options);
    else if (path.startsWith('/var/') && !isMountedByFstab(guest, path)) keepAtShutdown(guest.units, path);
    if (path === '/run') permitProgramsAtShutdown(run, options);
  }
}

/** Whether fstab mounts a file system on a path or on a directory between /var and the path. */
function isMountedByFstab({ fstab }: Guest, path: string): boolean {
  return fstab.some(
    (line) => line.target.startsWith('/var/') && isBelow(path, line.target) && !hasOption(line, 'noauto'),
  );
}

/** local-fs.target waits for the service, unless fstab mounts the path with nofail, and so possibly after the boot. */
function addMountOptionsService(run: Run, path: string, options: readonly string[]): void {
  const service = `immutafs-mount-options@${escapePath(path)}.service`;
  const line = deviceLineOf(run.fstab, path);
  const isOptional = line !== undefined && hasOption({ options: unescapeBytes(line.options) }, 'nofail');
  const order = isOptional ? [] : ['Before=local-fs.target'];
  run.units.dropin(service, '[Unit]', `RequiresMountsFor=${path}`, ...order);
  addCommand(run, service, path, options);
}

/** Makes the service set the options at boot. Several items of MOUNT_OPTIONS may name the same path. */
function addCommand(
  { units, services }: Run,
  service: string,
  path: string,
  options: readonly string[],
): void {
  const command = `ExecStart=${setMountOptions} ${options.join()} ${path}`;
  if (services.has(service)) {
    units.dropin(service, '[Service]', command);
    return;
  }
  services.add(service);
  units.dropin(service, '[Service]', 'ExecStart=', command);
  if (!service.endsWith('@.service')) units.wanted.push(service);
}

/** systemd-shutdown(8) runs /run/initramfs/shutdown, and only if /run permits programs. */
function permitProgramsAtShutdown(run: Run, options: readonly string[]): void {
  if (!options.includes('noexec')) return;
  const service = 'immutafs-mount-options@run.service';
  if (!run.services.has(service)) addCommand(run, service, '/run', options);
  run.units.dropin(service, '[Service]', `ExecStop=${setMountOptions} exec /run`);
}

/**
 * user-runtime-dir@.service mounts /run/user/UID before systemd starts user@UID.service, which waits for the options.
 * systemd 219 of RHEL 7 has no such unit: logind itself mounts a tmpfs there, without noexec, and starts no
 * user@UID.service.
 */
function addUserRuntimeUnits(run: Run, options: readonly string[]): void {
  if (!hasSystemUnit(run, 'user-runtime-dir@.service')) {
    shareUserRuntime(run, options);
    return;
  }
  const service = 'immutafs-user-runtime@%i.service';
  run.units.dropin('user@.service', '[Unit]', `Wants=${service}`, `After=${service}`);
  addCommand(run, 'immutafs-user-runtime@.service', '/run/user/%i', options);
}

/**
 * Makes logind of RHEL 7 create /run/user/UID as a directory in one tmpfs with the options, so that there is no moment in
 * which a process of the user could run a program there. If mount(2) fails with EPERM, logind changes the owner of the
 * directory and continues, as it does in a container without CAP_SYS_ADMIN (systemd of RHEL 7,
 * src/login/logind-user.c, user_mkdir_runtime_path()). systemd of RHEL 7 is built without seccomp, so this capability is
 * removed from the set of its unit file; all others stay. systemd-tmpfiles(8) labels /run/user.
 */
function shareUserRuntime(run: Run, options: readonly string[]): void {
  const { units, services, userOptions } = run;
  userOptions.push(...options);
  if (run.fstab.some(({ target }) => target === '/run/user')) {
    addMountOptionsService(run, '/run/user', options);
  } else {
    if (!units.wanted.includes('run-user.mount')) units.wanted.push('run-user.mount');
    const mount = ['What=tmpfs', 'Where=/run/user', 'Type=tmpfs'];
    const list = `Options=mode=0755,size=${tenthOfMemory(run)}k,${userOptions.join()}`;
    units.file('run-user.mount', '[Unit]', 'Before=local-fs.target', '[Mount]', ...mount, list);
  }
  if (services.has('systemd-logind.service')) return;
  services.add('systemd-logind.service');
  units.dropin(
    'systemd-logind.service',
    ...['[Unit]', 'After=run-user.mount', '[Service]', 'CapabilityBoundingSet='],
    'CapabilityBoundingSet=CAP_MAC_ADMIN CAP_AUDIT_CONTROL CAP_CHOWN CAP_KILL CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_TTY_CONFIG',
  );
}

/**
 * Returns the default of RuntimeDirectorySize=, 10% of the memory, in KiB; here for all users together. Whether "%" needs to
 * be doubled in Options= depends on the version of systemd.
 */
function tenthOfMemory({ reader }: Guest): number {
  return Math.floor(Number(/^MemTotal: *(\d+)/.exec(reader.read('/proc/meminfo'))?.[1] ?? 0) / 10);
}
