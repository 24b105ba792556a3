import { UsageError } from '../../agent/lib/errors.ts';
import { NO, YES, type Command, type Context, answer } from '../guest/command.ts';
import { type Guest, readGuest } from '../guest/guest.ts';
import { keepSelinuxDomain } from '../guest/selinux.ts';
import { refusalOf } from '../native/refusal.ts';
import {
  checkDevice,
  closeScratch,
  discardScratch,
  markDevice,
  openScratch,
  unmarkDevice,
} from './device.ts';
import { mountPaths } from './scratch.ts';

/** The commands for SCRATCH and its device. Those that take a link, in /dev/disk/by-id, are run by the agent. */
export const scratchCommands: Readonly<Record<string, Command>> = {
  scratch: {
    args: '',
    does: 'Run by immutafs-scratch.service in a sealed boot: mounts the paths of SCRATCH. The result of each is in /run/immutafs/scratch, named after the path with "=" for "/". Its STATE is disk, memory, read-only or failed (the path is as without SCRATCH).',
    exit: '0: each path is writable; 1: a path is read-only or failed',
    // Longer than the limit of the copies.
    seconds: 350,
    run: (context) => {
      keepSelinuxDomain(context);
      return { code: mountPaths(scratchGuest(context)) ? YES : NO, output: '' };
    },
  },
  'scratch-open': {
    args: '',
    does: 'Run by immutafs-scratch-device.service in a sealed boot: opens SCRATCH_DEVICE with dm-crypt and a new random key, which is only in memory, makes a file system on it and mounts it at /run/immutafs/scratch-disk. The result is in /run/immutafs/scratch-device.',
    exit: '0: mounted; 1: not mounted, the paths of SCRATCH are in memory',
    // Longer than the limits of its steps together.
    seconds: 290,
    run: (context) => {
      keepSelinuxDomain(context);
      return { code: openScratch(scratchGuest(context)) ? YES : NO, output: '' };
    },
  },
  'scratch-close': {
    args: '',
    does: 'Unmounts the file system of SCRATCH_DEVICE, and removes its key.',
    exit: '0: closed; 1: not closed',
    seconds: 60,
    run: (context) => reported(context, 'SCRATCH_DEVICE stays open', closeScratch),
  },
  'scratch-discard': {
    args: '',
    does: 'Run by immutafs-scratch-discard.service at the end of a sealed boot: does the same, and gives the space of the device back to the host.',
    exit: '0: given back; 1: not given back',
    seconds: 60,
    run: (context) =>
      reported(
        context,
        'the space of SCRATCH_DEVICE stays allocated on the host until the next boot',
        discardScratch,
      ),
  },
  'scratch-check': {
    args: '[LINK…]',
    does: 'Prints REASON= and REMEDY= if a boot would not use SCRATCH_DEVICE, or the device of LINK.',
    exit: '0: it would; 1: it would not',
    seconds: 20,
    run: (context, [link]) => {
      const guest = scratchGuest(context);
      return answer(() => checkDevice(guest, link ?? guest.config.SCRATCH_DEVICE));
    },
  },
  'scratch-examine': {
    args: 'LINK [wipe…]',
    does: 'Prints REASON= and REMEDY= if scratch-mark would not mark the device.',
    exit: '0: it would; 1: it would not',
    seconds: 60,
    run: (context, [link = '', wipe]) =>
      answer(() => markDevice(scratchGuest(context), link, isWipe(wipe), false)),
  },
  'scratch-mark': {
    args: 'LINK [wipe…]',
    does: 'Marks a device for this guest, so that every sealed boot may format it; with `wipe` also if it has content, which is then lost. Prints REASON= and REMEDY= if it does not.',
    exit: '0: marked; 1: not marked',
    seconds: 60,
    run: (context, [link = '', wipe]) =>
      answer(() => markDevice(scratchGuest(context), link, isWipe(wipe), true)),
  },
  'scratch-unmark': {
    args: 'LINK',
    does: 'Removes the mark of this guest from a device, so that no boot formats it. Prints REASON= and REMEDY= if it does not.',
    exit: '0: removed; 1: not removed',
    seconds: 60,
    run: (context, [link = '']) => answer(() => unmarkDevice(scratchGuest(context), link)),
  },
};

function scratchGuest(context: Context): Guest {
  return readGuest(context, 'SCRATCH');
}

function isWipe(word: string | undefined): boolean {
  if (word !== undefined && word !== 'wipe') throw new UsageError(`unknown word ${word}`);
  return word === 'wipe';
}

/** Runs an action. @param what the result of its failure, for the message */
function reported(
  context: Context,
  what: string,
  action: (guest: Guest) => void,
): { code: number; output: string } {
  const refusal = refusalOf(() => action(scratchGuest(context)));
  if (refusal !== undefined)
    context.native.print(2, `immutafs: ${what}: ${refusal.reason}. ${refusal.remedy}\n`);
  return { code: refusal === undefined ? YES : NO, output: '' };
}
