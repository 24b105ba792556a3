/** Tests `changes` on real overlays in a mount namespace, with the program read-xattrs. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dist } from '../../packaging/build/paths.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { type Ran, inNamespace } from '../harness/namespace.ts';

const program = path.join(dist, 'read-xattrs');
const worker = path.join(import.meta.dirname, '../harness/changes-rounds.ts');

const rounds = suite('random operations on an overlay');
rounds.before(() => buildProgram('read-xattrs'));
for (const [title, prepare, count] of [
  ['a tmpfs as lower layer, of which overlayfs records no inode numbers', ':', 60],
  [
    'ext4 as lower layer',
    'truncate -s 64M /mnt/img && mkfs.ext4 -q /mnt/img && mount -o loop /mnt/img /mnt/d',
    100,
  ],
] as const) {
  rounds(
    `${title}: the walk over the upper layer finds the same changes as a comparison of two full walks`,
    () => {
      const script = `mkdir /mnt/d; ${prepare}; exec "$1" '${worker}' /mnt/d ${count} '${program}'`;
      const { code, stdout, stderr } = inNamespace(script, 240_000);
      assert.is(code, 0, stdout + stderr);
      assert.ok(Number(/^(\d+) changes/.exec(stdout)?.[1]) > count, stdout);
    },
  );
}
rounds.run();

/** A copy of /etc on a file system of its own, whose fstab has the mounts of the fixture. */
const folder = mkdtempSync(path.join(tmpdir(), 'immutafs-test-'));
const etc = path.join(folder, 'etc.img');
process.once('exit', () => rmSync(folder, { recursive: true }));

async function build(): Promise<void> {
  await buildProgram('read-xattrs');
  if (existsSync(etc)) return;
  const copy = path.join(folder, 'etc');
  cpSync('/etc', copy, { recursive: true, verbatimSymlinks: true });
  const lines = [`${etc} /etc ext4 loop,ro`, 'x /usr/libexec tmpfs defaults', 'x /root tmpfs defaults'];
  appendFileSync(path.join(copy, 'passwd'), 'keeps-home:x:4242:4242::/mnt/home:/bin/sh\n');
  writeFileSync(path.join(copy, 'fstab'), lines.map((line) => `${line} 0 0\n`).join(''));
  execFileSync('mkfs.ext4', ['-q', '-d', copy, etc, '64M']);
}

/** Mounts a sealed guest's overlay on /var over a small tree, and defines $agent. */
const guest = (options = '') => `
mount -o loop,ro ${etc} /etc
mount -t tmpfs x /usr/libexec; mkdir /usr/libexec/immutafs; cp "${program}" /usr/libexec/immutafs/
mkdir /mnt/lower; cd /mnt/lower; mkdir -p lib/dir/sub log spool/cron; echo a >lib/a; echo b >lib/b; echo in >lib/dir/in; echo sub >lib/dir/sub/file
mount -t tmpfs -o mode=0755 x /run; mkdir -p /run/immutafs/lower /run/var; mount -t tmpfs x /run/var; mkdir /run/var/upper /run/var/work
mount --bind /mnt/lower /run/immutafs/lower
mount -t overlay -o lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work${options} immutafs /var
printf 'VERSION=1\\nSTAGE=initramfs\\nUPTIME=1\\nMODE=sealed\\nREASON=x\\nDISKS=x\\nVAR=overlay\\nASSEMBLED=initramfs\\n' >/run/immutafs/boot.env
mount -t tmpfs x /root; cd /var/lib
`;

interface Line {
  path: string;
  change: string;
  what?: string[];
  from?: string;
  error?: string;
  pathBytes?: string;
  xattrs?: string[];
}

/** Runs commands in the guest and returns the lines of `changes --json`, as "change path what", and all of the output. */
function changesAfter(commands: string, options = ''): Ran & { lines: Line[]; short: string[] } {
  const ran = inNamespace(`${guest(options)}\n${commands}\n"$@" changes --json`);
  const lines = ran.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
  const short = lines
    .map(({ change, path: name, what = [] }) => [change, name.slice(5), ...what].join(' '))
    .sort();
  return { ...ran, lines, short };
}

const kinds = suite('changes by kind');
kinds.before(build);
for (const [title, commands, expected, options] of [
  ['nothing', ':', []],
  ['a file that was opened for writing only is copied up, and is no change', ': >>a', []],
  ['a new file in a directory is no change of the directory', 'touch dir/sub/new', ['added lib/dir/sub/new']],
  ['content', 'echo more >>a', ['modified lib/a content mtime']],
  [
    'content with the same size and mtime',
    'touch -r a /mnt/time; echo A >a; touch -r /mnt/time a',
    ['modified lib/a content'],
  ],
  ['mtime only', 'touch -d @1 a', ['modified lib/a mtime']],
  ['mode and owner', 'chmod 0600 a; chown 1:2 b', ['modified lib/a mode', 'modified lib/b owner']],
  ['mode of a directory', 'chmod 0700 dir', ['modified lib/dir mode']],
  ['an extended attribute', 'setfattr -n trusted.x -v y a', ['modified lib/a xattr']],
  ['deleted', 'rm a; rm -r dir', ['deleted lib/a', 'deleted lib/dir']],
  ['deleted and created anew with the same content and metadata', 'cp -a a /mnt/a; rm a; cp -a /mnt/a a', []],
  ['deleted and created anew', 'rm dir/in; echo new >dir/in', ['replaced lib/dir/in content mtime']],
  ['another type', 'rm a; ln -s b a', ['replaced lib/a type']],
  [
    'a directory in the place of a file',
    'rm a; mkdir a; touch a/x',
    ['added lib/a/x', 'replaced lib/a type'],
  ],
  [
    'a directory that was deleted and created anew',
    'rm -r dir; mkdir dir; echo in >dir/in; touch -d @5 dir/in',
    ['deleted lib/dir/sub', 'opaque lib/dir', 'replaced lib/dir/in mtime'],
  ],
  ['renamed', 'mv a c', ['renamed lib/c']],
  ['renamed and modified', 'mv a c; echo more >>c', ['renamed lib/c content mtime']],
  ['a hard link', 'ln a c', ['added lib/c']],
  [
    'a renamed directory with redirect_dir',
    'mv dir moved; echo more >>moved/in; rm moved/sub/file',
    ['deleted lib/moved/sub/file', 'modified lib/moved/in content mtime', 'renamed lib/moved'],
    ',redirect_dir=on',
  ],
  ['a change of metadata with metacopy', 'chmod 0600 a', ['modified lib/a mode'], ',metacopy=on'],
  ['a whiteout of a file that never existed', 'mknod /run/var/upper/lib/none c 0 0', []],
  [
    'an empty file that claims to be a whiteout of a file that never existed',
    'touch b; : >/run/var/upper/lib/e; setfattr -n trusted.overlay.whiteout -v y /run/var/upper/lib/e',
    ['added lib/e', 'modified lib/b mtime'],
  ],
  [
    'an attribute of metacopy that the overlay does not use hides no content',
    'cp -a a /mnt/a; printf A >/mnt/a; printf "X\\n" >a; touch -r /mnt/lower/lib/a a; setfattr -n trusted.overlay.metacopy /run/var/upper/lib/a',
    ['modified lib/a content'],
  ],
] as const) {
  kinds(title, () => {
    const { short, code, stderr } = changesAfter(`: >>dir/sub/file; ${commands}`, options ?? '');
    assert.equal(short, [...expected], stderr);
    assert.is(code, 0, stderr);
  });
}
kinds('the source of a renamed file is named', () => {
  assert.equal(
    changesAfter('mv a c').lines.map(({ from }) => from),
    ['/var/lib/a'],
  );
});
kinds.run();

const bad = suite('changes with bad input');
bad.before(build);
bad('names with line feeds, escapes and invalid UTF-8 are escaped in each view, and exact in JSON', () => {
  const name = `"$(printf 'n\\n\\033[31m\\377')"`;
  const { lines } = changesAfter(`touch ${name}`);
  assert.equal(
    lines.map(({ pathBytes = '' }) => Buffer.from(pathBytes, 'base64').toString('latin1')),
    ['/var/lib/n\n\x1b[31m\xff'],
  );
  const { stdout } = inNamespace(
    `${guest()} touch ${name}; "$@" changes --all; "$@" changes; "$@" changes --diff`,
  );
  assert.match(stdout, '/var/lib/n\\n\\u001b[31m\\\\xff');
  assert.not.match(stdout, '\x1b');
});
bad('a FIFO, a socket and a device are not opened', () => {
  const socket = `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")'`;
  const { short, code } = changesAfter(`rm a; mkfifo a; mknod d b 7 99; ${socket}`);
  assert.equal(short, ['added lib/d', 'added lib/s', 'replaced lib/a type']);
  assert.is(code, 0);
});
bad('a mount over the upper layer is an error, not "nothing changed"', () => {
  const { code, stdout, stderr } = inNamespace(
    `${guest()} touch x; mount -t tmpfs x /run/var/upper; "$@" changes`,
  );
  assert.is(code, 3);
  assert.match(stderr, /\/run\/var\/upper: .*hide/);
  assert.not.match(stdout, /Nothing differs/);
});
bad('a mount in the upper layer is an error', () => {
  const { code, stderr } = inNamespace(
    `${guest()} mkdir x; mount -t tmpfs x /run/var/upper/lib/x; "$@" changes`,
  );
  assert.is(code, 3);
  assert.match(stderr, /\/run\/var\/upper\/lib\/x.*hides the content/);
});
for (const [title, mount, hidden] of [
  ['a tmpfs over the jobs of cron', 'mount -t tmpfs t /var/spool/cron', '/var/spool/cron'],
  ['a tmpfs over the layer itself', 'mount -t tmpfs t /var', '/var'],
] as const) {
  bad(`${title} is an error`, () => {
    const { code, lines } = changesAfter(`touch new; ${mount}; touch ${hidden}/planted`);
    assert.is(code, 3);
    assert.equal(
      lines.filter(({ error }) => error !== undefined).map((line) => line.path),
      [hidden],
    );
    assert.match(lines[0]?.error ?? '', /is mounted here, which neither fstab nor the boot did/);
    assert.ok(lines.some((line) => line.path === '/var/lib/new'));
  });
}
bad('a tmpfs over /etc is an error', () => {
  // It hides the fstab that explains the mounts of the fixture.
  const { code, lines } = changesAfter('mount -t tmpfs t /etc');
  assert.is(code, 3);
  assert.ok(lines.some((line) => line.path === '/etc' && line.error !== undefined));
});
bad('a mount that fstab names is none, nor one on a path that is not selected', () => {
  const { code, lines } = changesAfter(
    'cp /etc/fstab /mnt/fstab; echo "t /var/spool/cron tmpfs noexec 0 0" >>/mnt/fstab; mount --bind /mnt/fstab /etc/fstab; mount -t tmpfs t /var/spool/cron',
  );
  assert.equal(
    lines.map(({ path: name, error }) => [name, error !== undefined]),
    [['/etc/fstab', true]],
  );
  assert.is(code, 3);
  const selected = inNamespace(`${guest()} mount -t tmpfs t /var/spool/cron; "$@" changes --json /var/lib`);
  assert.equal([selected.code, selected.stdout], [0, '']);
});
bad('a tree that is too deep is an error', () => {
  const { code, stderr } = inNamespace(
    `${guest()} python3 -c 'import os
for i in range(1100): os.mkdir("d"); os.chdir("d")'; "$@" changes`,
  );
  assert.is(code, 3);
  assert.match(stderr, /deeper than 1000 directories/);
});
bad('without read-xattrs, the command fails', () => {
  const { code, stderr, stdout } = inNamespace(
    `${guest()} touch x; rm /usr/libexec/immutafs/read-xattrs; "$@" changes`,
  );
  assert.is(code, 3);
  assert.match(stderr, /read-xattrs: .*ENOENT/);
  assert.is(stdout, '');
});
bad('an opened lease does not block', () => {
  const lease = `python3 -c 'import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
f = open("/run/var/upper/lib/b", "r+b"); fcntl.fcntl(f, 1024, fcntl.F_WRLCK); open("/mnt/ready", "w"); time.sleep(20)' &
while ! [ -e /mnt/ready ]; do sleep 0.1; done`;
  const { code, stderr } = inNamespace(
    `${guest()} : >>b; ${lease}
"$@" changes; code=$?; kill %1 2>/dev/null; exit $code`.replace('set -e; ', ''),
    15_000,
  );
  assert.is(code, 3, stderr);
  assert.match(stderr, /\/var\/lib\/b: /);
});
bad(
  'a file that grows and shrinks, directories that are swapped: ends, and reports what it cannot know',
  () => {
    const { code, stderr } = inNamespace(`${guest()} mkdir x y; seq 2000 >x/f
(while :; do mv x z; mv y x; mv z y; seq 300 >>a; : >a; rm -f l; ln -s /etc l; rm -f l; mkdir l; rmdir l; done) 2>/dev/null & swapper=$!
for i in 1 2 3 4 5; do "$@" changes --json --sha256 >/mnt/out || [ $? = 3 ] || echo "code $?" >&2; ! grep -q '"path":"/var/lib/l/' /mnt/out || echo followed >&2; done
kill $swapper`);
    assert.is(code, 0, stderr);
    assert.not.match(stderr, /code|followed/);
  },
);
bad('root is required', () => {
  const { code, stderr } = inNamespace(`${guest()} setpriv --reuid=65534 --clear-groups "$@" changes`);
  assert.is(code, 3);
  assert.match(stderr, /must run as root/);
});
bad.run();

const homes = suite('home directories on a disk that persists');
homes.before(build);
/** Mounts a home directory with authorized_keys, whose ctime is set(1) as root can set it with the clock. */
const home = `
truncate -s 8M /mnt/home.img; mkfs.ext4 -q /mnt/home.img; mkdir /mnt/home
loop=$(losetup -f --show /mnt/home.img); trap 'umount /mnt/home; losetup -d "$loop"' EXIT
set_back() { umount /mnt/home; debugfs -w -R "sif /.ssh/authorized_keys ctime 20200101" "$loop" 2>/dev/null; mount "$loop" /mnt/home; }
mount "$loop" /mnt/home; mkdir /mnt/home/.ssh; echo old >/mnt/home/.ssh/authorized_keys; set_back
`;
const recorded = '"$@" check >/dev/null || :';
for (const [title, before, change, expected] of [
  ['unchanged', recorded, 'set_back', []],
  [
    'content, with the clock set back',
    recorded,
    'echo new >.ssh/authorized_keys; cd /; set_back',
    ['.ssh/authorized_keys'],
  ],
  [
    'mode, with the clock set back',
    recorded,
    'chmod 0666 .ssh/authorized_keys; cd /; set_back',
    ['.ssh/authorized_keys'],
  ],
  [
    'a file of the same content, but with a new ctime',
    recorded,
    'touch .ssh/authorized_keys',
    ['.ssh/authorized_keys'],
  ],
  ['a new file', recorded, 'echo x >.bashrc', ['.bashrc']],
  [
    'a later check does not accept the change',
    recorded,
    `echo new >.ssh/authorized_keys; cd /; set_back; ${recorded}`,
    ['.ssh/authorized_keys'],
  ],
  ['without a record, only the ctime decides', ':', 'echo new >.ssh/authorized_keys; cd /; set_back', []],
  [
    'another file system at the same path is not compared with the record',
    'umount /mnt/home; "$@" check >/dev/null || :; mount "$loop" /mnt/home',
    ':',
    [],
  ],
] as const) {
  homes(title, () => {
    const { code, lines, stderr } = changesAfter(
      `${home} ${before}; cd /mnt/home; ${change.startsWith('set_back') ? 'cd /;' : ''} ${change}; cd /`,
    );
    assert.equal(
      lines.map((line) => line.path),
      expected.map((name) => `/mnt/home/${name}`),
      stderr,
    );
    assert.is(code, 0, stderr);
  });
}
homes.run();

const losses = suite('changes --state');
losses('what the next reboot loses, the largest first; nothing without state', () => {
  const unit =
    "mkdir -p /run/systemd/system; printf '[Service]\\nStateDirectory=acme\\n' >/run/systemd/system/acme.service";
  const state = 'mkdir pgsql acme; head -c 9000 /dev/zero >pgsql/row; echo x >acme/id';
  const after = (commands: string, ...options: string[]) =>
    inNamespace(
      `${guest()}\n${unit}; echo x >../log/messages; ${commands}\n"$@" changes --state ${options.join(' ')}`,
    );
  const { stdout, code, stderr } = after(state, '--json');
  const lines = stdout
    .trim()
    .split('\n')
    .map(
      (line) => JSON.parse(line) as { service: string | null; name: string; units: string[]; files: number },
    );
  assert.equal(
    lines.map(({ service, name, files }) => [service, name, files]),
    [
      ['postgresql', 'PostgreSQL', 1],
      [null, '/var/lib/acme', 1],
    ],
    stderr,
  );
  assert.equal(lines[1]?.units, ['acme.service']);
  assert.is(code, 0, stderr);
  const text = after(state).stdout;
  const [head = '', row = '', command = ''] = text.split('\n').map((line) => line.trim());
  assert.match(head, /^PATH +SIZE /);
  // The third column is a unit of this machine, or "-".
  assert.equal(row.split(/ {2,}/).toSpliced(2, 1), [
    '/var/lib/pgsql',
    '12 KiB in 1 file',
    'keep',
    'all databases and roles',
  ]);
  assert.match(command, /^immutafs-agent changes --export \S+ \/var\/lib\/pgsql$/);
  assert.match(after(':').stdout, /^The next reboot loses no state, except what was accepted\./);
});
losses('what cloud-init wrote to /etc from the seed is no loss; without SEED=host, it is', () => {
  const overlay = `mkdir /run/var/etc /run/var/etc-work /run/immutafs/etc; mount --bind /etc /run/immutafs/etc
mount -t overlay -o lowerdir=/run/immutafs/etc,upperdir=/run/var/etc,workdir=/run/var/etc-work immutafs /etc
mkdir -p /etc/immutafs /etc/acme; echo x >/etc/acme/state`;
  const after = (seed: string) =>
    inNamespace(
      `${guest()}\n${overlay}; echo SEED=${seed} >/etc/immutafs/immutafs.conf\n"$@" changes --state`,
    ).stdout;
  assert.match(after('host'), /^The next reboot loses no state, except what was accepted\./);
  assert.match(after('off'), /^\/etc\S* .* in \d+ files? .* what was written here since the boot$/m);
});
losses.run();
