import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, file, handoff, mount, uptime, without } from '../../harness/changes.ts';
import { cdromInfo } from '../../harness/disk-scenarios.ts';
import { asUser, findingOf, inEach, lastReportOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex');
const copied = { 'meta-data': 'instance-id: a\n', 'user-data': '#cloud-config\n\xff' };
const checksum = sha256(
  Object.entries(copied)
    .map(([name, text]) => `${sha256(text)}  ${name}\n`)
    .join(''),
);
const copy = all(
  ...Object.entries(copied).map(([name, text]) => file(`run/immutafs/seed/nocloud/${name}`, text)),
);
const result = (datasource: string | null, errors: string[] = []): Change =>
  all(
    file('run/cloud-init/result.json', { linkTo: '../../var/lib/cloud/data/result.json' }),
    file('var/lib/cloud/data/result.json', JSON.stringify({ v1: { datasource, errors } })),
  );
const noCloud = 'DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud]';

const cdrom: Change = (guest) => {
  guest.devices.push({ name: 'sr0', device: '11:0', bus: 'ata', vendor: 'QEMU' });
  guest.files['proc/sys/dev/cdrom/info'] = cdromInfo('sr0');
};
const view = mount('view', '253:0 / /run/immutafs/root ro,relatime - xfs /dev/mapper/rhel-root ro');
const etc = (options: string): Change =>
  mount(
    'etc',
    `0:50 / /etc ${options},nosuid,nodev - overlay immutafs ${options},lowerdir=/run/immutafs/root/etc,upperdir=/run/var/below/etc/upper,workdir=/run/var/below/etc/work`,
  );

const unit = 'usr/lib/systemd/system/cloud-init.service';
const condition = '[Unit]\nAfter=immutafs-seed.service\nConditionPathExists=/run/immutafs/seed/ready\n';
const installed = all(
  file(unit, '[Service]\n'),
  file('run/systemd/generator/cloud-init.service.d/immutafs.conf', condition),
);

const record = (SEED: string | undefined, more: Record<string, string> = {}): Change =>
  handoff({ SEED, ...more });
const host = config('SEED=host\n');
const seeded = (SEED: string | undefined, more?: Record<string, string>): Change =>
  all(host, view, etc('ro'), installed, record(SEED, more));
const accepted = `accepted sr0 ${checksum} sr0:1:cd-rom`;
/** A guest with the identity of the host's seed. */
const genuine = all(seeded(accepted), cdrom, copy, result(noCloud));
/** The same without cloud-init. */
const web1 = 'web1\n';
const plainChecksum = sha256(
  [...Object.entries(copied), ['hostname', web1]]
    .map(([name = '', text = '']) => `${sha256(text)}  ${name}\n`)
    .join(''),
);
const plain = all(
  ...[host, view, etc('ro'), cdrom, copy, record(`accepted sr0 ${plainChecksum} sr0:1:cd-rom`)],
  file('run/immutafs/seed/files/hostname', web1),
  file('run/immutafs/seed/applied', `${sha256(web1)}  /etc/hostname\n`),
  file('etc/hostname', web1),
);
/** A private host key, in the file of the guest, and in the text of a seed. */
const key = (text: string) => `-----BEGIN KEY-----\n${text}\n-----END KEY-----\n`;
const [ours, other] = [key('b3VyIG93bg=='), key('b3RoZXI=')];
/** The seed of a guest with cloud-init whose user data is `userData`. */
const withUserData = (userData: string): Change => {
  const files = { ...copied, 'user-data': userData };
  const sums = Object.entries(files).map(([name, text]) => `${sha256(text)}  ${name}\n`);
  return all(
    ...[genuine, record(`accepted sr0 ${sha256(sums.join(''))} sr0:1:cd-rom`)],
    file('run/immutafs/seed/nocloud/user-data', userData),
    file('etc/ssh/ssh_host_ed25519_key', ours),
  );
};
const yaml = `#cloud-config\nssh_keys:\n  ed25519_private: |\n    ${ours.trimEnd().replaceAll('\n', '\n    ')}\n`;
const json = `#cloud-config\n${JSON.stringify({ ssh_keys: { ed25519_private: ours } }, undefined, 1)}`;
const rsa = file('etc/ssh/ssh_host_rsa_key', other);
/** A CD with a seed. */
const second = (label: string): Change =>
  all(
    (guest) => {
      guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true });
    },
    file('run/udev/data/b252:32', `E:ID_FS_LABEL_ENC=${label}\nE:ID_FS_TYPE=iso9660\n`),
  );
/** The plain seed with a host key. */
const plainKey = all(
  ...[plain, file('run/immutafs/seed/files/ssh_host_ed25519_key', ours)],
  record(
    `accepted sr0 ${sha256(
      [...Object.entries(copied), ['hostname', web1], ['ssh_host_ed25519_key', ours]]
        .map(([name = '', text = '']) => `${sha256(text)}  ${name}\n`)
        .join(''),
    )} sr0:1:cd-rom`,
  ),
  file('etc/ssh/ssh_host_ed25519_key', ours),
);
const late = uptime(600);
const begins = file('run/immutafs/seed/ready', '');
testChanges(
  'seed-genuine',
  {
    'a host key of the seed, as YAML': [withUserData(yaml), 'pass'],
    'a host key of the seed, as JSON': [withUserData(json), 'pass'],
    'a further host key beside that of the seed': [
      all(withUserData(json), rsa),
      /^fail: SSH host keys that are not those of the seed: \/etc\/ssh\/ssh_host_rsa_key$/,
    ],
    'another host key in place of that of the seed': [
      all(withUserData(yaml), file('etc/ssh/ssh_host_ed25519_key', other)),
      /^fail: SSH host keys that are not those of the seed: \/etc\/ssh\/ssh_host_ed25519_key$/,
    ],
    'a seed without host keys': [
      all(genuine, rsa),
      /^warn: sr0 .*; not in the seed, and so new at every boot: \/etc\/ssh\/ssh_host_rsa_key$/,
    ],
    'without cloud-init: a host key of the seed': [plainKey, 'pass'],
    'without cloud-init: a further host key': [
      all(plainKey, rsa),
      /^fail: SSH host keys that are not those of the seed: \/etc\/ssh\/ssh_host_rsa_key$/,
    ],
    'without cloud-init: a seed without host keys': [all(plain, rsa), /^warn: .*ssh_host_rsa_key$/],
    'a second seed of the host appeared': [
      all(genuine, second('CIDATA')),
      /^fail: vdc also has a seed, which appeared after that on sr0 was used$/,
    ],
    'a further disk of the host without a seed': [all(genuine, second('data')), 'pass'],
    'only a part of the seed was applied': [
      seeded('incomplete cp failed'),
      /^fail: only a part of the seed was applied: cp failed$/,
    ],
    'only a part of the seed was applied, and /etc is writable': [
      all(seeded('incomplete cp failed'), etc('rw')),
      /^fail: only a part of the seed was applied: cp failed: \/etc is still writable$/,
    ],
    'cloud-init ran, and only a part of the seed was applied': [
      all(seeded('incomplete cloud-init did not finish in time'), result(noCloud)),
      { 'seed-genuine': 'fail', 'provisioning-off': 'pass' },
    ],
    'the seed of the host on a CD': [
      genuine,
      new RegExp(`^pass: sr0 \\(CD-ROM drive of the hypervisor, .*\\), SHA-256 ${checksum}$`),
    ],
    'the seed on a disk that the host made read-only': [
      all(seeded(`accepted vda ${checksum} vda:1:virtio-feature`), copy, result(`${noCloud}[dsmode=net]`)),
      /^pass: vda \(virtio feature VIRTIO_BLK_F_RO offered by the host\)/,
    ],
    'a forged seed was ignored': [
      all(genuine, record(accepted, { SEED_IGNORED: 'vdb vdb:0:none' })),
      /^pass: .*; the boot did not read the seed on vdb, which the host did not make read-only$/,
    ],
    'the CD was removed since the boot': [
      all(seeded(accepted), copy, result(noCloud)),
      /^pass: sr0 \(removed since the boot\)/,
    ],
    'cloud-init reports errors': [
      all(genuine, result(noCloud, ['no module x'])),
      /^warn: .*cloud-init reports: no module x/,
    ],
    'the boot did not look': [all(seeded(undefined), late), /^fail: the boot did not look for a seed/],
    'the boot has not looked yet': [seeded(undefined), /^fail: the boot has not looked for a seed yet$/],
    'the boot did not finish': [all(seeded('begun'), late), /^fail: .*did not finish/],
    'the boot looks': [seeded('begun'), /^fail: the boot looks for a seed, for at most 180 s$/],
    'the boot looks, with another limit': [
      all(seeded('begun'), config('SEED=host\nSEED_TIMEOUT=1\n'), uptime(200)),
      /^fail: .*did not finish/,
    ],
    'the search was killed': [
      seeded('refused the search for a seed was killed before it was complete'),
      /^fail: the search for a seed was killed before it was complete$/,
    ],
    'no seed': [seeded('none'), /^fail: no device with the label cidata/],
    'no seed, and a forged one': [
      seeded('none', { SEED_IGNORED: 'vdb vdb:0:none' }),
      /^fail: no device .*; the boot did not read the seed on vdb,/,
    ],
    'two seeds': [seeded('refused several devices: sr0 vdc'), /^fail: the seed is not used: several devices/],
    'no seed, and cloud-init ran': [
      all(seeded('none'), result('DataSourceNone')),
      { 'seed-genuine': 'fail', 'provisioning-off': 'fail' },
    ],
    'a unit of cloud-init that is not bound to the seed': [
      all(genuine, file('run/systemd/generator/cloud-init.service.d/immutafs.conf', '[Unit]\n')),
      { 'provisioning-off': 'fail: cloud-init.service can run', 'seed-genuine': 'pass' },
    ],
    'the record names a writable disk': [
      all(seeded(`accepted vdb ${checksum} vdb:1:virtio-feature`), copy, result(noCloud)),
      /^fail: the host did not make vdb read-only: virtio feature VIRTIO_BLK_F_RO not offered/,
    ],
    'the copy was changed': [
      all(genuine, file('run/immutafs/seed/nocloud/user-data', 'x')),
      /^fail: the copy of the seed was changed/,
    ],
    'the copy was removed': [seeded(accepted), cdrom, result(noCloud), /^fail: the copy .* changed/],
    'cloud-init has not finished': [seeded(accepted), cdrom, copy, /^fail: cloud-init has not finished/],
    'without cloud-init: the plain files of the seed': [plain, 'pass'],
    'without cloud-init: a file was changed': [
      all(plain, file('etc/hostname', 'x\n')),
      /^fail: not as in the seed: \/etc\/hostname$/,
    ],
    'without cloud-init: a file was removed': [plain, file('etc/hostname', undefined), 'fail'],
    'without cloud-init: /etc is writable': [plain, etc('rw'), 'fail: /etc is still writable'],
    ...inEach(
      [
        'DataSourceEc2',
        'DataSourceNoCloud [seed=/dev/vdb][dsmode=net]',
        'DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud,/dev/vdb]',
        'DataSourceNoCloud [seed=cmdline,/var/lib/cloud/seed/nocloud]',
        'DataSourceNoCloudNet [seed=/var/lib/cloud/seed/nocloud,http://192.0.2.1/][dsmode=net]',
        `DataSourceX ${noCloud}`,
      ],
      (each) => [genuine, result(each), /^fail: cloud-init used another data source/],
    ),
    'no data source': [genuine, result(null), /^fail: cloud-init used another data source/],
    'the result is damaged': [
      all(genuine, file('run/cloud-init/result.json', '{')),
      'error: /run/cloud-init/result.json',
    ],
    'the result has another shape': [
      all(genuine, file('run/cloud-init/result.json', '{"v1":{"datasource":7,"errors":[]}}')),
      'error: result.json: v1.datasource is missing or invalid',
    ],
    '/etc is writable': [genuine, etc('rw'), 'fail: /etc is still writable'],
    '/etc has no overlay': [
      all(genuine, without('etc')),
      { 'overlay-paths': 'fail: /etc: ', 'seed-genuine': 'pass' },
    ],
  },
  { 'overlay-paths': 'pass' },
);
testChanges('SEED=none', { 'nothing changes': [config('SEED=none\n'), {}] });
testFindings('seed-genuine', { maintenance: [host, 'skip'] }, { guest: maintenanceGuest });

const others = suite('seed-genuine');
others('a user who may not read the copy', async () => {
  const changed = all(genuine, file('run/immutafs/seed/nocloud/user-data', 'x'));
  const change = all(changed, await lastReportOf(changed));
  const { status, observed } = await findingOf('seed-genuine', change, { as: asUser });
  assert.is(status, 'pass', observed);
});
for (const [title, change, isWaiting] of [
  ['the boot has not looked yet', seeded(undefined), true],
  ['the boot did not look', all(seeded(undefined), late), false],
  ['the boot looks', seeded('begun'), true],
  ['the boot did not finish', all(seeded('begun'), late), false],
  ['the search was killed', seeded('refused the search for a seed was killed before it was complete'), false],
  ['cloud-init has not finished', all(seeded(accepted), cdrom, copy, begins), true],
  ['cloud-init did not finish', all(seeded(accepted), cdrom, copy), false],
  ['/etc is not read-only yet', all(genuine, etc('rw'), begins), true],
  ['/etc is not read-only', all(genuine, etc('rw')), false],
] as const) {
  others(`${title}: the remedy is ${isWaiting ? '' : 'not '}to wait`, async () => {
    const { status, remedy } = await findingOf('seed-genuine', change);
    assert.equal([status, /^Wait /.test(remedy)], ['fail', isWaiting]);
  });
}
others.run();
