import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Action, Settings, Step } from '../../agent/prepare/engine/step.ts';
import type { Guest } from './guest.ts';
import { ordinaryGuest } from './ordinary-guest.ts';
import { planned } from './planned.ts';

/** The files that differ from those of the ordinary guest. A file that is undefined does not exist. */
export type Files = Record<string, string | { linkTo: string } | undefined>;

/** Returns the line for /tmp that step `tmp` adds to fstab, as `short` describes it. */
export const newTmp = (options: string) =>
  `edit /etc/fstab: # /tmp in memory; tmpfs /tmp tmpfs ${options} 0 0`;
export const tmpOptions = 'rw,size=25%,nr_inodes=50k,noexec,nodev,nosuid,mode=1777';

/** Files below /etc for which step `etc` has nothing to do. */
export const goodEtc: Files = {
  'etc/resolv.conf': { linkTo: '/run/NetworkManager/resolv.conf' },
  'etc/lvm/backup/rhel': '',
};

export function guestWith(files: Files): Guest {
  const guest = ordinaryGuest();
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) delete guest.files[name];
    else guest.files[name] = content;
  }
  return guest;
}

type Check = (step: Step) => void;
/**
 * How the guest differs; and, in any order, expressions that match the reasons, the actions as `short` describes them (by
 * default none), the settings, and further assertions.
 */
type Row<Different> = [Different, ...(RegExp | string[] | Partial<Settings> | Check)[]];
/** The rows by the expected state and a title. */
type Rows<Different> = Record<`${Step['state']}: ${string}`, Row<Different>>;

/** Returns a function that tests the plan of a step for many guests. */
export function tableOf<Different>(guestOf: (different: Different) => Guest) {
  return (title: string, id: Step['id'], rows: Rows<Different>): void => {
    const cases = suite(title);
    for (const [name, [different, ...rest]] of Object.entries(rows)) {
      const checks = rest.filter((each) => typeof each === 'function');
      const actions = rest.find((each) => Array.isArray(each)) ?? [];
      const reasons = rest.filter((each) => each instanceof RegExp);
      const others = rest.filter((each) => typeof each === 'object' && !(each instanceof RegExp));
      const settings = others.find((each): each is Partial<Settings> => !Array.isArray(each)) ?? {};
      cases(name, async () => {
        const step = await planned(guestOf(different), id, { settings });
        const why = step.why.join(' ');
        assert.is(step.state, name.slice(0, name.indexOf(':')), why);
        assert.is.not(why, '');
        for (const reason of reasons) assert.match(why, reason);
        assert.equal(step.actions.map(short), actions);
        for (const check of checks) check(step);
      });
    }
    cases.run();
  };
}

/** Tests the plan of a step for many guests, each an ordinary guest with a few different files. */
export const table = tableOf(guestWith);

/** Describes an action on one line. For an edit, the description has the lines that the edit adds. */
function short(action: Action): string {
  switch (action.do) {
    case 'edit':
      return `edit ${action.file}: ${addedTo(action.before ?? '', action.after)}`;
    case 'link':
      return `link ${action.file} ${action.to}`;
    case 'remove':
      return `remove ${action.file}`;
    case 'run':
      return [action.program, ...action.args].join(' ');
    case 'erase':
      return `erase ${action.files.join(' ')}`;
    case 'rename':
      return `rename ${action.from} ${action.to}`;
    case 'partition-home':
    case 'format-home':
    case 'plan-home':
    case 'plan-clean-var':
      return action.do;
    case 'plan-state':
      return `${action.do} ${action.item}`;
    case 'plan-rest':
    case 'plan-purge':
      return `${action.do} ${action.path}`;
  }
}

function addedTo(before: string, after: string): string {
  const old = before.split('\n');
  return after
    .split('\n')
    .filter((line) => !old.includes(line))
    .join('; ');
}
