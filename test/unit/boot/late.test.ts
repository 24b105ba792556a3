/** The commands that one unit each, the agent or the package runs in the real root, in Node. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Native } from '../../../boot/native/native.ts';
import { runBoot } from '../../harness/boot-native.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

type Files = Parameters<typeof writeFiles>[1];

/** Runs commands on files. @param answers of programs, by their first words; by default "0 " */
function boot(
  files: Files,
  commands: string[][],
  answers: Record<string, string> = {},
  more: Partial<Native> = {},
) {
  return inTemporaryDirectory((root) => {
    writeFiles(root, { 'run/x': '', ...files });
    const calls: string[] = [];
    const ran = commands.map((words) =>
      runBoot(root, words, {
        sync: () => undefined,
        supervise: (_, __, ...program) => {
          const call = program.join(' ');
          calls.push(call);
          return Object.entries(answers).find(([words]) => call.startsWith(words))?.[1] ?? '0 ';
        },
        ...more,
      }),
    );
    const read = (name: string) => {
      const file = path.join(root, name);
      return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
    };
    const list = (name: string) =>
      fs.statSync(path.join(root, name), { throwIfNoEntry: false })?.isDirectory() === true
        ? fs.readdirSync(path.join(root, name)).sort()
        : [];
    return {
      isRefused: read('run/immutafs/move-refused') !== undefined,
      ...{ calls, read, codes: ran.map(({ code }) => code), marker: read(marker), after: list('out') },
      output: ran.map(({ stdout, stderr }) => stdout + stderr).join(''),
      dropins: list(`usr/lib/systemd/system/${folder}`).map((name) => [
        name,
        read(`usr/lib/systemd/system/${folder}/${name}`),
      ]),
    };
  });
}

const marker = 'etc/immutafs/move-at-boot';
const flush = 'journalctl --flush';
const reboot = 'systemctl --no-block reboot';

const move = suite('move-begin, move-end, move-abandon');
for (const [before, after] of [
  ['0\n', '1\n'],
  ['1\n', '2\n'],
  ['2\n', '3\n'],
  ['x\n', '1\n'],
  ['', '1\n'],
  ['33\n', '1\n\n'],
] as const)
  move(`begin: ${JSON.stringify(before)} becomes ${JSON.stringify(after)}, and the end reboots`, () => {
    const { codes, calls, marker, output } = boot({ 'etc/immutafs/move-at-boot': before }, [
      ['move-begin'],
      ['move-end'],
    ]);
    assert.equal(
      [codes, calls],
      [
        [0, 0],
        [flush, reboot],
      ],
    );
    assert.is(marker, after);
    assert.is(output, 'immutafs: rebooting\n');
  });
move('after three boots that have not completed it, the next one gives up', () => {
  const { codes, calls, marker, output } = boot({ 'etc/immutafs/move-at-boot': '3\n' }, [
    ['move-begin'],
    ['move-end'],
  ]);
  assert.equal([codes, calls, marker], [[1, 0], [flush, reboot], undefined]);
  assert.match(output, 'three boots have not completed it');
});
move('a boot that cannot be counted does not reboot, but starts the ordinary units', () => {
  const overwrite = () => {
    throw Object.assign(new Error('Read-only file system'), { code: 'EROFS' });
  };
  const { codes, calls, output, isRefused } = boot(
    { [marker]: '0\n' },
    [['move-begin'], ['move-end']],
    {},
    { overwrite },
  );
  assert.equal(
    [codes, calls],
    [
      [3, 0],
      [flush, 'systemctl daemon-reload', 'systemctl --no-block isolate multi-user.target'],
    ],
  );
  assert.ok(isRefused, 'the generator writes the units of an ordinary boot');
  assert.match(output, '/etc/immutafs/move-at-boot: Read-only file system');
});
move('systemd does not take the job: a reboot without it', () => {
  const { calls } = boot({}, [['move-end']], { [reboot]: '1 ' });
  assert.equal(calls, [flush, reboot, 'systemctl --force reboot']);
});
move('a file system that cannot be mounted: an ordinary boot', () => {
  const { calls, marker, isRefused } = boot({ 'etc/immutafs/move-at-boot': '0\n' }, [['move-abandon']]);
  assert.equal([calls, marker, isRefused], [['systemctl --force reboot'], undefined, false]);
});
move('a file that cannot be removed: no reboot, which would lead here again', () => {
  const removeAt = () => {
    throw Object.assign(new Error('Read-only file system'), { code: 'EROFS' });
  };
  const { calls, codes, isRefused } = boot({ [marker]: '0\n' }, [['move-abandon']], {}, { removeAt });
  assert.equal([calls, codes, isRefused], [['systemctl daemon-reload'], [3], true]);
});
for (const folder of ['var/log/journal', 'var/log'])
  move(`${folder} was moved: journald does not write to the directory that replaces it`, () => {
    const { calls } = boot({ [`${folder}/moved-by-immutafs-agent/README`]: '' }, [['move-end']]);
    assert.equal(calls, [reboot]);
  });
move.run();

const state = 'system_u:object_r:immutafs_forward_state_t:s0';
const label = suite('label-state');
/** @param folder FORWARD_STATE */
function labelled(
  folder: string,
  { reference = state, own = 'a:b:unlabeled_t:s0', user = 0, chcon = '0 ' } = {},
) {
  const opened: string[] = [];
  const { calls, output, codes } = boot(
    {
      'etc/immutafs/immutafs.conf': folder === '' ? '' : `FORWARD_STATE=${folder}\n`,
      'etc/passwd': `root:x:0:0::/:/bin/sh\nimmutafs-forward:x:${process.getuid?.() ?? 0}:998::/:/sbin/nologin\n`,
      'data/forward/x': '',
      'data/link': { linkTo: 'forward' },
      'run/state/x': '',
      'run/immutafs/forward/x': '',
    },
    [['label-state']],
    { chcon },
    {
      attribute: (_, name) => {
        assert.is(name, 'security.selinux');
        opened.push(name);
        // The first question is for /run/immutafs/forward.
        return `${opened.length === 1 ? reference : own}\0`;
      },
      ...(user === 0 ? {} : { describe: () => `16877 ${user} 0 1 2` }),
    },
  );
  assert.equal(codes, [0]);
  return [calls.join(), output];
}
for (const [title, folder, options, expected] of [
  ['a data disk', '/data/forward', {}, `chcon -R -h ${state} .`],
  ['a data disk that has the label', '/data/forward', { own: state }, ''],
  ['the default folder', '', {}, ''],
  ['a folder in /run, which systemd-tmpfiles labels', '/run/state', {}, ''],
  ['the module is not installed', '/data/forward', { reference: 'a:b:var_run_t:s0' }, ''],
  ['the folder does not exist', '/data/other', {}, ''],
] as const)
  label(title, () => {
    assert.equal(labelled(folder, options), [expected, '']);
  });
for (const [title, folder, options, message] of [
  [
    'a symbolic link',
    '/data/link',
    {},
    /\/data\/link is a symbolic link, its SELinux label is not changed\n$/,
  ],
  [
    'a folder of another user',
    '/data/forward',
    { user: 4242 },
    /\/data\/forward does not belong to immutafs-forward, its SELinux label is not changed\n$/,
  ],
] as const)
  label(`${title} is not relabelled, and a warning is logged`, () => {
    const [calls, output] = labelled(folder, options);
    assert.is(calls, '');
    assert.match(output ?? '', message);
    assert.match(output ?? '', /^<4>label-state: /);
  });
label('chcon fails: a warning', () => {
  assert.is(labelled('/data/forward', { chcon: '1 denied\n' })[1], '<4>label-state: chcon failed: denied\n');
});
label.run();

const folder = 'immutafs-forward.service.d';
const source = `usr/lib/immutafs-agent/dropins/${folder}`;
const shipped = {
  [`${source}/a-since-239.conf`]: 'a',
  [`${source}/b-since-252.conf`]: 'b',
  [`${source}/c-before-239.conf`]: 'c',
  [`${source}/other.conf`]: 'x',
  [`${source}/README`]: 'x',
};
const dropins = suite('select-dropins');
const version = (text: string) => ({ 'systemctl --version': `0 systemd ${text} (x)\n+PAM\n` });
for (const [text, expected] of [
  ['219', [['c-before-239.conf', 'c']]],
  ['238', [['c-before-239.conf', 'c']]],
  ['239', [['a-since-239.conf', 'a']]],
  [
    '252',
    [
      ['a-since-239.conf', 'a'],
      ['b-since-252.conf', 'b'],
    ],
  ],
  [
    '257.7-1',
    [
      ['a-since-239.conf', 'a'],
      ['b-since-252.conf', 'b'],
    ],
  ],
] as const)
  dropins(`systemd ${text}`, () => {
    const found = boot(shipped, [['select-dropins']], version(text));
    assert.equal([found.codes, found.dropins, found.output], [[0], expected, '']);
  });
const there = (name: string, text: string) => ({ [`usr/lib/systemd/system/${folder}/${name}`]: text });
dropins('what is there is replaced or removed, and what an administrator has made stays', () => {
  const files = {
    ...shipped,
    ...{
      ...there('a-since-239.conf', 'old'),
      ...there('b-since-252.conf', 'b'),
      ...there('own.conf', 'own'),
    },
    'run/systemd/system/x': '',
  };
  const found = boot(files, [['select-dropins', 'reload']], version('240'));
  assert.equal(found.dropins, [
    ['a-since-239.conf', 'a'],
    ['own.conf', 'own'],
  ]);
  assert.equal(found.calls, ['systemctl --version', 'systemctl daemon-reload']);
});
dropins('systemd is reloaded only if it runs, a drop-in has changed, and the caller wants it', () => {
  const calls = (files: Files, ...words: string[]) =>
    boot({ ...shipped, ...files }, [['select-dropins', ...words]], version('239')).calls.length;
  const [current, runs] = [there('a-since-239.conf', 'a'), { 'run/systemd/system/x': '' }];
  assert.is(calls({ ...runs }, 'reload'), 2);
  assert.equal([calls({}, 'reload'), calls(runs), calls({ ...runs, ...current }, 'reload')], [1, 1, 1]);
});
dropins('no version: no drop-in is selected, and the exit code is 1', () => {
  for (const answer of ['1 ', '0 upstart\n', '124 ']) {
    const found = boot({ ...shipped, ...there('a-since-239.conf', 'a') }, [['select-dropins']], {
      systemctl: answer,
    });
    assert.equal([found.codes, found.dropins], [[1], []]);
    assert.match(
      found.output,
      'systemctl --version does not print a version: the units are not hardened further.',
    );
  }
});
dropins('without systemd, there is nothing to do', () => {
  const found = boot(shipped, [['select-dropins']], { systemctl: '127 No such file or directory' });
  assert.equal([found.codes, found.dropins, found.output], [[0], [], '']);
});
dropins('a file in place of the directory: the exit code is 1', () => {
  const found = boot(
    { ...shipped, [`usr/lib/systemd/system/${folder}`]: '' },
    [['select-dropins']],
    version('239'),
  );
  assert.equal(found.codes, [1]);
  assert.match(found.output, /^select-dropins: /);
});
dropins.run();

const forward = suite('forwards-nothing');
for (const [title, text, code] of [
  ['no configuration', undefined, 0],
  ['FORWARD is empty', 'MODE=auto\nFORWARD=\n', 0],
  ['FORWARD is a comment', '#FORWARD=relp://log\n', 0],
  ['the later line counts', 'FORWARD=\nFORWARD=relp://log\n', 1],
  ['FORWARD has a target', ' FORWARD=relp://log \n', 1],
  ['a mistake', 'FORWRAD=relp://log\n', 1],
  ['a mistake in another key', 'MODE=seald\n', 1],
] as const)
  forward(title, () => {
    const files = text === undefined ? {} : { 'etc/immutafs/immutafs.conf': text };
    const { codes, output } = boot(files, [['forwards-nothing']]);
    assert.equal(codes, [code]);
    const message = '<5>Forwarding ended: FORWARD is empty, the journal is lost at the end of this boot\n';
    assert.is(output, code === 0 ? message : '');
  });
forward.run();

const unplanned = suite('late: an end that nobody planned');
const record = (mode: string) =>
  `VERSION=1\nSTAGE=initramfs\nUPTIME=1.00\nMODE=${mode}\nREASON=x\nDISKS=\nVAR=deferred\nON_FAILURE=degraded\n`;
const [force, isolate] = ['--no-block --force poweroff', '--no-block isolate emergency.target'];
const ends: Readonly<Record<string, () => string>> = {
  'ended by a signal': () => '139 ',
  'after its time': () => '124 ',
  'out of memory': () => '3 ',
  'no process': () => {
    throw Object.assign(new Error('Resource temporarily unavailable'), { code: 'EAGAIN' });
  },
};
for (const [title, apart] of Object.entries(ends)) {
  for (const [mode, target, policy, code, requests] of [
    ['sealed', '/var', 'degraded', 1, []],
    ['sealed', '/var', 'emergency', 10, [isolate]],
    ['sealed', '/var/log', 'poweroff', 11, [force]],
    ['sealed', '/var', 'powerof', 11, [force]],
    ['a mistake', '/var', 'poweroff', 11, [force]],
    // ON_FAILURE does not apply to a path of OVERLAY.
    ['sealed', '/opt', 'poweroff', 1, []],
    ['maintenance', '/var', 'poweroff', 3, []],
    ['off', '/var', 'poweroff', 3, []],
  ] as const)
    unplanned(`${title}: ${mode}, ${target}, ON_FAILURE=${policy}`, () => {
      const made: string[] = [];
      const { codes } = boot(
        {
          'run/immutafs/boot.env': record(mode),
          'etc/immutafs/immutafs.conf': `ON_FAILURE=${policy}\n`,
          'proc/self/mountinfo': '1 0 0:1 / / rw - tmpfs x rw\n',
          'proc/cmdline': '',
          'usr/bin/systemctl': '',
        },
        [['late', target]],
        {},
        { apart, run: (_, ...words) => `${made.push(words.join(' '))}` },
      );
      assert.equal([codes, made], [[code], requests]);
    });
}
unplanned.run();
