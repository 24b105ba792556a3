/**
 * A sealed guest whose journal is persistent and whose application state is on a data disk, with the programs of others:
 * AIDE checks it with the rules of docs/compliance.md, and the guest agent freezes its file systems. The log server receives
 * AIDE's report and everything else, although the journal is in the layer of /var.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorMessage } from '../../../agent/lib/errors.ts';
import { aideReport, aideRules } from '../../../docs/compliance.ts';
import { agentTree } from '../harness/agent.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import type { Edit } from '../harness/disk.ts';
import {
  lastWords,
  untilAcknowledged,
  untilState,
  withForwardingGuest,
} from '../harness/forwarding-guest.ts';
import { type AskAgent, agentPort, withGuestAgent } from '../harness/guest-agent.ts';
import { type Received, receivedBy } from '../harness/log-server.ts';
import { treeWithPackages } from '../harness/packages.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import { type Boot, assertSealed, look } from '../harness/scenario.ts';

const others = suite('AIDE, a persistent journal and the guest agent');

const database = '/var/lib/aide/aide.db';
const aideConfiguration = `database_in=file:${database}
database_out=file:${database}.new
${aideReport}
${aideRules}`;

/** Leaves out /usr, which takes an emulated guest several minutes. */
const aide = (action: string) => `aide --config=/etc/aide/aide.conf --limit='^/(boot|etc|var)' --${action}`;

const initialise = `${aide('init')} && mv ${database}.new ${database}`;

/** The journal is limited to less than what the step `fill` logs. */
const journal = '[Journal]\nStorage=persistent\nSystemMaxUse=8M\nRateLimitIntervalSec=0\n';
const limitKiB = 8 * 1024;
const batches = 6;
const perBatch = 3000;

const edit: Edit = async (root) => {
  for (const directory of ['var/lib/kept', 'var/lib/aide', 'etc/aide'])
    await mkdir(join(root, directory), { recursive: true });
  await persistOnDataDisk(root, '/var/lib/kept');
  await writeFile(join(root, 'etc/systemd/journald.conf.d/volatile.conf'), journal);
  await writeFile(join(root, 'etc/aide/aide.conf'), aideConfiguration);
};

/** Logs numbered entries that are hard to compress. No more is logged than the journal keeps until it is acknowledged. */
const fill = `
  for batch in $(seq ${batches}); do
    od -An -v -w180 -tx1 -N$((180 * ${perBatch})) /dev/urandom | tr -d ' ' |
      awk -v batch=$batch '{ print batch "-" NR " " $0 }' | systemd-cat --identifier=filler
    journalctl --sync
    sleep 2
    (${untilAcknowledged}) || exit 1
  done
  journalctl -t filler -o cat | head -n 1 | cut -c1-20
  du -sk /var/log/journal | cut -f1`;

/** Writes to a file until the file systems are thawed, and prints the longest time between two writes. */
const writeUntilThawed = (file: string, times: string) =>
  `while ! [ -e /run/thawed ]; do echo x >>${file}; sync ${file}; cut -d' ' -f1 /proc/uptime >>${times}; sleep 0.1; done
   awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { print most }' ${times}`;
const frozenSeconds = 6;
const frozen = `
  { sleep 120; touch /run/thawed; } >/dev/null 2>&1 &
  (${writeUntilThawed('/var/lib/kept/file', '/run/kept.times')}) >/run/kept & kept=$!
  (${writeUntilThawed('/var/lib/file', '/run/reset.times')}) >/run/reset & wait $kept $!
  cat /run/kept /run/reset`;

/** What the guest agent said. */
interface Freeze {
  count: unknown;
  states: unknown[];
}

/** Freezes the file systems for a while, as `virsh domfsfreeze` and `domfsthaw` do. */
async function freeze(ask: AskAgent): Promise<Freeze> {
  await setTimeout(frozenSeconds * 1000);
  const state = () => ask('guest-fsfreeze-status');
  const states = [await state()];
  const count = await ask('guest-fsfreeze-freeze');
  states.push(await state());
  await setTimeout(frozenSeconds * 1000);
  await ask('guest-fsfreeze-thaw');
  states.push(await state());
  await ask('guest-exec', { path: '/usr/bin/touch', arg: ['/run/thawed'] });
  return { count, states };
}

interface Results {
  open: Boot;
  sealed: Boot;
  freeze: Freeze;
  received: Received;
}

const failed = (error: unknown): Freeze => ({ count: errorMessage(error), states: [] });

let results: Results;

others.before(async () => {
  const tree = await treeWithPackages('others-tree', await agentTree(), ['aide', 'qemu-guest-agent']);
  await withRunFolder((folder) =>
    withDataDisk((drive) =>
      withForwardingGuest({ tree, edit }, async (start, log) => {
        log.start();
        const options = { drives: [drive], memoryMiB: 2048, limitSeconds: 900 };
        const open = await start({ ...options, disk: 'writable', steps: { aide: initialise } });
        const guestAgent = join(folder, 'agent');
        let answers: Promise<Freeze> | undefined;
        const sealed = await start({
          ...options,
          ports: { [agentPort]: guestAgent },
          steps: {
            connected: untilState('connected'),
            ...look,
            aide: `echo planted >/var/lib/planted; ${aide('check')}; [ $? -lt 8 ]`,
            written:
              'cd /run/var/upper && find . && cd /run/immutafs/lower && find . -newer lib/aide/aide.db',
            fill,
            agent: 'systemctl is-active qemu-guest-agent',
            frozen,
            after: look.failed,
            acknowledged: untilAcknowledged,
          },
          afterStep: {
            name: 'agent',
            call: () => {
              answers = withGuestAgent(guestAgent, freeze).catch(failed);
            },
          },
        });
        const said = (await answers) ?? failed('the step did not run');
        results = { open, sealed, freeze: said, received: receivedBy(log) };
      }),
    ),
  );
});

others('AIDE compares the sealed guest with the open one, and the server receives its report', () => {
  const { open, sealed, received } = results;
  assert.is(open.step('aide').exit, 0, open.step('aide').stderr);
  assert.is(sealed.step('aide').exit, 0, sealed.step('aide').stderr);
  const lines = received.stored('guest').filter(({ app }) => app === 'aide');
  // AIDE begins a message with a newline.
  const paths = lines.flatMap(
    ({ text }) => /(?:^|\s|#012|\\n)[a-z][ +.=<>A-Za-z]+: (\/[^\s#]+)/.exec(text)?.[1] ?? [],
  );
  assert.ok(paths.includes('/var/lib/planted'), JSON.stringify(lines));
  const written = new Set(
    sealed
      .step('written')
      .stdout.split('\n')
      .map((path) => `/var${path.slice(1)}`),
  );
  assert.equal(
    paths.filter((path) => !written.has(path)),
    [],
    'files that were not written since the database was built',
  );
});

others('a persistent journal stays below its limit in the layer, and nothing of it is lost', () => {
  const { sealed, received } = results;
  const { exit, stdout } = sealed.step('fill');
  assert.is(exit, 0, stdout);
  const [first = '', size] = stdout.split('\n');
  assert.ok(Number(size) <= 1.25 * limitKiB, stdout);
  assert.not.match(first, /^1-1 /, 'the twin: the journal had to remove entries');
  const entries = received.stored('guest').filter(({ app }) => app === 'filler');
  const numbers = entries.map(({ text }) => text.split(' ')[0]);
  assert.is(numbers.length, batches * perBatch);
  assert.is(new Set(numbers).size, numbers.length);
  assert.is(received.stored('guest').filter(({ text }) => text === lastWords).length, 2, 'of both boots');
});

others('the guest agent freezes and thaws a sealed guest; only what is on disks waits', () => {
  const { sealed, freeze: said } = results;
  assertSealed(sealed);
  assert.is(sealed.step('agent').stdout, 'active\n');
  assert.equal(said.states, ['thawed', 'frozen', 'thawed']);
  assert.ok(Number(said.count) > 0, String(said.count));
  const [kept = 0, reset = 0] = sealed.step('frozen').stdout.split('\n').map(Number);
  assert.ok(kept > frozenSeconds - 1, `${kept} s on the data disk`);
  assert.ok(reset < frozenSeconds - 1, `${reset} s in the layer`);
  assert.is(sealed.step('after').stdout, '');
  assert.is(sealed.step('acknowledged').exit, 0);
});

others.run();
