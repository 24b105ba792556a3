import { persistItems } from '../facts/boot/kept-paths.ts';
import { shortList } from '../lib/format.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

export const footholds: Check = {
  id: 'footholds',
  severity: 'advisory',
  seal: true,
  messageId: '8c970a35582c40d79aadf0e6013abbc7',
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
