import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PrepareOptions, prepareWith } from '../../../agent/commands/prepare.ts';
import { HostError, UsageError } from '../../../agent/errors.ts';
import { type Hands, systemHands } from '../../../agent/host/hands.ts';
import { apply } from '../../../agent/prepare/apply.ts';
import { type Entry, readJournal } from '../../../agent/prepare/journal.ts';
import type { Action } from '../../../agent/prepare/step.ts';
import { type Guest, goodGuest, withGuest } from '../../support/guest.ts';
import { goodImage, ordinaryGuest } from '../../support/ordinary-guest.ts';
import { planOf } from '../../support/planned.ts';

const edited = ['etc/fstab', 'etc/mtab', 'etc/resolv.conf'];

interface Said {
  code: number;
  stdout: string;
}

/** What the programs do that a folder of fixtures cannot run. */
function fakePrograms(root: string): Hands['run'] {
  return (program, args) => {
    const write = (file: string, text: string) => {
      fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      fs.writeFileSync(path.join(root, file), text, 'latin1');
    };
    if (program === '/usr/bin/dracut') write(args[1] ?? '', goodImage());
    else if (program === '/sbin/vgcfgbackup') write(`/etc/lvm/backup/${args[0]}`, '');
    else return Promise.resolve({ exit: 1, stdout: '', stderr: 'no such program', late: false });
    return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
  };
}

interface Box {
  root: string;
  hands: Hands;
  prepare: (options?: Partial<PrepareOptions>, hands?: Hands) => Promise<Said>;
  journal: () => Entry[];
}

function withBox(guest: Guest, work: (box: Box) => Promise<void>): Promise<void> {
  return withGuest(guest, (host, root) => {
    const hands = { ...systemHands(root), run: fakePrograms(root) };
    for (const file of edited) {
      // Another time than now, so that it can be seen to come back.
      if (guest.files[file] !== undefined) fs.lutimesSync(path.join(root, file), 1e9, 1e9);
    }
    return work({
      root,
      hands,
      journal: () => readJournal(host),
      prepare: async (options = {}, own = hands) => {
        let stdout = '';
        const output = {
          stdout: (text: string) => void (stdout += text),
          stderr: () => undefined,
          terminal: false,
        };
        const code = await prepareWith(host, own, output, { skip: ['home'], ...options }, () => undefined);
        return { code, stdout };
      },
    });
  });
}

/** Every file and link of a guest, but what prepare keeps for itself, and what the kernel shows. */
function tree(root: string, folder = ''): Record<string, string> {
  const entries = fs.readdirSync(path.join(root, folder), { withFileTypes: true });
  const found = entries.map((entry): Record<string, string> => {
    const name = path.join(folder, entry.name);
    const file = path.join(root, name);
    if (['sys', 'proc', 'var/lib/immutafs', 'run/immutafs'].includes(name)) return {};
    if (entry.isDirectory()) return tree(root, name);
    if (entry.isSymbolicLink()) return { [name]: `-> ${fs.readlinkSync(file)}` };
    const { mode, mtimeMs } = fs.lstatSync(file);
    return { [name]: `${mode} ${mtimeMs} ${fs.readFileSync(file, 'latin1')}` };
  });
  return Object.assign({}, ...found) as Record<string, string>;
}

const plan = suite('the plan');
plan('changes nothing and says all of it', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    const { code, stdout } = await prepare();
    assert.is(code, 1);
    assert.equal(tree(root), before);
    assert.is(fs.existsSync(path.join(root, 'var/lib/immutafs')), false);
    assert.match(
      stdout,
      /^ {2}needed {3}tmp {7}\/etc\/fstab has no \/tmp: a tmpfs is added\.\n {21}> edit \/etc\/fstab\n/,
    );
    assert.match(stdout, /\+tmpfs \/tmp tmpfs rw,/);
    assert.match(stdout, /-\/dev\/mapper\/rhel-root {3}\/ {23}xfs {5}defaults {8}0 0\n/);
    assert.match(stdout, '> ln -sfn ../proc/self/mounts /etc/mtab');
    assert.match(stdout, '5 needed. `immutafs-agent prepare --apply` does what is needed.');
  }),
);
plan('each step sees what those before it are going to do', async () => {
  const { steps } = await planOf(ordinaryGuest(), { steps: ['tmp', 'fstab'] });
  const [tmp, fstab] = steps.map(({ actions }) => actions.find((action) => action.do === 'edit'));
  assert.is(fstab?.before, tmp?.after);
});
plan('--json', () =>
  withBox(ordinaryGuest(), async ({ prepare }) => {
    const { code, stdout } = await prepare({ json: true, only: ['mtab'] });
    assert.is(code, 1);
    assert.equal(JSON.parse(stdout), {
      schema: 1,
      ready: false,
      refused: null,
      steps: [
        {
          id: 'mtab',
          state: 'needed',
          why: ["/etc/mtab is a file; on a read-only disk it must be a link to the kernel's own table."],
          actions: [{ do: 'link', file: '/etc/mtab', to: '../proc/self/mounts' }],
        },
      ],
    });
  }),
);
plan('a guest that is sealed is refused, whatever is asked', () =>
  withBox(goodGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    for (const options of [{}, { apply: true, yes: true }, { undo: true }, { json: true }]) {
      const { code, stdout } = await prepare(options);
      assert.is(code, 1);
      assert.match(stdout, /This guest is sealed: disk vda is read-only\. Shut it down/);
    }
    assert.equal(tree(root), before);
  }),
);
for (const [title, mounts, said] of [
  [
    'a sealed boot on a writable disk',
    { var: '0:42 / /var rw - overlay immutafs rw,lowerdir=/l' },
    /\/var is an overlay/,
  ],
  [
    'a root that became read-only',
    { root: '253:0 / / ro,relatime shared:1 - xfs /dev/mapper/rhel-root ro' },
    /mounted read-only, though its disk is not/,
  ],
] as const) {
  plan(`${title} is refused`, () => {
    const guest = ordinaryGuest();
    Object.assign(guest.mounts, mounts);
    return withBox(guest, async ({ prepare }) => {
      const { code, stdout } = await prepare({ apply: true, yes: true });
      assert.is(code, 1);
      assert.match(stdout.replaceAll('\n', ' '), said);
    });
  });
}
plan.run();

const applying = suite('--apply');
applying('does what is needed, notes it, and has nothing to do afterwards', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const { code, stdout } = await prepare({ apply: true, yes: true });
    assert.is(code, 0, stdout);
    assert.match(stdout, 'Nothing is left to do; not looked at: home.');
    assert.is(fs.readlinkSync(path.join(root, 'etc/mtab')), '../proc/self/mounts');
    assert.match(
      fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'),
      /^\/dev\/mapper\/rhel-root .* defaults,ro /m,
    );
    const entries = journal();
    assert.equal(
      entries.map(({ step, action, ended, problem }) => [step, action.do, ended === null, problem]),
      [
        ['tmp', 'edit', false, null],
        ['mtab', 'link', false, null],
        ['fstab', 'edit', false, null],
        ['etc', 'link', false, null],
        ['etc', 'run', false, null],
        ['initramfs', 'run', false, null],
        ['initramfs', 'rename', false, null],
      ],
    );
    const done = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.equal(tree(root), done);
    assert.is(journal().length, entries.length);
  }),
);
applying('owner and mode of an edited file stay', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const fstab = path.join(root, 'etc/fstab');
    fs.chmodSync(fstab, 0o640);
    if (process.getuid?.() === 0) fs.chownSync(fstab, 3, 4);
    const { mode, uid, gid } = fs.statSync(fstab);
    await prepare({ apply: true, yes: true, only: ['tmp'], skip: [] });
    const now = fs.statSync(fstab);
    assert.equal([now.mode, now.uid, now.gid], [mode, uid, gid]);
    assert.match(fs.readFileSync(fstab, 'latin1'), 'tmpfs /tmp');
  }),
);
applying('without --yes and without a terminal nothing is done', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    for (const options of [{ apply: true }, { apply: true, json: true }]) {
      try {
        await prepare(options);
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, UsageError);
        assert.match((error as Error).message, /needs --yes/);
      }
    }
    assert.equal(tree(root), before);
  }),
);
applying('a program that fails ends it, with what it said', () =>
  withBox(ordinaryGuest(), async ({ hands, prepare, journal }) => {
    const run: Hands['run'] = () =>
      Promise.resolve({ exit: 1, stdout: '', stderr: 'a\nno space left\n', late: false });
    try {
      await prepare({ apply: true, yes: true, only: ['initramfs'], skip: [] }, { ...hands, run });
      assert.unreachable('no error');
    } catch (error) {
      assert.instance(error, HostError);
      assert.match(
        (error as Error).message,
        /^\/usr\/bin\/dracut --force .* ended with 1: a; no space left$/,
      );
    }
    assert.match(journal().at(-1)?.problem ?? '', /no space left/);
  }),
);
applying('a program that does nothing is found out', () =>
  withBox(ordinaryGuest(), async ({ hands, prepare }) => {
    const run: Hands['run'] = () => Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
    const { code, stdout } = await prepare(
      { apply: true, yes: true, only: ['etc'], skip: [] },
      { ...hands, run },
    );
    assert.is(code, 1);
    assert.match(stdout, 'etc was done, and is still needed.');
  }),
);
applying('a file that has changed since it was looked at is left alone', () =>
  withGuest(ordinaryGuest(), async (host, root) => {
    const actions: Action[] = [{ do: 'edit', file: '/etc/fstab', before: 'something else', after: 'new' }];
    const voice = { say: () => undefined, progress: () => undefined };
    try {
      await apply(host, systemHands(root), { id: 'tmp', state: 'needed', why: [], actions }, voice);
      assert.unreachable('no error');
    } catch (error) {
      assert.is((error as Error).message, '/etc/fstab has changed since it was looked at');
    }
    assert.match(host.read('/etc/fstab'), '/dev/mapper/rhel-root');
  }),
);
applying('two at a time', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    // Another process that lives: the one that started this one.
    fs.writeFileSync(path.join(root, 'run/immutafs/prepare.lock'), `${process.ppid}\n`);
    try {
      await prepare({ apply: true, yes: true });
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, /another immutafs-agent prepare is at work/);
    }
    fs.writeFileSync(path.join(root, 'run/immutafs/prepare.lock'), '999999999\n');
    assert.is((await prepare({ apply: true, yes: true })).code, 0, 'one that has died');
  }),
);
applying.run();

/** Hands that stop for good after so many acts. */
function dyingHands(hands: Hands, acts: number): Hands {
  let left = acts;
  const dying =
    <Arguments extends unknown[], Result>(act: (...all: Arguments) => Result) =>
    (...all: Arguments): Result => {
      left -= 1;
      if (left < 0) throw new Error('power cut');
      return act(...all);
    };
  return {
    replaceText: dying(hands.replaceText),
    replaceByLink: dying(hands.replaceByLink),
    copyInto: dying(hands.copyInto),
    remove: dying(hands.remove),
    rename: dying(hands.rename),
    makeFolder: dying(hands.makeFolder),
    run: dying(hands.run),
    writeAt: dying(hands.writeAt),
    lock: hands.lock,
  };
}

const power = suite('interrupted anywhere');
power('after each act: it can be undone, and --apply again completes', async () => {
  let died = true;
  for (let acts = 0; died; acts++) {
    died = false;
    await withBox(ordinaryGuest(), async ({ root, hands, prepare }) => {
      const before = tree(root);
      await prepare({ apply: true, yes: true }, dyingHands(hands, acts)).catch((error: unknown) => {
        assert.match((error as Error).message, 'power cut');
        died = true;
      });
      // Every other time, so that both are tried from every kind of state.
      if (acts % 2 === 0) {
        assert.is((await prepare({ undo: true })).code, 0, `undo after ${acts} acts`);
        for (const file of edited) assert.is(tree(root)[file], before[file], `${file} after ${acts} acts`);
      }
      assert.is((await prepare({ apply: true, yes: true })).code, 0, `--apply after ${acts} acts`);
      assert.is((await prepare({ undo: true })).code, 0, `undo of what took two runs (${acts} acts)`);
      for (const file of edited) assert.is(tree(root)[file], before[file], `${file}, two runs, ${acts} acts`);
    });
  }
});
power.run();

const undoing = suite('--undo');
undoing('gives back every file as it was', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    for (const file of edited) assert.is.not(done[file], before[file], file);
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 0);
    assert.match(stdout, '/etc/fstab is as it was');
    assert.match(stdout, 'stays: what /usr/bin/dracut');
    for (const file of edited) assert.is(tree(root)[file], before[file], file);
    assert.equal(journal(), []);
    assert.match((await prepare({ undo: true })).stdout, 'prepare has changed nothing here.');
    assert.is((await prepare()).code, 1);
  }),
);
undoing('removes what was not there', () => {
  const guest = ordinaryGuest();
  delete guest.files['etc/mtab'];
  return withBox(guest, async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(fs.existsSync(path.join(root, 'etc/mtab')), false);
  });
});
undoing('a file that somebody changed since stays, and can be undone later', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    const before = tree(root);
    await prepare({ apply: true, yes: true });
    const fstab = path.join(root, 'etc/fstab');
    const ours = fs.readFileSync(fstab);
    fs.appendFileSync(fstab, '# mine\n');
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      '/etc/fstab was changed since and stays; its old content is in /var/lib/immutafs/backup/etc-fstab.2',
    );
    assert.match(fs.readFileSync(fstab, 'latin1'), /# mine\n$/);
    assert.is(tree(root)['etc/mtab'], before['etc/mtab']);
    assert.is(journal().length, 2);
    fs.writeFileSync(fstab, ours);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  }),
);
undoing('nothing once the old content of /home was removed: /home would be empty', () =>
  withBox(ordinaryGuest(), async ({ root, prepare, journal }) => {
    await prepare({ apply: true, yes: true });
    const done = tree(root);
    const file = path.join(root, 'var/lib/immutafs/prepare.json');
    const purged = { ...journal()[0], number: 99, step: 'home', action: { do: 'purge-home' }, backup: null };
    fs.writeFileSync(file, JSON.stringify({ schema: 1, entries: [...journal(), purged] }));
    const { code, stdout } = await prepare({ undo: true });
    assert.is(code, 1);
    assert.match(
      stdout,
      /^The old content of \/home was removed.*Nothing is undone; .*\/var\/lib\/immutafs\/backup\.$/m,
    );
    assert.equal(tree(root), done);
    assert.is(journal().at(-1)?.number, 99);
  }),
);
undoing('bytes that are no UTF-8', () => {
  const guest = ordinaryGuest();
  guest.files['etc/fstab'] = `# caf\xe9 \xc3\xa9 \x80\n/dev/mapper/rhel-root / xfs defaults 0 0\n`;
  return withBox(guest, async ({ root, prepare }) => {
    const before = tree(root);
    assert.is((await prepare({ apply: true, yes: true })).code, 0);
    assert.match(fs.readFileSync(path.join(root, 'etc/fstab'), 'latin1'), /^# caf\xe9 \xc3\xa9 \x80\n/);
    assert.is((await prepare({ undo: true })).code, 0);
    assert.is(tree(root)['etc/fstab'], before['etc/fstab']);
  });
});
undoing('a journal that somebody spoilt', () =>
  withBox(ordinaryGuest(), async ({ root, prepare }) => {
    await prepare({ apply: true, yes: true });
    fs.writeFileSync(path.join(root, 'var/lib/immutafs/prepare.json'), '{"schema":2,"entries":[]}');
    try {
      await prepare({ undo: true });
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, /prepare\.json is not what prepare wrote: its schema is 2/);
    }
  }),
);
undoing.run();
