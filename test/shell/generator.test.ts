import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import path from 'node:path';
import { lineProblems } from '../lint/directives.ts';
import { runInBox } from './box.ts';
import { shells } from './shells.ts';

const units = path.join(import.meta.dirname, '../../units');
const bootEnv = (mode: string) => `MODE=${mode}\nREASON=x\nDISKS=\nVAR=overlay\n`;

/** What the generator writes: "file: line; line", sorted. */
function generate(
  shell: readonly [string, ...string[]],
  files: Record<string, string | { linkTo: string }>,
  before = '',
): { code: number | null; written: string[] } {
  const { code, stderr, out } = runInBox({
    shell,
    files: { 'etc/fstab': '', ...files },
    run: `mkdir /generated
      ${before}
      sh /usr/libexec/immutafs/immutafs-generator /generated /generated /generated
      code=$?
      cd /generated
      find . -type l -printf '%P -> %l\\n' | sort >/out/links
      find . -type f | sort | while read -r file; do
        printf '%s: ' "\${file#./}"
        tr '\\n' ';' <"$file" | sed 's/;$//'
        echo
      done >/out/files
      exit $code`,
    scripts: ['immutafs-generator', 'unit-files.sh'].map((name) => path.join(units, name)),
  });
  if (out['files'] === undefined) throw new Error(stderr);
  assert.is(stderr, '');
  const written = ((out['links'] ?? '') + out['files']).split('\n').filter((line) => line !== '');
  for (const line of written) assert.equal(lineProblems(line.replace(/^[^[]*: /, '').split(';')), []);
  return { code, written };
}

const mount = (name: string, kind = 'var') =>
  `${name}.mount.d/immutafs.conf: [Unit];Wants=immutafs-${kind}@${name}.service;After=immutafs-${kind}@${name}.service`;
const service = (name: string, more: string, kind = 'var') =>
  `immutafs-${kind}@${name}.service.d/immutafs.conf: [Unit];Before=${name}.mount${more}`;
const device = (unit: string) => `;Wants=${unit};After=${unit}`;
/** What lets a mount stay through a soft reboot, and at shutdown to systemd-shutdown(8). */
const kept = (name: string) => `${name}.mount.d/immutafs.conf: [Unit];DefaultDependencies=no`;
const somethingThere = 'mkdir -p /var; mount -t tmpfs x /var';
const overlayThere = `mkdir -p /var /layers; mount -t tmpfs x /layers; mkdir /layers/lower /layers/upper /layers/work
  mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x /var`;

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator`);

  generator('a /var and folders below it with file systems of their own', () => {
    const { code, written } = generate(shell, {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': [
        '# comment',
        'UUID=1 / xfs ro 0 0',
        'UUID=a-b /var xfs defaults 0 0',
        '/dev/mapper/rhel-log /var/log xfs defaults 0 0',
        '/dev/vdb1 /var/lib/images ext4 noatime,noauto 0 0',
        'server:/x /var/nfs nfs defaults 0 0',
        'tmpfs /var/tmp tmpfs defaults 0 0',
        'LABEL=x /variable ext4 defaults 0 0',
        'LABEL=y /data vfat defaults 0 0',
        'LABEL=z none swap sw 0 0',
        '',
      ].join('\n'),
    });
    assert.is(code, 0);
    assert.equal(written, [
      service('variable', device('dev-disk-by\\x2dlabel-x.device'), 'mount'),
      service('var-log', `;RequiresMountsFor=/var${device('dev-mapper-rhel\\x2dlog.device')}`),
      service('var', device('dev-disk-by\\x2duuid-a\\x2db.device')),
      kept('run-var'),
      mount('var-log'),
      mount('var'),
      mount('variable', 'mount'),
    ]);
  });

  for (const [disks, line] of [
    ['vda:0:none', 'ExecStartPost=/bin/mount -o remount,rw /'],
    ['vda:1:flag', undefined],
  ] as const) {
    generator(`maintenance with ${disks}: what is \`ro\` ${line ? 'becomes writable' : 'stays so'}`, () => {
      const { written } = generate(shell, {
        'run/immutafs/boot.env': `MODE=maintenance\nDISKS=${disks}\n`,
        'etc/fstab': [
          'UUID=1 / xfs defaults,ro 0 0',
          'UUID=2 /boot ext4 nosuid,ro,nodev 0 0',
          'UUID=3 /home xfs defaults 0 0',
          '/dev/sr0 /media iso9660 ro 0 0',
          '',
        ].join('\n'),
      });
      const expected = [
        'boot.mount.d/immutafs.conf: [Mount];Options=nosuid,rw,nodev',
        `systemd-remount-fs.service.d/immutafs.conf: [Service];${line ?? ''}`,
      ];
      assert.equal(written, line === undefined ? [] : expected);
    });
  }

  generator('a last line without its newline', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 / xfs ro 0 0\n/dev/vdb1 /var/log xfs defaults 0 0',
    };
    const { written } = generate(shell, files, somethingThere);
    assert.equal(written, [
      service('var-log', `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      kept('run-var'),
      mount('var-log'),
    ]);
  });

  generator('names of units are as systemd-escape(1) makes them', () => {
    const targets = [
      '/a-b/c_d',
      '/a.b/.c',
      '/x:y',
      '/--',
      '/\xc3\xa4/b',
      '/a/b-',
      '/A9/-b/c-d-e',
      '/q\\040r',
      '/_',
    ];
    const { written } = generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv('sealed'),
        'etc/fstab': targets.map((target) => `/dev/vdb1 ${target} ext4 defaults 0 0\n`).join(''),
      },
      somethingThere,
    );
    const expected = targets.map((target) => {
      const name = Buffer.from(target.replace('\\040', ' '), 'latin1').toString('utf8');
      return execFileSync('systemd-escape', ['--path', name], { encoding: 'utf8' }).trimEnd();
    });
    const got = written
      .filter((line) => line !== kept('run-var'))
      .flatMap((line) => /^(.*)\.mount\.d\//.exec(line)?.[1] ?? []);
    assert.equal(got.sort(), expected.sort());
  });

  generator('what the initramfs mounted stays through a soft reboot', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed') };
    const { written } = generate(shell, files, overlayThere);
    assert.equal(written, [kept('run-immutafs-lower'), kept('run-var'), kept('var')]);
    assert.equal(generate(shell, files, somethingThere).written, [kept('run-var')]);
  });

  for (const [title, before, files] of [
    ['/.autorelabel', `${somethingThere}; touch /.autorelabel`, {}],
    ['the kernel argument', somethingThere, { 'proc/cmdline': 'ro autorelabel=1\n' }],
  ] as const) {
    generator(`${title}: a sealed boot sets no labels and goes on, one in maintenance sets them`, () => {
      const nothing = '[Service];ExecStart=;ExecStart=/bin/true;StandardInput=null';
      const written = (mode: string) =>
        generate(shell, { 'run/immutafs/boot.env': bootEnv(mode), ...files }, before).written;
      assert.equal(written('sealed'), [
        `rhel-autorelabel.service.d/immutafs.conf: ${nothing}`,
        kept('run-var'),
        `selinux-autorelabel.service.d/immutafs.conf: ${nothing}`,
        'selinux-autorelabel.target.d/immutafs.conf: [Unit];Wants=multi-user.target',
      ]);
      assert.equal(written('maintenance'), []);
    });
  }

  generator('what the initramfs mounted beside /var needs nothing', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 /boot ext4 ro 0 0\nUUID=2 /boot2 ext4 ro 0 0\n',
    };
    const { written } = generate(shell, files, `${somethingThere}; mkdir -p /boot; mount -t tmpfs x /boot`);
    assert.equal(written, [
      mount('boot2', 'mount'),
      service('boot2', device('dev-disk-by\\x2duuid-2.device'), 'mount'),
      kept('run-var'),
    ]);
  });

  generator('what is bound for lvm stays until nothing needs it any more', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed'), 'etc/lvm/lvmlocal.conf': '' };
    const bind = 'mount --bind /etc/lvm/lvmlocal.conf /etc/lvm/lvmlocal.conf';
    const { written } = generate(shell, files, `${somethingThere}; ${bind}`);
    assert.equal(written, [kept('etc-lvm-lvmlocal.conf'), kept('run-var')]);
    assert.equal(generate(shell, files, somethingThere).written, [kept('run-var')]);
  });

  const ownVar = [
    service('var', ''),
    'local-fs.target.d/immutafs.conf: [Unit];Wants=var.mount immutafs-var@var.service',
    kept('run-var'),
    'var.mount: [Unit];Before=local-fs.target;[Mount];What=/var;Where=/var;Type=none;Options=bind',
    mount('var'),
  ];
  const otherVar = [service('var', ''), kept('run-var'), mount('var')];
  const unit = 'etc/systemd/system/var.mount';
  for (const [title, files, expected] of [
    ["without the hook: a unit for the root's own /var", {}, ownVar],
    ['likewise where a unit of the administrator is masked', { [unit]: { linkTo: '/dev/null' } }, ownVar],
    [
      "a unit of the administrator's: the service will say what it thinks of it",
      { [unit]: '[Mount]\n' },
      otherVar,
    ],
    ['a /var over the network: likewise', { 'etc/fstab': 'server:/x /var nfs defaults 0 0\n' }, otherVar],
    [
      'noauto does not keep systemd from mounting /var',
      { 'etc/fstab': '/dev/vdb1 //var/ xfs noauto 0 0\n' },
      [service('var', device('dev-vdb1.device')), kept('run-var'), mount('var')],
    ],
  ] as const) {
    generator(title, () => {
      const { written } = generate(shell, { 'proc/cmdline': 'immutafs=sealed\n', ...files });
      assert.equal(written, expected);
    });
  }

  for (const mode of ['maintenance', 'off']) {
    generator(`nothing in ${mode}`, () => {
      const files = { 'run/immutafs/boot.env': bootEnv(mode), 'etc/fstab': '/dev/vdb1 /var xfs x 0 0\n' };
      assert.equal(generate(shell, files), { code: 0, written: [] });
    });
  }

  generator('quotes and escapes in what names a disk', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'LABEL="varfs" /var/a xfs x 0 0\nLABEL=my\\040logs /var/b xfs x 0 0\n',
    };
    const { written } = generate(shell, files, somethingThere);
    assert.equal(written, [
      service('var-a', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-varfs.device')}`),
      service('var-b', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-my\\x5cx20logs.device')}`),
      kept('run-var'),
      mount('var-a'),
      mount('var-b'),
    ]);
  });

  generator('a space in a path', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': '/dev/vdb1 /var/my\\040logs xfs x 0 0\n',
    };
    const { written } = generate(shell, files, somethingThere);
    const escaped = 'var-my\\x20logs';
    assert.equal(written, [
      service(escaped, `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      kept('run-var'),
      mount(escaped),
    ]);
  });
  generator.run();
}
