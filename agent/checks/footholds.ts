import { shortList } from '../lib/format.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Nowhere can a program be put that is run and outlives a reboot. */
export const footholds: Check = {
  id: 'footholds',
  severity: 'advisory',
  seal: true,
  messageId: '8c970a35582c40d79aadf0e6013abbc7',
  documentation: {
    title: 'nowhere can a program be put, run and kept over a reboot',
    means:
      "No mount is writable and executable and outlives a reboot at the same time. The report lists every mount that is writable and executable, and every one that is writable and outlives a reboot, the variables of the EFI firmware included, each with what could be tightened. /proc, /sys and the like are left out: they hold no files of anybody's. For each user who may log in or who lingers, and whose home directory outlives a reboot, the check names the units in ~/.config/systemd/user, ~/.ssh/authorized_keys and the start-up files of login shells that differ in size from those of /etc/skel. It warns if a lingering user has units there: systemd starts those at boot, with that user's rights. At most 200 users are checked.",
    why: 'This is the attack surface that is left on a sealed guest.',
    fix: 'Mount what is listed with noexec where nothing is run from it; give data that must persist a mount with noexec,nosuid,nodev; have the host make read-only whatever need not be written. To stop units of a user from starting without a login: loginctl disable-linger USER, while the disk is writable.',
  },
  evaluate: (facts) => {
    unwrap(facts.disks);
    const found = unwrap(facts.footholds);
    const both = found.filter(({ executable, persistent }) => executable && persistent);
    const expected = 'none that is executable and outlives a reboot';
    const executable = found.filter((each) => each.executable).length;
    const persistent = found.filter((each) => each.persistent).length;
    const autostart = unwrap(facts.persistentAutostart);
    const named = autostart.length === 0 ? '' : `; of users: ${shortList(autostart.map(describe), ', ')}`;
    const lingering = autostart.filter(({ lingers, units }) => lingers && units);
    if (both.length === 0 && lingering.length === 0) {
      const observed = `writable and executable: ${executable}; writable over a reboot: ${persistent}; none is both${named}`;
      return { status: 'pass', subject: 'mounts', expected, observed, remedy: '' };
    }
    const [first] = both;
    const [user] = lingering;
    const mounts = both.map(({ target, reason }) => `${target}: ${reason}`);
    const atBoot = lingering.map((each) => `${each.home}: units of ${each.user}, who lingers, start at boot`);
    return {
      status: 'warn',
      subject: shortList([...both.map(({ target }) => target), ...lingering.map(({ home }) => home)]),
      expected,
      observed: shortList([...mounts, ...atBoot], '; ') + named,
      remedy: first?.tighten ?? `loginctl disable-linger ${user?.user ?? ''}, while the disk is writable`,
    };
  },
};

/** So many that a line stays one. */
const shown = 5;

function describe({ user, lingers, units, files }: Autostart): string {
  const what = [...(units ? [`units${lingers ? ' at boot' : ''}`] : []), ...files.slice(0, shown)];
  return `${user} (${what.join(' ')}${files.length > shown ? ' …' : ''})`;
}
