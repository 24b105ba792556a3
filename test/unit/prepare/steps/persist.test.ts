import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planned } from '../../../harness/planned.ts';
import { guestWith, tableOf } from '../../../harness/step-table.ts';

interface Different {
  /** What persist-check prints for /b; undefined: it accepts the path. */
  answer?: string;
  ended?: 'bad' | 'deadline';
  config?: string;
  ran?: string[];
}

/** Returns a guest whose PERSIST has /a and /b:exec. */
function guestOf({ answer, ended = 'bad', config, ran = [] }: Different) {
  const text = config ?? 'PERSIST=/a /b:exec\nPERSIST_STORE=/data/store\n';
  const guest = guestWith({ 'etc/immutafs/immutafs.conf': text });
  guest.answers.run = (name, args) => {
    if (name !== '/usr/libexec/immutafs/immutafs-boot') return undefined;
    ran.push(args.join(' '));
    return args[1] === '/b' && answer !== undefined
      ? { stdout: answer, ended }
      : { stdout: '', ended: 'good' };
  };
  return guest;
}

const unknown = /\/b of PERSIST could not be checked/;
tableOf(guestOf)('prepare: PERSIST', 'boot', {
  'by hand: a path that would not be kept': [
    { answer: 'REASON=/data is not mounted\nREMEDY=Mount it.\n' },
    /^(?!.*\/a of PERSIST).*\/b of PERSIST would not be kept: \/data is not mounted\. Mount it\./,
  ],
  'by hand: no answer': [{ answer: '' }, unknown],
  'by hand: an answer in another form': [{ answer: 'x' }, unknown],
  'by hand: a timeout': [{ answer: '', ended: 'deadline' }, unknown],
});

const persist = suite('prepare: PERSIST, the paths that are checked');
for (const [title, different, expected] of [
  ['every path', {}, ['persist-check /a', 'persist-check /b']],
  ['none without PERSIST', { answer: 'x', config: '' }, []],
] as const) {
  persist(title, async () => {
    const ran: string[] = [];
    const { state, why } = await planned(guestOf({ ...different, ran }), 'boot');
    assert.equal([state, why, ran], ['done', ['Nothing at boot needs a writable disk.'], [...expected]]);
  });
}
persist.run();
