import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keys } from '../../../agent/config/keys.ts';
import {
  formatLine,
  formatProblem,
  parseConfig,
  readConfig,
  requireConfig,
  words,
} from '../../../agent/config/config.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

/** Valid and invalid values of each key. test/fixtures/config also has values of the keys that the boot uses. */
const values: Partial<Record<keyof typeof keys, { good: string[]; bad: string[] }>> = {
  MODE: { good: ['auto', 'sealed', 'off'], bad: ['', 'Auto', 'maintenance', 'sealed off'] },
  VAR_SIZE: { good: ['1%', '100%', '64m', '2G'], bad: ['0%', '101%', '64', '64k', '1.5g', ''] },
  VAR_INODES: { good: ['1000', '1k', '2M'], bad: ['999', '0', 'k', '1g', ''] },
  VAR_OPTIONS: { good: ['', 'noexec', 'nosuid,nodev'], bad: ['ro', 'nosuid,', 'nosuid nodev'] },
  OVERLAY: {
    good: ['', '/', '/opt/agent:noexec /root', '/srv:suid,dev,noatime'],
    bad: ['opt', '/a:exec', '/a:', '/a:noexec,', '/a:dev:suid', '/a/../b', '/a/', '//a', '/a,b', '/\xc3\xa4'],
  },
  PERSIST: {
    good: ['', '/var/lib/sss', '/var/spool/cron:autostart /usr/local:exec,suid,dev'],
    bad: ['/a:noexec', '/a /b:ro', 'a', '/.', '/a/.'],
  },
  SCRATCH: {
    good: ['', '/a', '/a:exec,suid,dev', '/a:empty /b:copy,required'],
    bad: ['a', '/a:', '/a:autostart', '/a:empty,copy', '/a:copy,exec,empty', '/a b:x'],
  },
  SCRATCH_DEVICE: {
    good: [
      '',
      ...['virtio-a', 'scsi-0QEMU_a-part1', 'wwn-0x5', 'nvme-a'].map((name) => `/dev/disk/by-id/${name}`),
    ],
    bad: [
      '/dev/vdb',
      ...['dm-name-a', 'lvm-pv-uuid-a', 'virtio-', 'virtio-a/../b'].map((name) => `/dev/disk/by-id/${name}`),
    ],
  },
  PERSIST_STORE: { good: ['', '/data/immutafs', '/a.b/c@d'], bad: ['/', 'data', '/data/', '/a b', '/a:b'] },
  MOUNT_OPTIONS: {
    good: ['', 'strict', '/run/user/*:noexec strict', '/var:noexec /a.b:nosuid,nodev'],
    bad: [
      '/var',
      '/var:',
      '/var:exec',
      '/run/user/*',
      '/run/*:noexec',
      'strict:noexec',
      '/a:noexec,',
      'Strict',
    ],
  },
  SEED: { good: ['none', 'host'], bad: ['', 'Host', 'host none', 'off'] },
  ON_FAILURE: { good: ['degraded', 'emergency', 'poweroff'], bad: ['', 'reboot'] },
  ON_IMPOSTOR: { good: ['poweroff', 'emergency'], bad: ['', 'degraded', 'ignore'] },
  REQUIRE_READONLY: { good: ['', '/', '/ /boot  /usr', '/\xc3\xa4'], bad: ['boot', '/ boot', '/\xff'] },
  REQUIRE_OPTIONS: {
    good: ['', '/home:nosuid', '/home:noexec,nosuid,nodev /srv:ro'],
    bad: ['/home', '/home:', 'home:nosuid', '/home:suid', '/home:nosuid,', '/a:nosuid /b'],
  },
  DATA: {
    good: ['', '/srv/app', '/srv/app:exec,suid,dev,autostart /mnt/a.b_c+d@e-f'],
    bad: [
      '/',
      '/:exec',
      'srv',
      '/srv/',
      '/srv:',
      '/srv:noexec',
      '/srv:exec,maintenance',
      '/a b',
      '/a:b:exec',
    ],
  },
  FOREIGN_PROGRAMS: { good: ['warn', 'fail', 'off'], bad: ['', 'Warn', 'on', 'warn fail'] },
  FOREIGN_PROGRAMS_ALLOW: {
    good: ['', '/opt/agent', '/home/app/bin /memfd:libffi'],
    bad: ['bin', '/', '/a b', '/\xc3\xa4'],
  },
  SESSION: { good: ['on', 'off'], bad: ['', 'On', 'yes'] },
  USAGE_WARN: { good: ['1%', '95%'], bad: ['0%', '80', '101%', ''] },
  USAGE_FAIL: { good: ['80%', '100%'], bad: ['0%', '80', '101%', ''] },
  PROMETHEUS_FILE: { good: ['', '/var/lib/x/immutafs.prom'], bad: ['x.prom', '/x', '/.prom/'] },
  FORWARD: {
    good: [
      '',
      'relp://log.example.com:2514',
      'relp+tls://[2001:db8::1]:2514',
      'syslog+udp://192.0.2.1:514/',
      'syslog+tcp://a:1',
      'syslog+tls://a:1',
      'journal+http://a:1',
      'journal+https://a:1',
    ],
    bad: [
      ...['log.example.com', 'http://a:1', 'relp://', 'relp://a:1/path', 'RELP://a:1'],
      ...['relp://a', 'relp://a:99999', 'syslog+tcp://a:0', 'relp://a:1 relp://b'],
    ],
  },
  FORWARD_FILES: {
    good: ['', '/var/log/audit/audit.log', '/a/*.log  /b/[a-z]?/\xc3\xa4'],
    bad: ['a.log', '/a/', '/a/**/b', '/a/../b', '/\xff'],
  },
  SEED_TIMEOUT: { good: ['1', '60', '300'], bad: ['', '0', '301', '-1', '1.5', '60s', '060'] },
  IDENTITY: { good: ['none', 'host'], bad: ['', 'Host', 'guest'] },
  IDENTITY_CA: { good: ['', '/etc/ca.pem'], bad: ['ca.pem', 'identity'] },
  FORWARD_STATE: {
    good: ['/run/immutafs/forward', '/srv/a.b_c+d@e:f-g'],
    bad: ['', '/', 'a', '/a/', '/a/../b', '/a/./b', '/a b', '/a%b', '/a"b', '/\xc3\xa4'],
  },
  FORWARD_CA: { good: ['', '/etc/ca.pem'], bad: ['ca.pem', '/\xff.pem'] },
  FORWARD_CERT: { good: ['', '/etc/a.pem', 'identity'], bad: ['a.pem', 'Identity'] },
  FORWARD_KEY: { good: ['', '/etc/a.key'], bad: ['a.key'] },
  FORWARD_PEER: {
    good: ['', 'log.example.com', `SHA256:${'00:'.repeat(31)}00`],
    bad: ['two words', 'SHA256:AA:BB', `SHA512:${'00:'.repeat(31)}00`],
  },
};

const table = suite('values');
table('every key is tried', () => assert.equal(Object.keys(values).sort(), Object.keys(keys).sort()));
for (const [key, { good, bad }] of Object.entries(values)) {
  const name = key as keyof typeof keys;
  for (const value of good) {
    table(`${key}=${value}`, () => {
      const { config, problems } = parseConfig(`${key}=${value}\n`);
      assert.equal(problems, []);
      assert.is(config[name], Buffer.from(value, 'latin1').toString('utf8'));
    });
  }
  const { goodItem } = keys[name];
  for (const value of bad) {
    if (goodItem === undefined) refuses(name, value);
    else ignoresBadItems(name, value, goodItem, good.at(-1)?.split(' ').at(-1) ?? '');
  }
}
function refuses(name: keyof typeof keys, value: string): void {
  table(`refused: ${name}=${value}`, () => {
    const { config, problems } = parseConfig(`# first\n${name}=${value}\n`);
    const { initial, wanted, strictest = initial } = keys[name];
    const strict = typeof strictest === 'string' ? strictest : strictest(value);
    const expected = value === '' ? initial : strict;
    assert.is(config[name], expected);
    const instead = name.startsWith('FORWARD')
      ? 'the forwarder does not start'
      : `using ${expected || 'nothing'}`;
    assert.equal(
      problems.map(({ line, reason }) => [line, reason]),
      [[2, `must be ${wanted}, ${instead}`]],
    );
  });
}
function ignoresBadItems(
  name: keyof typeof keys,
  value: string,
  isGood: (item: string) => boolean,
  last: string,
): void {
  table(`bad items ignored or repaired: ${name}=${value}`, () => {
    const { config, problems } = parseConfig(`# first\n${name}=${value} ${last}\n`);
    const items = value.split(' ');
    const used = (item: string) => (isGood(item) ? item : keys[name].repair?.(item));
    assert.is(config[name], [...items.flatMap((item) => used(item) ?? []), last].join(' '));
    const bad = items.filter((item) => !isGood(item));
    assert.is.not(bad.length, 0);
    const reason = (item: string) => {
      const outcome = used(item) === undefined ? 'ignoring it' : `using ${used(item)}`;
      const shown = item.includes('\xc3') ? 'an item' : item;
      return `${shown}: must be ${keys[name].wanted}, ${outcome}`;
    };
    assert.equal(
      problems.map(({ line, key, reason: text }) => [line, key, text]),
      bad.map((item) => [2, name, reason(item)]),
    );
  });
}
table('what is used for an invalid value is valid itself', () => {
  for (const [key, { strictest = '', good }] of Object.entries(keys)) {
    const values = typeof strictest === 'string' ? [strictest] : ['x', 'x /a /b:', '\xff'].map(strictest);
    for (const value of values) assert.ok(value === '' || good(value), `${key}=${value}`);
  }
  for (const [key, { repair, goodItem, good }] of Object.entries(keys)) {
    if (goodItem === undefined) continue;
    const items = [
      'x',
      '/',
      '/a:',
      '/a:x',
      '/a:x,exec,noexec',
      '/a:empty,copy',
      '/dev:x',
      '/run/user/*',
      '/../a',
    ];
    for (const item of items) assert.ok(good(repair?.(item) ?? ''), `${key}=${item}`);
  }
});
table('the initial values are good', () => {
  for (const [key, { initial, good }] of Object.entries(keys)) assert.ok(good(initial), key);
});
table.run();

const limits = suite('USAGE_WARN and USAGE_FAIL');
for (const [lines, warn, said] of [
  ['USAGE_WARN=70%\nUSAGE_FAIL=60%', '60%', 'line 2: USAGE_WARN: 70% is above USAGE_FAIL (60%), using 60%'],
  ['USAGE_FAIL=70%', '70%', 'line 1: USAGE_WARN: 80% is above USAGE_FAIL (70%), using 70%'],
  ['USAGE_WARN=96%', '95%', 'line 1: USAGE_WARN: 96% is above USAGE_FAIL (95%), using 95%'],
  ['USAGE_WARN=60%\nUSAGE_FAIL=60%', '60%'],
  ['USAGE_FAIL=x', '1%', 'line 1: USAGE_FAIL: must be 1% to 100%, using 1%'],
  ['USAGE_WARN=9%\nUSAGE_FAIL=10%', '9%'],
  ['USAGE_FAIL=70%\nUSAGE_FAIL=90%', '80%', 'line 2: USAGE_FAIL: given twice, the later line counts'],
] as const) {
  limits(lines.replace('\n', ', '), () => {
    const { config, problems } = parseConfig(`${lines}\n`);
    assert.is(config.USAGE_WARN, warn);
    assert.equal(problems.map(formatLine), said === undefined ? [] : [said]);
  });
}
limits.run();

const hints = suite('what may have been meant');
for (const [line, hint] of [
  ['PERSSIST=/var/lib/a', 'PERSIST'],
  ['FORWRAD=relp://log:1', 'FORWARD'],
  ['FORWARD_CAFILE=/ca.pem', 'FORWARD_CA'],
  ['VAR_SIZES=1g', 'VAR_SIZE'],
  ['mode=off', 'MODE=off'],
  ['MODE = off', 'MODE=off'],
  ['MODE: "Off"', 'MODE=off'],
  ['on-failure=poweroff', 'ON_FAILURE=poweroff'],
  ['MODE off', 'MODE='],
  ['MODE="off"', 'off'],
  ["MODE='off'", 'off'],
  ['MODE=Off', 'off'],
  ['MODE=seald', 'sealed'],
  ['SEED=hots', 'host'],
  ['ON_FAILURE=powerof', 'poweroff'],
  ['USAGE_WARN=70', '70%'],
  ['VAR_SIZE=10 %', '10%'],
  ['VAR_SIZE="512M"', '512M'],
  ['VAR_OPTIONS=nosiud,noexec', 'nosuid,noexec'],
  ['PERSIST=/var/spool/cron:autostrat', '/var/spool/cron:autostart'],
  ['MOUNT_OPTIONS=Strict', 'strict'],
  ['REQUIRE_OPTIONS=/home:nosiud /srv:RO', '/home:nosuid /srv:ro'],
  ['FORWARD=RELP://log:1', 'relp://log:1'],
] as const) {
  hints(line, () => {
    assert.equal(
      parseConfig(`${line}\n`).problems.map((problem) => problem.hint),
      [` (did you mean ${hint}?)`],
    );
  });
}
for (const line of [
  'COLOUR=blue',
  'X=1',
  'hello world',
  '=',
  'MODE=always',
  'VAR_OPTIONS=noexec,foo',
  'VAR_SIZE=x',
]) {
  hints(`${line}: nothing similar`, () => {
    assert.equal(
      parseConfig(`${line}\n`).problems.map((problem) => problem.hint),
      [''],
    );
  });
}
hints('a value is repeated only if it is printable and short', () => {
  for (const value of ['\xc3\xa4', 'x'.repeat(200)]) {
    assert.is(parseConfig(`forward_peer=${value}\n`).problems[0]?.hint, '');
  }
});
hints('a long line takes no long time', () => {
  const begin = performance.now();
  parseConfig(`${'A'.repeat(60_000)}=1\n`);
  parseConfig(`VAR_OPTIONS=${'nosuidd,'.repeat(8000)}\n`);
  assert.ok(performance.now() - begin < 2000);
});
for (const [value, said] of [
  ['relp://log', 'relp://log: RELP has no registered port: add one'],
  ['relp://log:99999', 'relp://log:99999: the port must be from 1 to 65535'],
  ['syslog+tcp://log relp://-a:1', 'relp://-a:1: not a valid host name'],
] as const) {
  hints(`FORWARD=${value}: the reason`, () => {
    assert.is(parseConfig(`FORWARD=${value}\n`).problems[0]?.hint, ` (${said})`);
  });
}
hints.run();

const file = suite('readConfig');
const read = (make: (root: string) => void) =>
  inTemporaryDirectory((root) => {
    make(root);
    const { config, problems } = readConfig(systemReader({ root }));
    return { mode: config.MODE, problems: problems.map(formatProblem) };
  });
const name = 'etc/immutafs/immutafs.conf';

file('is read', () => {
  assert.equal(
    read((root) => writeFiles(root, { [name]: 'MODE=off\n' })),
    { mode: 'off', problems: [] },
  );
});
file('none: the defaults', () =>
  assert.equal(
    read(() => undefined),
    { mode: 'auto', problems: [] },
  ),
);
file('too large', () => {
  const got = read((root) => writeFiles(root, { [name]: `MODE=off\n#${'x'.repeat(200_000)}` }));
  const problems = ['/etc/immutafs/immutafs.conf: larger than 65536 bytes, ignoring it'];
  assert.equal(got, { mode: 'auto', problems });
});
file('a directory: named, and the defaults', () => {
  const { mode, problems } = read((root) => void fs.mkdirSync(path.join(root, name), { recursive: true }));
  assert.is(mode, 'auto');
  assert.is(problems.length, 1);
  assert.match(problems[0] ?? '', /^\/etc\/immutafs\/immutafs\.conf: .*directory.*, ignoring it$/);
});
for (const [title, make, reason] of [
  [
    'a dangling link in place of its directory',
    (root: string) => writeFiles(root, { 'etc/immutafs': { linkTo: 'nowhere' } }),
    'no such file or directory',
  ],
  [
    'a file in place of its directory',
    (root: string) => writeFiles(root, { 'etc/immutafs': '' }),
    'not a directory',
  ],
  [
    'a link to a file in place of its directory',
    (root: string) => writeFiles(root, { 'etc/file': '', 'etc/immutafs': { linkTo: 'file' } }),
    'not a directory',
  ],
] as const) {
  file(`${title}: named, and a command that needs the configuration fails`, () => {
    const { mode, problems } = read(make);
    assert.is(mode, 'auto');
    assert.is(problems.length, 1);
    assert.match(problems[0] ?? '', new RegExp(`: .*${reason}.*, ignoring it$`));
    inTemporaryDirectory((root) => {
      make(root);
      assert.throws(
        () => requireConfig(systemReader({ root })),
        new RegExp(`${reason}.*: correct it first$`),
      );
    });
  });
}
file('a link to an existing directory without the file: the defaults', () => {
  const got = read((root) => writeFiles(root, { 'etc/x/y': '', 'etc/immutafs': { linkTo: 'x' } }));
  assert.equal(got, { mode: 'auto', problems: [] });
});
file('a command that needs the configuration accepts a wrong line, and no file', () => {
  inTemporaryDirectory((root) => {
    assert.is(requireConfig(systemReader({ root })).MODE, 'auto');
    writeFiles(root, { [name]: 'MODE=sealed\nMOOD=good\n' });
    assert.is(requireConfig(systemReader({ root })).MODE, 'sealed');
  });
});
file.run();

const list = suite('words');
for (const [text, expected] of [
  ['', []],
  ['  ', []],
  ['/ /boot', ['/', '/boot']],
  [' \t/a\t /b ', ['/a', '/b']],
] as const) {
  list(JSON.stringify(text), () => assert.equal(words(text), [...expected]));
}
list.run();
