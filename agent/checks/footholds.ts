import { persistItems } from '../facts/boot/persist.ts';
import { shortList } from '../lib/format.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

export const footholds: Check = {
  id: 'footholds',
  severity: 'advisory',
  seal: true,
  messageId: '8c970a35582c40d79aadf0e6013abbc7',
  title: 'no mount is writable, executable and persistent at once',
  means:
    'The check reads the mount table. No mount is writable, executable and persistent (outlives a reboot) at once. The report lists every mount that is writable and executable, and every mount that is writable and persistent, including the EFI variables, and the device of SCRATCH, on which root can write below the encryption, each with a way to restrict it. The check also warns about a path that PERSIST keeps with the option autostart: root in a sealed boot can write there what runs as root in the next boot and, with the option maintenance, also while the system disk is writable, so that it can change the sealed disk permanently. File systems such as /proc and /sys are left out: no process can store files there. For each user who may log in or who lingers, and whose home directory outlives a reboot, the check names the units in ~/.config/systemd/user, ~/.ssh/authorized_keys and the start-up files of login shells that differ in size from those of /etc/skel. The check warns if a lingering user has units there: systemd starts them at boot with the rights of that user. At most 200 users are checked.',
  why: 'This is the remaining attack surface of a sealed guest.',
  fix: 'Mount the listed file systems with noexec if no program runs from them. Keep persistent data on a mount with noexec,nosuid,nodev. Have the host make every disk read-only that no program needs to write to. To stop the units of a user from starting without a login: loginctl disable-linger USER, while the disk is writable.',
  page: 'threat-model.md',
  subject: 'mounts',
  expected: 'no mount that is writable, executable and persistent',
  evaluate: (facts) => {
    unwrap(facts.disks);
    const found = unwrap(facts.footholds);
    const items = persistItems(facts.config).filter(({ options }) => options.includes('autostart'));
    const started = items.map(({ path }) => path);
    const both = found.filter(
      ({ target, executable, persistent }) => persistent && (executable || started.includes(target)),
    );
    const autostart = unwrap(facts.persistentAutostart);
    const named =
      autostart.length === 0 ? '' : `; user start-up files: ${shortList(autostart.map(describe), ', ')}`;
    const lingering = autostart.filter(({ lingers, units }) => lingers && units);
    const [first] = both;
    const [user] = lingering;
    if (first === undefined && user === undefined) {
      const executable = found.filter((each) => each.executable).length;
      const persistent = found.filter((each) => each.persistent).length;
      const observed = `writable and executable: ${executable}; writable and persistent: ${persistent}; both: 0${named}`;
      return { status: 'pass', observed };
    }
    const mounts = both.map(({ target, reason }) => `${target}: ${reason}`);
    const atBoot = lingering.map(
      (each) => `${each.home}: units of the lingering user ${each.user} start at boot`,
    );
    return {
      status: 'warn',
      subject: shortList([...both.map(({ target }) => target), ...lingering.map(({ home }) => home)]),
      observed: shortList([...mounts, ...atBoot], '; ') + named,
      remedy: first?.tighten ?? `loginctl disable-linger ${user?.user ?? ''}, while the disk is writable`,
    };
  },
};

/** Limit for the listed files of one user, to keep the line short. */
const shown = 5;

function describe({ user, lingers, units, files }: Autostart): string {
  const what = [...(units ? [`units${lingers ? ' at boot' : ''}`] : []), ...files.slice(0, shown)];
  return `${user} (${what.join(' ')}${files.length > shown ? ' …' : ''})`;
}
