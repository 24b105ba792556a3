import { words } from '../../config/config.ts';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { type Unsettled, recordUnsettled } from './moving.ts';
import { unitOf } from './namespaces.ts';
import { type Users, expectNone } from './users.ts';

const systemctl = '/usr/bin/systemctl';

/** Services that must not be stopped, because systemd, logins or this program need them. */
const essential = /^(?:systemd-.*|dbus(?:-broker)?|user@.*|user-runtime-dir@.*|sshd?|auditd)\.service$/;

/** The kinds of units that can start a service, or that systemd stops with it. */
const kinds = 'service,socket,timer,path';

/**
 * Stops the services that use a directory, and the units that could start them again.
 * @param users the users of the directory
 * @param store see Unsettled
 * @throws SystemError EBUSY if the users of the directory are not all services that can be stopped; nothing is then stopped
 */
export async function stopUsers(
  context: Context,
  directory: string,
  users: Pick<Users, 'lasting' | 'owners' | 'inNamespaces'>,
  store: Unsettled['store'],
  advice: string,
): Promise<void> {
  const { reader, run } = context;
  const { services, others } = servicesOf(reader, users);
  expectNone(users.lasting, others, advice);
  const since = reader.now().getTime();
  const record = (units: string[]) => recordUnsettled(context, { path: directory, units, since, store });
  record([]);
  if (services.length === 0) return;
  const triggers: string[] = [];
  for (const service of services) {
    const text = await run(systemctl, ['show', '-p', 'RefuseManualStop,TriggeredBy', service]);
    const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
    const reason =
      value('RefuseManualStop') === 'yes'
        ? 'systemd does not stop it on request (RefuseManualStop=)'
        : whyNotStopped(reader, service);
    if (reason !== undefined) throw new SystemError(`${service} uses ${directory}, and ${reason}`, 'EBUSY');
    triggers.push(...words(value('TriggeredBy')));
  }
  // In this order also when they are started: a socket does not start while its service runs.
  const stopped = [...triggers, ...services];
  // Recorded before they are stopped, and again with the units that systemd stops with them.
  record(stopped);
  const before = await activeUnits(context);
  context.say(`Stopping ${services.join(', ')}`);
  await run(systemctl, ['stop', ...stopped], { seconds: 600 });
  const after = new Set(await activeUnits(context));
  const gone = before.filter((unit) => !after.has(unit));
  const units = [...new Set([...stopped.filter((unit) => before.includes(unit)), ...gone])];
  const isService = (unit: string) => unit.endsWith('.service');
  record([...units.filter((unit) => !isService(unit)), ...units.filter(isService)]);
}

/** Sorts the users of a directory by service; processes of no service remain. */
export function servicesOf(
  reader: SystemReader,
  { owners, inNamespaces }: Pick<Users, 'owners' | 'inNamespaces'>,
): { services: string[]; others: Users['owners'] } {
  const all = [...owners, ...inNamespaces].map((owner) => ({ owner, service: unitOf(reader, owner.pid) }));
  return {
    services: [...new Set(all.flatMap(({ service }) => service ?? []))].sort(),
    // A process that has ended has no cgroup.
    others: all
      .filter(
        ({ service, owner }) => service === undefined && reader.stat(`/proc/${owner.pid}`) !== undefined,
      )
      .map(({ owner }) => owner),
  };
}

/** Returns why a service must not be stopped: a clause; undefined if it may be stopped. */
export function whyNotStopped(reader: SystemReader, service: string): string | undefined {
  if (unitOf(reader, process.pid) === service) return 'this program runs in it';
  return essential.test(service) ? 'the system needs it' : undefined;
}

async function activeUnits({ run }: Context): Promise<string[]> {
  const text = await run(systemctl, [
    ...['list-units', `--type=${kinds}`, '--state=active,activating,reloading'],
    ...['--no-legend', '--no-pager', '--full', '--plain'],
  ]);
  return text.split('\n').flatMap((line) => /^\s*(\S+\.\w+)\s/.exec(line)?.[1] ?? []);
}
