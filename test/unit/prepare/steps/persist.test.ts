import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';

const program = '/usr/libexec/immutafs/persist-directory';

/** Plans the step boot for a guest whose PERSIST has /a and /b:exec. @param answer the output for /b, or null: success */
async function planWith(answer: string | null, ended: 'bad' | 'deadline' = 'bad', config?: string) {
  const guest = ordinaryGuest();
  const ran: string[] = [];
  guest.files['etc/immutafs/immutafs.conf'] = config ?? 'PERSIST=/a /b:exec\nPERSIST_STORE=/data/store\n';
  guest.answers.run = (name, args) => {
    if (name !== program) return undefined;
    ran.push(args.join(' '));
    return args[1] === '/b' && answer !== null ? { stdout: answer, ended } : { stdout: '', ended: 'good' };
  };
  const { state, why } = await planned(guest, 'boot');
  return { state, why: why.join(' '), ran };
}

const persist = suite('prepare: PERSIST');

persist('every path can be kept', async () => {
  const { state, ran } = await planWith(null);
  assert.equal([state, ran], ['done', ['check /a', 'check /b']]);
});

persist('a path that would not be kept', async () => {
  const { state, why } = await planWith('REASON=/data is not mounted\nREMEDY=Mount it.\n');
  assert.is(state, 'by hand');
  assert.match(why, '/b of PERSIST would not be kept: /data is not mounted. Mount it.');
  assert.not.match(why, '/a of PERSIST');
});

persist('a path that could not be checked', async () => {
  for (const [answer, ended] of [
    ['', 'bad'],
    ['x', 'bad'],
    ['', 'deadline'],
  ] as const) {
    const { state, why } = await planWith(answer, ended);
    assert.is(state, 'by hand');
    assert.match(why, '/b of PERSIST could not be checked');
  }
});

persist('no program is run without PERSIST', async () => {
  assert.equal(await planWith('x', 'bad', ''), {
    ...{ state: 'done', ran: [] },
    why: 'Nothing at boot needs a writable disk.',
  });
});

persist.run();
