import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseDeclarations } from '../../../agent/facts/declared-directories.ts';
import { gatherFacts } from '../../../agent/facts/facts.ts';
import { coversInput, isInput } from '../../../agent/facts/inputs.ts';
import {
  parseReport,
  readLastReport,
  formatUsageHistory,
  parseUsageHistory,
  readUsageHistory,
  withSample,
} from '../../../agent/facts/records.ts';
import { findResetState } from '../../../agent/facts/reset-state.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { device } from '../../harness/copies.ts';
import { el7Guest } from '../../harness/el7-guest.ts';
import { goodGuest, withGuest, evaluateFixture } from '../../harness/guest.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';
import { findLargestFiles, layerEntries } from '../../../agent/facts/largest-files.ts';
import { all, file, usage } from '../../harness/changes.ts';

const cost = suite('gatherFacts');
for (const [title, kernelLog] of Object.entries<() => string[]>({
  'the kernel’s log is read once for several disks': () => [],
  'the kernel’s log is read once, even if it cannot be read': () => {
    throw new SystemError('/dev/kmsg: operation not permitted', 'EPERM');
  },
})) {
  cost(title, async () => {
    const guest = goodGuest();
    for (const name of ['sda', 'sdb', 'sdc']) {
      const number = `8:${16 * (name.charCodeAt(2) - 97)}`;
      device({ name, device: number, bus: 'virtio-scsi', readOnly: true })(guest);
    }
    guest.files['etc/fstab'] = '/dev/sda /a xfs noauto,ro 0 0\n/dev/sdb /b xfs noauto,ro 0 0\n';
    let reads = 0;
    const disks = await withGuest(guest, async (reader) => {
      const counted = () => {
        reads += 1;
        return kernelLog();
      };
      const { blockDevices } = await gatherFacts({ ...reader, kernelLog: counted });
      return 'value' in blockDevices ? blockDevices.value : [];
    });
    assert.is(reads, 1);
    assert.is(disks.find(({ name }) => name === 'sda')?.hostReadOnly, null);
  });
}
cost('no child process', async () => {
  const programs: string[] = [];
  await withGuest(el7Guest('clone-second'), async (reader) => {
    const run = (program: string, args: readonly string[]) => {
      programs.push(program);
      return reader.run(program, args);
    };
    const probe: typeof reader.probe = (kinds, target) => {
      programs.push('probe');
      return reader.probe(kinds, target);
    };
    await gatherFacts({ ...reader, run, probe });
  });
  assert.equal(programs, []);
});
cost.run();

/** Verifies that the list of inputs is complete: each path in the sources is in it, or is known not to be one. */

const repository = path.join(import.meta.dirname, '../../..');

/** Sources with paths that are compared with other paths, and not read: the configuration keys, and places of programs. */
const notRead = /config\/keys\.ts$|facts\/security\/places(\/|\.ts$)/;

/** Returns the paths at the beginning of strings in files, in which they are followed by no other text. */
function pathsIn(pattern: string, directories: string): Set<string> {
  const literal = new RegExp(`['"\`](/(?:${directories})/[A-Za-z0-9_./-]*[A-Za-z0-9])`, 'g');
  const files = fs.globSync(pattern, { cwd: repository }).filter((name) => !notRead.test(name));
  const texts = files.map((name) => fs.readFileSync(path.join(repository, name), 'utf8'));
  return new Set(texts.flatMap((text) => [...text.matchAll(literal)].map(([, found = '']) => found)));
}

/** Paths in the sources that are not inputs, by the reason. */
const others = [
  // systemd mounts a transient ID over a file that is missing (machine-id(5)); it only identifies the guest in a message.
  '/etc/machine-id',
  // The boot mounts a file over it (boot/initramfs/early-mounts.ts).
  '/etc/lvm/lvmlocal.conf',
  // `prepare` reads it.
  '/run/immutafs/rehearsal.json',
  // Directories of the agent's own mounts, which other checks verify.
  ...['/run/immutafs', '/run/immutafs/scratch-disk', '/run/immutafs/below', '/run/immutafs/lower'],
  '/run/immutafs/root',
  ...['/run/var', '/run/var/below', '/run/var/upper', '/run/var/work'],
  // Patterns and places that are compared with other paths.
  ...['/run/user', '/run/systemd', '/run/systemd/generator', '/run/systemd/transient'],
];

const complete = suite('inputs');
complete('programs, also those of prepare', () => {
  const programs = pathsIn('agent/**/*.ts', '(?:usr/)?(?:s?bin|lib|lib64|libexec)');
  assert.ok(programs.has('/usr/libexec/immutafs/read-mappings') && programs.has('/usr/bin/journalctl'));
  assert.equal(
    [...programs].filter((name) => !isInput(name)),
    [],
  );
});
complete('files in /etc and /run that status, check, changes and forward read', () => {
  const files = [...pathsIn('agent/!(prepare)/**/*.ts', 'etc|run')];
  assert.ok(files.includes('/etc/passwd') && files.includes('/run/immutafs/boot.env'));
  assert.equal(
    files.filter((name) => !isInput(name) && !others.includes(name)),
    [],
  );
});
for (const [target, expected] of [
  ['/', false],
  ['/run', false],
  ['/run/user/1000', false],
  ['/run/immutafs', true],
  ['/etc/audit/auditd.conf', true],
  ['/etc/auditx', false],
] as const) {
  complete(`a mount at ${target}`, () => assert.is(coversInput(target), expected));
}
complete.run();

const lastReport = suite('the last report');
lastReport('any JSON: parsed, or an error that names the field', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseReport(text);
      } catch (error) {
        assert.match(
          (error as Error).message,
          /^\/run\/immutafs\/report\.json: (\S+|the object) is missing or invalid$/,
        );
      }
    }),
  );
});
const nothing = () => undefined;
const makeLink = (file: string) => {
  fs.renameSync(file, `${file}.other`);
  fs.symlinkSync(`${file}.other`, file);
};
const owned = (file: string) => fs.chownSync(file, 1000, 0);
const withMode = (mode: number) => (file: string) => fs.chmodSync(file, mode);
const minimal = (bootId: string) =>
  JSON.stringify({ at: 'x', host: { bootId }, verdict: 'sealed', checks: [], disks: [] });
for (const [title, change, bootId, expected] of [
  ['of this boot, writable only by root', nothing, 'a', 'read'],
  ['of another boot', nothing, 'b', 'ignored'],
  ['of an unknown boot', nothing, '', 'ignored'],
  ['of another user', owned, 'a', /owned by user 1000, must be owned by root$/],
  ['writable by its group', withMode(0o664), 'a', /users other than root may write/],
  ['writable by all users', withMode(0o646), 'a', /users other than root may write/],
  ['a link', makeLink, 'a', /a symbolic link, not a regular file$/],
] as const) {
  lastReport(title, () => {
    inTemporaryDirectory((root) => {
      writeFiles(root, { 'run/immutafs/report.json': minimal(bootId === '' ? '' : 'a') });
      change(path.join(root, 'run/immutafs/report.json'));
      const read = () => readLastReport(systemReader({ root }), bootId);
      if (typeof expected === 'string') assert.is(read() === undefined, expected === 'ignored');
      else assert.throws(read, expected);
    });
  });
}
lastReport.run();

const declared = suite('directories that units name');

const pathsOf = (text: string) =>
  parseDeclarations('a.service', text).map(({ setting, path }) => `${setting} ${path}`);

declared('each setting that names a directory is read, and nothing else', () => {
  assert.equal(
    pathsOf(`# StateDirectory=comment
[Service]
StateDirectory=acme acme/sub:link
ReadWritePaths=-/var/lib/a +/srv/b "/opt/c d"
WorkingDirectory=-/var/lib/w
Environment=PGDATA=/var/lib/pgsql/data "OTHER=/x y" NUMBER=1
ExecStart=/usr/bin/acmed --data-dir=/var/acme \\
  -D /var/lib/more --verbose
CacheDirectory=acme
Description=/var/lib/not-this
`),
    [
      'StateDirectory= /var/lib/acme',
      'StateDirectory= /var/lib/acme/sub',
      'ReadWritePaths= /var/lib/a',
      'ReadWritePaths= /srv/b',
      'ReadWritePaths= /opt/c',
      'WorkingDirectory= /var/lib/w',
      'Environment= /var/lib/pgsql/data',
      'Environment= /x',
      'ExecStart= /usr/bin/acmed',
      'ExecStart= /var/acme',
      'ExecStart= /var/lib/more',
      'CacheDirectory= /var/cache/acme',
    ],
  );
});

declared('the directories of a dynamic user, and of a package in /opt, are where their content is', () => {
  assert.equal(pathsOf('[Service]\nDynamicUser=yes\nStateDirectory=acme\nLogsDirectory=acme'), [
    'StateDirectory= /var/lib/private/acme',
    'LogsDirectory= /var/log/private/acme',
  ]);
  assert.equal(pathsOf('ExecStart=/opt/acme/bin/acmed'), [
    'ExecStart= /opt/acme/bin/acmed',
    'ExecStart= /var/opt/acme',
  ]);
});

declared('a path ends before a specifier', () => {
  assert.equal(pathsOf('ReadWritePaths=/var/lib/x/%i/data /var/lib/y%n'), [
    'ReadWritePaths= /var/lib/x',
    'ReadWritePaths= /var/lib',
  ]);
});
declared.run();

const reset = suite('findResetState');
const ofVar = { target: '/var', upper: '/up' };
const never = () => false;

interface Given {
  files: Record<string, string>;
  accepted?: string[];
  scratch?: string;
  isMount?: (directory: string) => boolean;
  limit?: number;
}

function found({ files, accepted = [], scratch = '', isMount = never, limit }: Given): string[] {
  return inTemporaryDirectory((root) => {
    writeFiles(root, files);
    const layers = [ofVar, { target: '/opt/agent', upper: '/opt' }];
    const { list, isComplete } = findResetState(
      systemReader({ root }),
      { SCRATCH: scratch, SEED: 'none', FORWARD_FILES: '' },
      layers,
      { paths: accepted },
      isMount,
      limit,
    );
    const lines = list.map(
      ({ service, directories, files: count }) => `${service?.id ?? '-'} ${directories.join()} ${count}`,
    );
    return isComplete ? lines : [...lines, 'incomplete'];
  });
}

const base = { 'opt/x': '', 'up/log/messages': 'x', 'up/lib/systemd/random-seed': 'x', 'up/cache/a/b': 'x' };

reset('state of known and unknown services, the largest first, without what is harmless', () => {
  const files = {
    ...base,
    'up/lib/pgsql/data/a': 'x'.repeat(9000),
    'up/lib/acme/a/b': 'x',
    'up/lib/acme/c': 'x',
    'opt/db/1': 'x'.repeat(20_000),
  };
  assert.equal(found({ files }), ['- /opt/agent 2', 'postgresql /var/lib/pgsql 1', '- /var/lib/acme 2']);
});

reset('what was accepted is left out, also below the path, and nothing beside it', () => {
  const files = { 'up/lib/acme/a/b': 'x', 'up/lib/acmex/c': 'x', 'opt/y': '' };
  assert.equal(found({ files, accepted: ['/var/lib/acme', '/opt/agent'] }), ['- /var/lib/acmex 1']);
});

reset('what SCRATCH names is left out, in memory and in an overlay of its own, and nothing beside it', () => {
  const files = { 'up/lib/acme/a/b': 'x', 'up/lib/acmex/c': 'x', 'opt/y': 'x' };
  assert.equal(found({ files }).toSorted(), ['- /opt/agent 1', '- /var/lib/acme 1', '- /var/lib/acmex 1']);
  assert.equal(found({ files, scratch: '/var/lib/acme:empty /opt/agent:exec' }), ['- /var/lib/acmex 1']);
});

reset('names that are not UTF-8', () =>
  inTemporaryDirectory((root) => {
    const states = (accepted: string[]) =>
      findResetState(
        systemReader({ root }),
        { SCRATCH: '', SEED: 'none', FORWARD_FILES: '' },
        [ofVar],
        { paths: accepted },
        never,
      ).list.map(({ directories, files }) => `${directories.join()} ${files}`);
    writeFiles(root, { 'up/lib/donn\u00e9es/a': 'x' });
    for (const name of ['lib/acme', 'lib/x\xff']) {
      const folder = Buffer.from(path.join(root, 'up', name), 'latin1');
      fs.mkdirSync(folder);
      fs.writeFileSync(Buffer.concat([folder, Buffer.from('/caf\xe9', 'latin1')]), 'x');
    }
    assert.equal(states([]).toSorted(), ['/var/lib/acme 1', '/var/lib/données 1', '/var/lib/x\\xff 1']);
    assert.equal(states(['/var/lib/x\xff', '/var/lib/donn\xc3\xa9es']), ['/var/lib/acme 1']);
  }),
);

reset('the content of a mount point is not part of the layer', () => {
  const isMount = (directory: string) => directory === '/up/lib/acme';
  const files = { 'up/lib/acme/a': 'x', 'up/lib/b/c': 'x', 'opt/y': '' };
  assert.equal(found({ files, accepted: ['/opt/agent'], isMount }), ['- /var/lib/b 1']);
});

reset(
  'a cache or a log of another user than root is state, unless it is one by its name or by declaration',
  () =>
    inTemporaryDirectory((root) => {
      const names = [
        'cache/vendor/db',
        'cache/man/index.db',
        'cache/declared/db',
        'log/acme/ledger',
        'log/acme/acme.log.1',
      ];
      writeFiles(root, {
        ...Object.fromEntries(names.map((name) => [`up/${name}`, 'x'])),
        'usr/lib/systemd/system/a.service': '[Service]\nCacheDirectory=declared\n',
      });
      const reader = systemReader({ root });
      const foundAs = (uid: number) =>
        findResetState(
          {
            ...reader,
            statBytes: (file) => {
              const stat = reader.statBytes(file);
              return stat === undefined ? undefined : { ...stat, uid };
            },
          },
          { SCRATCH: '', SEED: 'none', FORWARD_FILES: '' },
          [ofVar],
          { paths: [] },
          never,
        ).list.map(({ directories }) => directories.join());
      assert.equal(foundAs(0), []);
      assert.equal(foundAs(999).toSorted(), ['/var/cache/vendor', '/var/log/acme']);
    }),
);

reset('an empty mailbox is no state, and one with mail is', () => {
  assert.equal(
    found({ files: { ...base, 'opt/x': '', 'up/spool/mail/alice': '' }, accepted: ['/opt/agent'] }),
    [],
  );
  assert.equal(found({ files: { 'opt/x': '', 'up/spool/mail/alice': 'x' }, accepted: ['/opt/agent'] }), [
    'mail-spool /var/spool/mail 1',
  ]);
});

reset('the limit of entries makes the result incomplete', () => {
  assert.ok(found({ files: base, limit: 2 }).includes('incomplete'));
  assert.not.ok(found({ files: base, limit: 200 }).includes('incomplete'));
});
reset.run();

const history = suite('usage history');
const sample = (uptime: number, usedBytes = 0, inodesUsed = 0) => ({ uptime, usedBytes, inodesUsed });

history('what is written is read back', () => {
  const samples = [sample(1.25, 2, 3), sample(200, 4, 5)];
  assert.equal(parseUsageHistory(formatUsageHistory('boot', samples)), { bootId: 'boot', samples });
});

history('the samples of another boot, and of no boot, are ignored', () =>
  withGuest(
    {
      ...goodGuest(),
      files: { ...goodGuest().files, 'run/immutafs/usage.json': formatUsageHistory('boot', [sample(1)]) },
    },
    (reader) => {
      assert.is(readUsageHistory(reader, 'boot').length, 1);
      assert.equal(readUsageHistory(reader, 'other'), []);
      assert.equal(readUsageHistory(reader, ''), []);
    },
  ),
);

history('no file is no sample', () =>
  withGuest(goodGuest(), (reader) => assert.equal(readUsageHistory(reader, 'boot'), [])),
);

const rows = (samples: unknown) => JSON.stringify({ schema: 1, bootId: 'b', samples });

history('a damaged or implausible file is an error, not a history', () => {
  for (const text of [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    rows(undefined),
    rows({}),
    rows([[1, 2]]),
    rows([[1, 2, 3, 4]]),
    rows([[1, 2, '3']]),
    rows([[1, 2, -3]]),
    rows([[1, 1e300, 3]]),
    rows([
      [2, 0, 0],
      [1, 0, 0],
    ]),
    rows([
      [1, 0, 0],
      [1, 0, 0],
    ]),
    rows(Array.from({ length: 66 }, (_, index) => [index, 0, 0])),
    '{"bootId":"b","samples":[[1e999,0,0]]}',
  ]) {
    assert.throws(() => parseUsageHistory(text), /usage\.json/, text);
  }
});

history('any text is parsed, or refused with an error that names the file', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseUsageHistory(text);
      } catch (error) {
        assert.match((error as Error).message, /^\/run\/immutafs\/usage\.json: /);
      }
    }),
  );
});

history('samples are two minutes apart, in order, and bounded, whenever check runs', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 400, noNaN: true }), { maxLength: 300 }), (pauses) => {
      let [samples, uptime] = [withSample([], sample(0)), 0];
      for (const pause of pauses) samples = withSample(samples, sample((uptime += pause)));
      assert.ok(samples.length <= 65);
      samples.slice(1).forEach((each, index) => {
        assert.ok(each.uptime - (samples[index]?.uptime ?? NaN) >= 110);
      });
      assert.ok(uptime - (samples.at(-1)?.uptime ?? NaN) < 110);
    }),
  );
});
history.run();

const up = { target: '/var', upper: '/up' };

const largest = suite('findLargestFiles');
const largestIn = inDirectories(largest);
largestIn('down to two levels, by bytes and by inodes', (root) => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`up/spool/mail/${index}`, '']));
  writeFiles(root, {
    'up/log/journal/a/b': 'x'.repeat(200_000),
    'up/log/messages': 'x'.repeat(9000),
    ...many,
  });
  const found = findLargestFiles(systemReader({ root }), [up]);
  assert.is(found[0]?.path, '/var/log/journal');
  assert.ok((found[0]?.bytes ?? 0) >= 200_000);
  assert.is(found[0]?.inodes, 3);
  const mail = found.find((each) => each.path === '/var/spool/mail');
  assert.is(mail?.inodes, 51);
});
largestIn('the upper layers of all overlays, each below its target', (root) => {
  writeFiles(root, { 'up/log/a': 'x', 'opt/agent/logs/deep/b': 'x'.repeat(200_000) });
  const found = findLargestFiles(systemReader({ root }), [up, { target: '/opt', upper: '/opt' }]);
  assert.is(found[0]?.path, '/opt/agent/logs');
  assert.ok(
    found.some(({ path: each }) => each === '/opt/agent'),
    JSON.stringify(found),
  );
  assert.ok(found.some(({ path: each }) => each === '/var/log/a'));
});
largestIn('many small files are listed as well as a few large ones', (root) => {
  const large = Array.from({ length: 6 }, (_, index) => [`up/large${index}`, 'x'.repeat(100_000)]);
  const small = Array.from({ length: 20 }, (_, index) => [`up/spool/many/${index}`, '']);
  writeFiles(root, Object.fromEntries([...large, ...small]) as Record<string, string>);
  const found = findLargestFiles(systemReader({ root }), [up]).map(({ path: each }) => each);
  assert.ok(found.includes('/var/spool/many'), found.join());
});
largestIn('a mount point is not accessed', (root) => {
  writeFiles(root, { 'up/a/b': 'x', 'up/hangs/c': 'x' });
  const reader = systemReader({ root });
  const touched: string[] = [];
  const watched = { ...reader, statBytes: (file: string) => (touched.push(file), reader.statBytes(file)) };
  const found = findLargestFiles(watched, [up], (file) => file === '/up/hangs');
  assert.equal(found.map(({ path: each }) => each).sort(), ['/var/a', '/var/a/b']);
  assert.equal(touched, ['/up/a', '/up/a/b']);
});
largestIn('a sparse file counts its allocated bytes', (root) => {
  fs.mkdirSync(path.join(root, 'up'));
  fs.closeSync(fs.openSync(path.join(root, 'up/sparse'), 'w'));
  fs.truncateSync(path.join(root, 'up/sparse'), 1e9);
  assert.is(findLargestFiles(systemReader({ root }), [up])[0]?.bytes, 0);
});
largest('an endless tree ends after 20,000 entries', () => {
  const endless = { ...systemReader(), listBytes: () => ['a', 'b'], statBytes: () => directory };
  assert.ok(findLargestFiles(endless, [up]).length > 0);
});
const times = { mode: 0o755, uid: 0, gid: 0, changed: 0, modified: 0, device: '0:1', inode: 1 };
const directory = { kind: 'directory', bytes: 0, allocatedBytes: 4096, ...times } as const;
largest('many directories beside each other take no longer than their number', () => {
  const names = Array.from({ length: 150_000 }, (_, index) => String(index));
  const wide = {
    ...systemReader(),
    listBytes: (each: string) => (each === '/up' ? names : []),
    statBytes: () => directory,
  };
  const began = performance.now();
  let count = 0;
  for (const entry of layerEntries(wide, [up], never, Infinity)) if (entry !== undefined) count += 1;
  assert.is(count, names.length);
  assert.ok(performance.now() - began < 10_000);
});
largest.run();

const nearlyFull = suite('largest files of a report');
for (const [title, change, expected] of [
  ['bytes at the warning', usage({ usedBytes: 0.8 * 256 * 1024 * 1024 }), ['/var/big']],
  ['inodes at the warning', usage({ inodesUsed: 0.8 * 204800 }), ['/var/big']],
  [
    'below the warning nothing is read',
    usage({ usedBytes: 0.79 * 256 * 1024 * 1024, inodesUsed: 0.79 * 204800 }),
    [],
  ],
] as const) {
  nearlyFull(title, async () => {
    const guest = goodGuest();
    all(change, file('run/var/upper/big', 'x'))(guest);
    const report = await evaluateFixture(guest);
    assert.equal(
      report.var.largest.map(({ path }) => path),
      expected,
    );
  });
}
nearlyFull.run();
