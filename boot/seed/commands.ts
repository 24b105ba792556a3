import { NO, YES, type Command, hasWord } from '../guest/command.ts';
import { readGuest } from '../guest/guest.ts';
import { keepSelinuxDomain } from '../guest/selinux.ts';
import { closeEtc, endSearch, findSeed } from './seed.ts';

/** The commands for SEED=host. */
export const seedCommands: Readonly<Record<string, Command>> = {
  seed: {
    args: '',
    does: 'Run by immutafs-seed.service in a sealed boot, before cloud-init and the network: finds the seed of this guest on a device that the host made read-only, and copies it for cloud-init. The result is in boot.env.',
    exit: '0: the result is recorded',
    // More than the longest SEED_TIMEOUT.
    seconds: 415,
    run: (context) => {
      keepSelinuxDomain(context);
      findSeed(readGuest(context, 'SEED'));
      return { code: YES, output: '' };
    },
  },
  'seed-ended': {
    args: '',
    does: 'Run by immutafs-seed-ended.service when immutafs-seed.service has failed: records the result if the search was killed.',
    exit: '0: recorded, or there was nothing to record',
    seconds: 20,
    run: (context) => {
      endSearch(readGuest(context, 'SEED'));
      return { code: YES, output: '' };
    },
  },
  'seed-finish': {
    args: '[late…]',
    does: 'Run by immutafs-seed-finish.service: makes the overlay on /etc read-only when cloud-init has finished; with `late`, by immutafs-seed-close.service, if cloud-init does not finish in time. Then only a part of the seed is applied.',
    exit: '0: /etc is read-only; 1: a file of it is open for writing',
    seconds: 55,
    run: (context, [late]) => ({
      code: closeEtc(readGuest(context, 'SEED'), hasWord(late, 'late')) ? YES : NO,
      output: '',
    }),
  },
};
