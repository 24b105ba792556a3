import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persist } from './persist.ts';
import { insteadOfMakeMounts, withoutBusybox } from './shells.ts';

const kept = 'STATE=kept\nREASON=\nREMEDY=\n';
const restart = (name: string) => `restart immutafs-persist@${name}.service\n`;
const paths = '/var/lib/x /var/lib/y:exec';
const disk = 'mkdir /var/lib/y; chown 3:4 /var/lib/y; chmod 2750 /var/lib/y; echo y >/var/lib/y/file';
const made = (...further: string[]) => [
  '/var/lib/x /store/var=lib=x rw,nosuid,nodev,noexec',
  '/var/lib/y /store/var=lib=y rw,nosuid,nodev',
  ...further,
];
/** Unmounts the paths and forgets the results, as a reboot does. */
const reboot = 'umount -R /var/lib/x /var/lib/y; rm -r /run/immutafs/persisted\n';

withoutBusybox('mount-persisted', (test, shell) => {
  for (const mode of ['sealed', 'maintenance'] as const) {
    test(`${mode}: at the first use, by the service of each path; then without these services`, () => {
      const { stdout, stderr, records, ...found } = persist({
        shell,
        mode,
        persist: paths,
        disk,
        run: `keep; echo $?; ${reboot} echo reboot >&2; keep; echo $?; cat /var/lib/*/file; ls -A /run/immutafs`,
      });
      assert.is(
        stdout,
        `0\n0\ndisk\ny\n${mode === 'sealed' ? 'lower\n' : ''}persisted\n`.replace('disk\n', 'disk\n'),
        stderr,
      );
      assert.is(stderr, `${restart('var-lib-x')}${restart('var-lib-y')}reboot\n`);
      assert.equal(records, { 'var=lib=x': kept, 'var=lib=y': kept });
      assert.equal(found.made, made());
    });
  }

  test('a path that is mounted already is left alone, and the others are mounted', () => {
    const { stderr, records, ...found } = persist({
      shell,
      persist: paths,
      disk,
      run: 'keep; umount /var/lib/x; rm /run/immutafs/persisted/*; echo again >&2; keep',
    });
    assert.is(stderr.split('again\n')[1], '');
    assert.equal(records, { 'var=lib=x': kept, 'var=lib=y': kept });
    assert.equal(found.made.toSorted(), made());
  });

  for (const [title, lines, reason] of [
    [
      'has another mode in the store',
      'chmod 777 /data/store/var=lib=x',
      /^STATE=kept\nREASON=.* was reset to /,
    ],
    [
      'has become a symbolic link',
      'rm -r /data/store/var=lib=x; ln -s /etc /data/store/var=lib=x',
      /^STATE=failed\nREASON=.* is a symbolic link\n/,
    ],
    ['is no longer in the store', 'rm -r /data/store/var=lib=x', /^STATE=kept\nREASON=\n/],
  ] as const) {
    test(`a path that ${title} is left to its service, and the other is mounted`, () => {
      const { stderr, records } = persist({
        shell,
        persist: paths,
        disk,
        run: `keep; ${reboot} ${lines}; echo again >&2; keep; findmnt -n -o SOURCE /var/lib/y >&2`,
      });
      const again = stderr.split('again\n')[1] ?? '';
      assert.ok(again.startsWith(restart('var-lib-x')), again);
      assert.match(again, /\[\/store\/var=lib=y\]\n$/);
      assert.match(records['var=lib=x'] ?? '', reason);
      assert.is(records['var=lib=y'], kept);
    });
  }

  test('a path below another one is left to its service, after the outer one', () => {
    const { stderr, ...found } = persist({
      shell,
      persist: `/var/lib/x/in/deep /var/lib/x/in:exec ${paths}`,
      disk: `${disk}; mkdir -p /var/lib/x/in/deep`,
      run: `keep; ${reboot} echo again >&2; keep`,
    });
    const [first, again] = stderr.split('again\n');
    const inner = `${restart('var-lib-x-in')}${restart('var-lib-x-in-deep')}`;
    assert.equal([...(first?.matchAll(/persist@(\S+)\.service/g) ?? [])].map(([, unit]) => unit).toSorted(), [
      'var-lib-x',
      'var-lib-x-in',
      'var-lib-x-in-deep',
      'var-lib-y',
    ]);
    assert.is(again, inner);
    assert.equal(
      found.made,
      made(
        '/var/lib/x/in /store/var=lib=x=in rw,nosuid,nodev',
        '/var/lib/x/in/deep /store/var=lib=x=in=deep rw,nosuid,nodev,noexec',
      ),
    );
  });
});

const failures = suite('mount-persisted: failures');

failures('a store that cannot be used: the service of each path reports it', () => {
  const { stdout, stderr, records, ...found } = persist({
    persist: paths,
    disk,
    data: null,
    run: 'keep; echo $?',
  });
  assert.is(stdout, '0\n', 'each path is a failure of its own');
  assert.equal(found.made, []);
  for (const each of ['x', 'y']) {
    assert.ok(stderr.includes(restart(`var-lib-${each}`)), stderr);
    assert.match(
      records[`var=lib=${each}`] ?? '',
      /^STATE=failed\nREASON=the file system of PERSIST_STORE at \/data is not/,
    );
  }
});

for (const [title, lines] of [
  ['after the second path', insteadOfMakeMounts('exec $0.real "$@" view')],
  ['at the second path', insteadOfMakeMounts('exec $0.real "${@/%\\/var\\/lib\\/y/\\/none}"')],
  ['at the first path', insteadOfMakeMounts('[ -e /run/ran ] && exec $0.real "$@"; : >/run/ran; exit 1')],
] as const) {
  failures(`make-mounts fails ${title} of a boot: each path is mounted once`, () => {
    const { records, ...found } = persist({
      persist: paths,
      disk,
      run: `keep; ${reboot} ${lines}; keep; mv $program.real $program; keep`,
    });
    assert.equal(records, { 'var=lib=x': kept, 'var=lib=y': kept });
    assert.equal(found.made.toSorted(), made());
  });
}
failures('make-mounts cannot run: no path is kept, with a reason', () => {
  const { records, ...found } = persist({
    persist: paths,
    disk,
    run: 'rm /usr/libexec/immutafs/make-mounts; keep',
  });
  assert.equal(found.made, []);
  for (const each of ['x', 'y'])
    assert.match(records[`var=lib=${each}`] ?? '', /^STATE=failed\nREASON=.*not found\nREMEDY=./);
});

/**
 * The clock of the guest is a file over /proc/uptime, so that the load of this machine does not matter: a cp(1) uses
 * the whole limit up, and does not end. The timeout(1) of a service goes by this clock.
 *
 * @param exit the exit code of timeout(1): 124 if the program ended on SIGTERM, 137 if it had to be killed
 */
const slow = (
  exit: number,
) => `mkdir /run/slow; echo 100.00 0.00 >/run/slow/uptime; mount --bind /run/slow/uptime /proc/uptime
  cat >/run/slow/cp <<'SHIM'
#!/bin/sh
/usr/bin/cp "$@"; echo 700.00 0.00 >/run/slow/uptime; exec sleep 600
SHIM
  cat >/run/slow/timeout <<'SHIM'
#!/bin/bash
[ "$1 $2 $4" = "-k 5 systemctl" ] || exec /usr/bin/timeout "$@"
IFS=. read -r start _ </proc/uptime; end=$((start + $3)); shift 3
"$@" & while jobs %% >/dev/null 2>&1; do
  IFS=. read -r now _ </proc/uptime; [ "$now" -lt "$end" ] || { kill $!; wait $!; exit ${exit}; }
  sleep 0.1
done; wait $!
SHIM
  chmod +x /run/slow/cp /run/slow/timeout`;
for (const exit of [124, 137]) {
  failures(
    `one limit for all paths (${exit}): the first one is stopped, the others are not begun, and the next boot keeps all`,
    () => {
      const { stdout, stderr, records, ...found } = persist({
        persist: `${paths} /var/lib/z`,
        disk: `${disk}; mkdir /var/lib/z`,
        run: `${slow(exit)}; (PATH=/run/slow:$PATH; keep; echo $?); umount /proc/uptime; echo again >&2
      cat /run/immutafs/persisted/*; findmnt /var/lib/x; keep`,
      });
      const [code, ...first] = stdout.trimEnd().split('\n');
      assert.is(code, '0');
      assert.equal(
        first.filter((line) => !line.startsWith('REMEDY=')),
        Array.from({ length: 3 }, () => [
          'STATE=failed',
          'REASON=the time for all paths of PERSIST, 600 s, was used up',
        ]).flat(),
      );
      const unit = 'immutafs-persist@var-lib-x.service';
      assert.equal(
        stderr
          .split('again\n')[0]
          ?.split('\n')
          .filter((line) => /^(restart|stop) /.test(line)),
        [`restart ${unit}`, `stop ${unit}`],
      );
      assert.equal(Object.values(records), [kept, kept, kept]);
      assert.is(found.made.length, 3);
    },
  );
}

failures('processes: six in a boot in which the paths are only mounted', () => {
  const { stdout } = persist({
    persist: paths,
    disk,
    run: `keep; ${reboot} first=$(sh -c 'echo $$'); keep; last=$(sh -c 'echo $$'); echo $((last - first - 1))`,
  });
  // sh, cat(1), stat(1), make-mounts, and immutafs-boot for the disks of / and of PERSIST_STORE
  assert.is(stdout, '6\n');
});
failures.run();
