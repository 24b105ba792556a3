import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persist } from './persist.ts';
import { withoutBusybox } from './shells.ts';

const kept = { 'var=lib=x': 'STATE=kept\nREASON=\nREMEDY=\n' };
/** Prints everything about a directory that a copy must preserve. Run it in the directory. */
const picture = `find . -printf '%p %y %m %U:%G %s %n %T@ %l\\n' | sort
  find . -type f | sort | xargs md5sum; find . | sort | xargs getfattr -hdm -; find . ! -type l | sort | xargs getfacl -pn; find . -type f | sort | xargs stat -c '%n %b'`;

// In a busybox with its own cp and mount, which is in an initramfs only, the script could not work.
withoutBusybox('persist-directory', (test, shell) => {
  for (const mode of ['sealed', 'maintenance'] as const) {
    test(`${mode}: the disk's content is copied once, and the mount is of the store from then on`, () => {
      const { stdout, stderr, records, made } = persist({
        shell,
        mode,
        run: `keep /var/lib/x; echo $?; cat /var/lib/x/*
          echo new >/var/lib/x/renamed; mv /var/lib/x/renamed /var/lib/x/file
          umount /var/lib/x; cat /var/lib/x/file; keep /var/lib/x; echo $?; cat /var/lib/x/*
          keep /var/lib/x; check /var/lib/x; stat -c '%a %u' /data/store; ls -A /data/store /run/immutafs`,
      });
      const run = mode === 'sealed' ? 'lower\npersisted' : 'persisted';
      assert.is(stdout, `0\ndisk\ndisk\n0\nnew\n700 0\n/data/store:\nvar=lib=x\n\n/run/immutafs:\n${run}\n`);
      assert.equal({ stderr, records }, { stderr: '', records: kept });
      assert.equal(made, ['/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec']);
    });
  }

  test('a path that PERSIST does not name is checked with given options', () => {
    const { stdout } = persist({
      shell,
      persist: '/var/lib/x',
      disk: 'mkdir /var/lib/y /etc/y',
      run: `check /var/lib/y || :; check /var/lib/y ''; echo $?; check /etc/y '' || :; check /etc/y autostart; echo $?`,
    });
    assert.match(
      stdout,
      /^REASON=PERSIST does not name it\nREMEDY=[^\n]*\n0\nREASON=\/etc [^\n]*\nREMEDY=[^\n]*\n0\n$/,
    );
  });

  test('a directory whose content was moved to the store is not copied into a store without it', () => {
    for (const [disk, isKept] of [
      ['mkdir /var/lib/x/moved-by-immutafs-agent', false],
      ['mkdir /var/lib/x/moved', true],
    ] as const) {
      const { records, made } = persist({ shell, disk, run: 'keep /var/lib/x; ls /data/store' });
      assert.is(made.length, isKept ? 1 : 0);
      assert.match(
        records['var=lib=x'] ?? '',
        isKept ? /^STATE=kept/ : /^STATE=failed\nREASON=its content was moved to \/data\/store\/var=lib=x,/,
      );
    }
  });

  test('a path at or below a directory that MOUNT_OPTIONS has bound to itself', () => {
    const bind = 'make-mounts options noexec,nosuid,nodev /var/log';
    for (const [path, mode] of [
      ['/var/log/app', 'sealed'],
      ['/var/log', 'sealed'],
      ['/srv/data', 'maintenance'],
      ['/srv', 'maintenance'],
    ] as const) {
      const { records, made, stdout, stderr } = persist({
        shell,
        mode,
        persist: `${path}:autostart,maintenance`,
        disk: `mkdir -p /var/log/app ${path}; echo disk >${path}/file`,
        run: `/usr/libexec/immutafs/${mode === 'sealed' ? bind : bind.replace('/var/log', '/srv')}; keep ${path}; cat ${path}/file`,
      });
      assert.is(stdout, 'disk\n', stderr);
      const name = path.slice(1).replaceAll('/', '=');
      assert.match(records[name] ?? '', /^STATE=kept\n/, path);
      assert.ok(made.includes(`${path} /store/${name} rw,nosuid,nodev,noexec`), made.join('\n'));
    }
  });

  test('the twin: another mount at the path, and a bind mount of another directory', () => {
    for (const mount of [
      'mount -t tmpfs x /var/lib/x',
      'mkdir /var/lib/z; mount --bind /var/lib/z /var/lib/x',
    ]) {
      const { records } = persist({ shell, run: `${mount}; keep /var/lib/x` });
      assert.match(
        records['var=lib=x'] ?? '',
        /^STATE=failed\nREASON=\/var\/lib\/x is a mount point already/,
      );
    }
  });

  test('the options of a path loosen its mount', () => {
    const found = persist({
      shell,
      persist: '/var/lib/x:exec /var/lib/y:suid,dev,exec /var/lib/x',
      disk: 'mkdir /var/lib/y',
      run: 'keep /var/lib/x; keep /var/lib/y',
    });
    assert.equal(found.made, [
      '/var/lib/x /store/var=lib=x rw,nosuid,nodev',
      '/var/lib/y /store/var=lib=y rw',
    ]);
  });

  test('a path with autostart is not mounted while the system disk is writable, whoever starts its service', () => {
    for (const [env, options, isMounted] of [
      ['MODE=maintenance', 'autostart', false],
      ['MODE=sealed\nREHEARSAL=900', 'autostart', false],
      ['MODE=sealed', 'autostart', true],
      ['MODE=maintenance', 'autostart,maintenance', true],
    ] as const) {
      const found = persist({
        shell,
        mode: 'maintenance',
        persist: `/etc/x:${options}`,
        disk: 'mkdir /etc/x',
        run: `mkdir -p /run/immutafs; printf '${env}\n' >/run/immutafs/boot.env; check /etc/x; keep /etc/x; ls /data`,
      });
      assert.is(found.made.length, isMounted ? 1 : 0, `${env} ${options}: ${found.stderr}`);
      const record = found.records['etc=x'] ?? '';
      assert.match(
        record,
        isMounted ? 'STATE=kept\n' : /^STATE=failed\n.* the system disk is writable in this boot\n/,
      );
      // It would be kept in a sealed boot, so that nothing prevents the guest from being sealed.
      assert.not.match(found.stdout, 'REASON');
    }
  });

  test('free space that cannot be determined: not kept, with a reason', () => {
    const { stdout, records } = persist({
      shell,
      run: `mkdir /run/shim; printf '#!/bin/sh\\n[ "$1" != -f ] || exit 1; exec /usr/bin/stat "$@"\\n' >/run/shim/stat
        chmod +x /run/shim/stat; PATH=/run/shim:$PATH; keep /var/lib/x 2>/dev/null; echo $?; ls /data/store`,
    });
    assert.is(stdout, '1\n');
    assert.match(
      records['var=lib=x'] ?? '',
      'STATE=failed\nREASON=the size of /var/lib/x or the free space on /data could not be determined\n',
    );
  });

  test('a directory below another one, in any order of PERSIST', () => {
    for (const mode of ['sealed', 'maintenance'] as const) {
      const found = persist({
        shell,
        mode,
        persist: '/var/lib/x/in:exec /var/lib/x',
        disk: 'mkdir /var/lib/x/in; echo inner >/var/lib/x/in/file',
        run: `keep /var/lib/x; keep /var/lib/x/in; cat /var/lib/x/in/file; ls /data/store
          ls /data/store/var=lib=x/in; ls -d /run/immutafs/persist-view* 2>&1`,
      });
      assert.is(
        found.stdout.replace(/^ls: .*\n/m, ''),
        'inner\nvar=lib=x\nvar=lib=x=in\nfile\n',
        found.stderr,
      );
      assert.equal(found.made, [
        '/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec',
        '/var/lib/x/in /store/var=lib=x=in rw,nosuid,nodev',
      ]);
    }
  });
});

const copy = suite('persist-directory: the copy');

copy('labels, ACLs, capabilities, hard links, holes, links, FIFOs and times are those of the disk', () => {
  const { stdout, stderr } = persist({
    disk: `cd /var/lib/x; chown 12:34 .; chmod 2750 .; mkdir sub; ln file sub/hard; ln -s /etc/passwd link; mkfifo fifo
      truncate -s 1m sparse; printf x | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
      cp /usr/bin/true program; setcap cap_net_raw+ep program; chmod 4755 file
      setfacl -m u:4242:rx,d:g:77:rwx sub; setfattr -n user.a -v b file
      setfattr -n security.selinux -v system_u:object_r:cert_t:s0 program
      touch -d '2001-02-03 04:05:06.7' sub/hard sub .`,
    run: `cd /run/immutafs/lower/lib/x; { ${picture}; } >/run/disk; cd /; keep /var/lib/x; cd /var/lib/x
      { ${picture}; } >/run/kept; diff /run/disk /run/kept && echo same; wc -l </run/disk; getcap program; stat -c %b sparse
      touch new; { ${picture}; } | diff -q /run/disk -`,
  });
  assert.is(stderr, '');
  assert.match(stdout, /^same\n\d\d\nprogram cap_net_raw=ep\n\d\nFiles \/run\/disk and - differ\n$/);
});

/** Stands for a program, so that it stops the boot before or after the work of the program, as a power cut does. */
const cut = (program: string, when: 'before' | 'after', call: number) => `
mkdir -p /run/shim; cat >/run/shim/${program} <<'SHIM'
#!/bin/bash
echo >>/run/calls; [ "$(wc -l </run/calls)" = ${call} ] || exec /usr/bin/${program} "$@"
${when === 'after' ? `/usr/bin/${program} "$@"` : program === 'cp' ? 'mkdir "${@: -1}"; echo half >"${@: -1}/half"' : ''}
kill -9 "$(cat /run/helper)"; exit 1
SHIM
chmod +x /run/shim/${program}; rm -f /run/calls
(echo $BASHPID >/run/helper; PATH=/run/shim:$PATH exec sh /usr/libexec/immutafs/persist-directory mount /var/lib/x)
rm -r /run/shim`;

for (const [program, when, call, left] of [
  ['cp', 'before', 1, 'seeding:var=lib=x'],
  ['cp', 'after', 1, 'seeding:var=lib=x'],
  ['sync', 'before', 1, 'seeding:var=lib=x'],
  ['sync', 'after', 1, 'seeding:var=lib=x'],
  ['mv', 'before', 1, 'seeding:var=lib=x'],
  ['mv', 'after', 1, 'var=lib=x'],
  ['sync', 'before', 2, 'var=lib=x'],
  ['sync', 'after', 2, 'var=lib=x'],
] as const) {
  copy(`stopped ${when} ${program} ${call}: nothing or all is left, and the next boot keeps the path`, () => {
    const { stdout, records } = persist({
      run: `${cut(program, when, call)} 2>/dev/null; ls /data/store; cat /run/immutafs/persisted/*; findmnt /var/lib/x
        keep /var/lib/x; echo $?; ls /data/store /var/lib/x; cat /var/lib/x/file`,
    });
    assert.is(
      stdout,
      `${left}\nSTATE=begun\nREASON=\nREMEDY=\n0\n/data/store:\nvar=lib=x\n\n/var/lib/x:\nfile\ndisk\n`,
    );
    assert.equal(records, kept);
  });
}

copy('a copy that fails is removed, with the reason of the program', () => {
  const failing = (program: string, text: string) =>
    persist({
      run: `mkdir /run/shim; printf '#!/bin/sh\\n%s\\n' '${text}' >/run/shim/${program}; chmod +x /run/shim/*
        PATH=/run/shim:$PATH sh /usr/libexec/immutafs/persist-directory mount /var/lib/x 2>/dev/null; echo $?
        ls /data/store; findmnt /var/lib/x; ls /var/lib/x`,
    });
  for (const [program, text, reason] of [
    ['cp', '/usr/bin/cp "$@"; echo "cp: no space" >&2; exit 1', 'cp failed: cp: no space'],
    ['mv', 'echo "mv: bad" >&2; exit 1', 'mv failed: mv: bad'],
  ] as const) {
    const { stdout, records } = failing(program, text);
    assert.is(stdout, '1\nfile\nof-this-boot\n');
    assert.match(records['var=lib=x'] ?? '', `STATE=failed\nREASON=${reason}\n`);
  }
});

copy('a copy that takes too long is stopped and removed', () => {
  const { stdout, records } = persist({
    run: `sed -i 's/^copy_seconds=300/copy_seconds=1/' /usr/libexec/immutafs/persist-directory
      mkdir /run/shim; printf '#!/bin/sh\\n/usr/bin/cp "$@"; exec sleep 30\\n' >/run/shim/cp; chmod +x /run/shim/cp
      PATH=/run/shim:$PATH sh /usr/libexec/immutafs/persist-directory mount /var/lib/x 2>/dev/null; echo $?; ls /data/store`,
  });
  assert.is(stdout, '1\n');
  assert.match(records['var=lib=x'] ?? '', /^STATE=failed\nREASON=cp took more than 1 s\nREMEDY=./);
});

copy('space and inodes are checked before the copy', () => {
  const { stdout, records } = persist({
    persist: '/var/lib/x /var/lib/many /var/lib/big',
    dataMiB: 8,
    disk: `mkdir /var/lib/many /var/lib/big; head -c 7m /dev/urandom >/var/lib/big/file
      for n in $(seq 3000); do ln -s x /var/lib/many/$n; done`,
    run: `printf '#!/bin/sh\\necho copied; exec /usr/bin/cp "$@"\\n' >/run/cp
      for path in big many x; do keep /var/lib/$path 2>/dev/null; echo $?; done; ls /data/store`,
  });
  assert.is(stdout, '1\n1\n0\nvar=lib=x\n');
  assert.match(records['var=lib=big'] ?? '', /REASON=the copy needs \d+ KiB, and \/data has \d+ KiB free\n/);
  assert.match(
    records['var=lib=many'] ?? '',
    /REASON=the copy has 3001 files, and \/data has \d+ inodes free/,
  );
});

copy.run();
