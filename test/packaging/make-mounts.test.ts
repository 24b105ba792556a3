/** Tests the program make-mounts on real mounts. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { dist } from '../../packaging/build/paths.ts';

const program = path.join(dist, 'make-mounts');

/**
 * Runs lines of sh in a mount namespace with a tmpfs on /mnt, where $make is the program.
 * @param options of the tmpfs
 * @returns the output of the lines, then the target, options and optional fields of each mount below /mnt; with options,
 *   also of the tmpfs
 */
function inNamespace(script: string, options = ''): string[] {
  const run = `exec 2>&1; set -u; mount -t tmpfs -o mode=0700 x /run; mount -t tmpfs -o "${options || 'rw'}" x /mnt
    mount --make-shared /mnt; mkdir /mnt/a /mnt/b
    echo old >/mnt/a/x; rm -rf /run/mount
    ${script}
    while read -r _ _ _ _ target options rest; do
      case $target in ${options === '' ? '' : '/mnt | '}/mnt/[abc] | /mnt/b/in) ;; *) continue ;; esac
      case $rest in shared:*) options="$options shared" ;; esac
      echo "$target $options"
    done </proc/self/mountinfo`;
  return execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', run], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], make: program },
  })
    .trimEnd()
    .split('\n');
}

const mounts = suite('make-mounts');
mounts.before(() => buildProgram('make-mounts'));

mounts('directory: an existing one, too, gets the mode and the owner', () => {
  const set = (mode: string) => `$make directory ${mode} 3:4 /mnt/a directory 2550 0:0 /mnt/a/new; echo $?`;
  assert.equal(inNamespace(`umask 077; ${set('1777')}; stat -c '%a %u:%g' /mnt/a /mnt/a/new`), [
    '0',
    '1777 3:4',
    '2550 0:0',
  ]);
});
mounts(
  'like: a directory, also an existing one, with the owner, mode and access control lists of another',
  () => {
    const model = 'chown 3:4 /mnt/a; chmod 2750 /mnt/a; setfacl -m u:5:rx /mnt/a';
    const show = `for each in /mnt/c /mnt/b; do stat -c '%a %u:%g' $each; getfacl -cnp $each | grep user:5; done`;
    assert.equal(inNamespace(`${model}; $make like /mnt/a /mnt/c like /mnt/a /mnt/b; echo $?; ${show}`), [
      ...['0', '2750 3:4', 'user:5:r-x', '2750 3:4', 'user:5:r-x'],
    ]);
    assert.equal(
      inNamespace(
        `ln -s /mnt/b /mnt/c; $make like /mnt/a /mnt/c like /mnt/none /mnt/b; echo $?; stat -c %a /mnt/b`,
      ),
      ['make-mounts: /mnt/c is a symbolic link', '1', '755'],
    );
  },
);
mounts('for: a failed step ends the steps for its name, and no others', () => {
  assert.equal(
    inNamespace(`mkdir /mnt/b/in
      $make directory 0755 0:0 /mnt/c for one view ro /mnt/none /mnt/a view ro /mnt/b /mnt/a \
        for two view ro /mnt/a /mnt/c for three keep rw /mnt/a /mnt/none /mnt/a directory 0700 0:0 /mnt/b; echo $?
      stat -c %a /mnt/b; cat /mnt/c/x`),
    [
      ...['one: /mnt/none does not exist', 'three: /mnt/none does not exist', '1', '755', 'old'],
      '/mnt/c ro,relatime shared',
    ],
  );
});
mounts('view: a mount with the options in a peer group of its own', () => {
  assert.equal(
    inNamespace(
      '$make view ro,nosuid /mnt/a /mnt/b; echo $?; cat /mnt/b/x; touch /mnt/b/y; mount -t tmpfs x /mnt/a; ls /mnt/b',
    ),
    [
      '0',
      'old',
      "touch: cannot touch '/mnt/b/y': Read-only file system",
      'x',
      '/mnt/b ro,nosuid,relatime shared',
      '/mnt/a rw,relatime shared',
    ],
  );
});
mounts('overlay: options and layers', () => {
  assert.equal(
    inNamespace(`mkdir /mnt/u /mnt/w
      $make overlay nodev,noexec,noatime, lowerdir=/mnt/a,upperdir=/mnt/u,workdir=/mnt/w /mnt/b; echo $?
      echo new >/mnt/b/x; cat /mnt/a/x /mnt/u/x`),
    ['0', 'old', 'new', '/mnt/b rw,nodev,noexec,noatime shared'],
  );
});
mounts('volume: options, type and device; the mount point is no link', () => {
  assert.equal(
    inNamespace(`ln -s /mnt/b /mnt/c; $make volume nosuid,nodev tmpfs none /mnt/b; echo $?
      $make volume nosuid tmpfs none /mnt/c; echo $?; $make volume nosuid none none /mnt/a; echo $?`),
    [
      ...[
        '0',
        'make-mounts: /mnt/c is a symbolic link',
        '1',
        'make-mounts: /mnt/a failed with errno 019',
        '1',
      ],
      '/mnt/b rw,nosuid,nodev,relatime shared',
    ],
  );
});
mounts(
  'freeze: every mount of the file system is read-only, with its options; not while a file is open for writing',
  () => {
    const overlay = '$make overlay nosuid,nodev lowerdir=/mnt/a,upperdir=/mnt/u,workdir=/mnt/w /mnt/b';
    assert.equal(
      inNamespace(`mkdir /mnt/u /mnt/w /mnt/c; ${overlay}; mount --bind /mnt/b /mnt/c
      exec 3>/mnt/b/open; $make freeze /mnt/b; echo $?; touch /mnt/b/y
      exec 3>&-; $make freeze /mnt/b; echo $?; touch /mnt/b/z /mnt/c/z`),
      [
        ...['make-mounts: /mnt/b failed with errno 016', '1', '0'],
        "touch: cannot touch '/mnt/b/z': Read-only file system",
        "touch: cannot touch '/mnt/c/z': Read-only file system",
        '/mnt/b ro,nosuid,nodev,relatime shared',
        '/mnt/c rw,nosuid,nodev,relatime shared',
      ],
    );
  },
);
mounts('keep: a shared mount with the options, which is writable, and no stage remains', () => {
  assert.equal(
    inNamespace(`$make keep rw,nosuid,dev,noexec /mnt/a /mnt/b /mnt/a; echo $?; ls /mnt /run
      mkdir /mnt/b/in && mount -t tmpfs x /mnt/b/in && ls /mnt/a/in; touch /mnt/b/y`),
    [
      ...['0', '/mnt:', 'a', 'b', '', '/run:', '/mnt/b rw,nosuid,noexec,relatime shared'],
      '/mnt/b/in rw,relatime shared',
    ],
  );
});
const kept = 'keep rw,nosuid,dev,noexec /mnt/a /mnt/b /mnt/a';
mounts('keep: changes the mount table once, because systemd delays mount units after several changes', () => {
  assert.equal(
    inNamespace(
      `strace -o /mnt/trace -e trace=mount,umount2,move_mount $make ${kept}; grep -o '^[a-z0-9_]*(' /mnt/trace`,
    ),
    ['move_mount(', '/mnt/b rw,nosuid,noexec,relatime shared'],
  );
});
for (const missing of ['open_tree', 'mount_setattr', 'move_mount']) {
  mounts(`keep: on a kernel without ${missing}`, () => {
    assert.equal(
      inNamespace(`strace -o /mnt/trace -e trace=mount,${missing} -e inject=${missing}:error=ENOSYS $make ${kept}
        echo $?; ls /mnt /run/immutafs; grep -c INJECTED /mnt/trace
        mkdir /mnt/b/in && mount -t tmpfs x /mnt/b/in && ls /mnt/a/in`),
      [
        ...['0', '/mnt:', 'a', 'b', 'trace', '', '/run/immutafs:', '1'],
        ...['/mnt/b rw,nosuid,noexec,relatime shared', '/mnt/b/in rw,relatime shared'],
      ],
    );
  });
}
mounts('several steps; a failed view ends the program', () => {
  assert.equal(
    inNamespace(`$make directory 0700 0:0 /mnt/c view ro /mnt/a /mnt/c view ro /mnt/none /mnt/b view ro /mnt/a /mnt/b
      echo $?`),
    ['make-mounts: /mnt/none does not exist', '1', '/mnt/c ro,relatime shared'],
  );
});
mounts('view and options: on a kernel without open_tree', () => {
  const without = 'strace -o /run/trace -e trace=open_tree -e inject=open_tree:error=ENOSYS';
  assert.equal(
    inNamespace(`${without} $make view ro /mnt/a /mnt/b options noexec /mnt/a; echo $?; ls /run/immutafs`),
    [...['0', '/mnt/b ro,relatime shared', '/mnt/a rw,noexec,relatime shared']],
  );
});

mounts('options: a directory is bound to itself, and other options are kept', () => {
  assert.equal(inNamespace('$make options noexec,nodev /mnt/a; echo $?', 'rw,noatime,nosuid'), [
    '0',
    '/mnt rw,nosuid,noatime shared',
    '/mnt/a rw,nosuid,nodev,noexec,noatime shared',
  ]);
});
mounts('options: a mount point is changed in place', () => {
  assert.equal(inNamespace('$make options nosuid /mnt; $make options noexec /mnt; echo $?', 'rw'), [
    '0',
    '/mnt rw,nosuid,noexec,relatime shared',
  ]);
});
mounts('options: exec takes noexec back, and nothing else', () => {
  assert.equal(inNamespace('$make options exec /mnt', 'rw,noexec,nosuid'), [
    '/mnt rw,nosuid,relatime shared',
  ]);
});
mounts('options: a read-only mount stays read-only', () => {
  assert.equal(inNamespace('mount -o remount,bind,ro /mnt; $make options noexec /mnt', 'rw'), [
    '/mnt ro,noexec,relatime shared',
  ]);
});
mounts('options: a path that does not exist is skipped', () => {
  assert.equal(inNamespace('$make options noexec /mnt/none/x options nosuid /mnt/b; echo $?'), [
    '0',
    '/mnt/b rw,nosuid,relatime shared',
  ]);
});
mounts('options: with noexec, a program cannot run', () => {
  const [before, after] = inNamespace(
    'cp /bin/true /mnt/a/y; /mnt/a/y; echo $?; $make options noexec /mnt/a; (/mnt/a/y) 2>/dev/null; echo $?',
  );
  assert.equal([before, after], ['0', '126']);
});

/** Steps that use a path. */
const using = (path: string) => [
  `options noexec ${path}`,
  `keep rw,noexec /mnt/a ${path} /mnt/a`,
  `keep rw,noexec ${path} /mnt/b ${path}`,
  `view ro /mnt/a ${path}`,
  `view ro ${path} /mnt/b`,
  `overlay nodev lowerdir=/mnt/a,upperdir=/mnt/u,workdir=/mnt/w ${path}`,
  `directory 0700 0:0 ${path}`,
];
for (const [title, make, path, reason] of [
  ['a symbolic link', 'ln -s a /mnt/link', '/mnt/link', '/mnt/link is a symbolic link'],
  ['a symbolic link above it', 'ln -s . /mnt/link', '/mnt/link/a', '/mnt/link is a symbolic link'],
  ['a file', 'touch /mnt/f', '/mnt/f', '/mnt/f is not a directory'],
  ['a file above it', 'touch /mnt/f', '/mnt/f/x', '/mnt/f '],
] as const) {
  mounts(`${title} is refused by every step that uses the path, and the reason names it`, () => {
    for (const step of using(path)) {
      const [text = '', ...more] = inNamespace(`mkdir /mnt/u /mnt/w; ${make}; $make ${step}; echo $?`);
      assert.ok(text.startsWith(`make-mounts: ${step.startsWith('dir') ? '' : reason}`), `${step}: ${text}`);
      assert.equal(more, ['1'], step);
    }
  });
}
mounts('after a failure of one path, the other paths are mounted and set', () => {
  assert.equal(
    inNamespace(`ln -s a /mnt/link; mkdir /mnt/c
      $make options nodev /mnt/link keep rw /mnt/a /mnt/link /mnt/a keep rw /mnt/a /mnt/b /mnt/a options nodev /mnt/c
      echo $?`),
    [
      'make-mounts: /mnt/link is a symbolic link',
      'make-mounts: /mnt/link is a symbolic link',
      '1',
      '/mnt/b rw,relatime shared',
      '/mnt/c rw,nodev,relatime shared',
    ],
  );
});
for (const [title, lines] of [
  ['owner', 'chown 1 /mnt/a'],
  ['group', 'chgrp 1 /mnt/a'],
  ['mode', 'chmod 1777 /mnt/a'],
  ['access control list', 'setfacl -m u:1:rwx /mnt/a'],
  ['default access control list', 'setfacl -d -m u:1:rwx /mnt/a'],
] as const) {
  mounts(`keep: a directory with another ${title} than the model is refused`, () => {
    const differs =
      'make-mounts: /mnt/a has another owner, mode, SELinux label or access control list than the directory on the disk';
    const keep = (like: string) => inNamespace(`${lines}; $make keep rw /mnt/a /mnt/b ${like}; echo $?`);
    assert.equal(keep('/mnt/b'), [differs, '1']);
    assert.equal(keep('/mnt/a'), ['0', '/mnt/b rw,relatime shared']);
  });
}
for (const step of ['keep ro /mnt/a /mnt/none /mnt/a', 'keep ro /mnt/none /mnt/b /mnt/a']) {
  mounts(`a failed step leaves nothing: ${step}`, () => {
    const expected = ['make-mounts: /mnt/none does not exist', '1', '/mnt:', 'a', 'b', '', '/run:'];
    assert.equal(inNamespace(`$make ${step}; echo $?; ls /mnt /run`), expected);
  });
}
mounts('many steps do not use up the file descriptors', () => {
  const [code, ...made] = inNamespace(
    'ulimit -n 16; set --; for n in 1 2 3 4 5 6 7 8; do set -- "$@" keep rw /mnt/a /mnt/b /mnt/a; done; $make "$@"; echo $?',
  );
  assert.equal([code, made.length], ['0', 8]);
});
mounts('an unknown or incomplete step fails', () => {
  const steps = [
    ['other ro /mnt/a /mnt/b', 'other is not a step, or lacks an argument'],
    ['view ro /mnt/a', 'view is not a step, or lacks an argument'],
    ['keep ro /mnt/a /mnt/b', 'keep is not a step, or lacks an argument'],
    ['directory 0755 0 /mnt/a', '/mnt/a failed with errno 022'],
  ] as const;
  for (const [step, text] of steps)
    assert.equal(inNamespace(`$make ${step}; echo $?`), [`make-mounts: ${text}`, '1'], step);
});
mounts.run();
