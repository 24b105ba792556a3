import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generate, overlayAtVar } from '../../../harness/generator.ts';
import { provisioningUnits } from '../../../../agent/facts/boot/provisioning-units.ts';

const folder = 'usr/lib/systemd/system';

/** cloud-init of RHEL 7 to 9.4, of RHEL 9.5 and later, and Afterburn, each as its package installs it. */
const installed = {
  'cloud-init 19.4': [
    'cloud-init-local.service',
    'cloud-init.service',
    'cloud-config.service',
    'cloud-final.service',
  ],
  'cloud-init 24.4': [
    ...['cloud-init-main.service', 'cloud-init-local.service', 'cloud-init-network.service'],
    ...['cloud-config.service', 'cloud-final.service'],
    ...['cloud-init-hotplugd.service', 'cloud-init-hotplugd.socket'],
  ],
  afterburn: [
    ...['afterburn.service', 'afterburn-checkin.service', 'afterburn-firstboot-checkin.service'],
    ...['afterburn-hostname.service', 'afterburn-sshkeys@.service'],
  ],
  nothing: [],
};

const test = suite('provisioning');
/**
 * Returns the units that the generator masks with empty files of early priority (systemd.unit(5)), and its drop-ins for units
 * of cloud-init and sshd, and for multi-user.target.
 */
function provision(
  mode: string,
  names: readonly string[],
  config = '',
): Record<'masked' | 'dropins', string[]> {
  const files = Object.fromEntries(
    names.map((unit) => [`${folder}/${unit}`, '[Service]\nExecStart=/bin/false\n']),
  );
  const found = generate({ mode, config, files });
  return {
    masked: found.filter((line) => line.endsWith(': ')).map((line) => line.slice(0, -2)),
    dropins: found
      .filter((line) => /^(?:cloud-|multi-user\.target\.d|sshd)[^:]*: ./.test(line))
      .map((line) => `${line.replace(/\.d\/immutafs\.conf/, '')};`),
  };
}
const maskedUnits = (mode: string, names: readonly string[]) => provision(mode, names).masked;

for (const [title, names] of Object.entries(installed)) {
  test(`a sealed boot masks ${title}`, () => {
    assert.equal(maskedUnits('sealed', names), [...names].sort());
  });
}
// One list for the generator, one for the check provisioning-off.
test('a sealed boot masks every unit that the agent looks for', () => {
  assert.equal(maskedUnits('sealed', provisioningUnits), provisioningUnits.toSorted());
});
test('maintenance masks nothing', () => {
  assert.equal(maskedUnits('maintenance', installed['cloud-init 24.4']), []);
});

const later = installed['cloud-init 24.4'];
const isHotplug = (unit: string) => unit.includes('hotplug');
test('SEED=host: cloud-init starts only with the copy of the seed; the rest is masked', () => {
  const units = [...later, ...installed.afterburn, 'cloud-init.target'];
  const { masked, dropins } = provision('sealed', units, 'SEED=host\n');
  assert.equal(masked, [...installed.afterburn, ...later.filter(isHotplug)].sort());
  const condition = '[Unit];After=immutafs-seed.service;ConditionPathExists=/run/immutafs/seed/ready;';
  assert.equal(dropins, [
    ...later
      .filter((unit) => !isHotplug(unit))
      .toSorted()
      .map((unit) => `${unit}: ${condition}`),
    'multi-user.target: [Unit];Wants=immutafs-seed.service;Wants=immutafs-seed-finish.service;Wants=cloud-init.target;',
  ]);
});
test('IDENTITY=host: a sealed boot requests a certificate', () => {
  const wants = ['service', 'timer', 'path'].map((kind) => `Wants=immutafs-identity.${kind}`);
  const dropins = (mode: string, config: string) => provision(mode, [], config).dropins;
  assert.equal(dropins('sealed', 'IDENTITY=host\n'), [`multi-user.target: [Unit];${wants.join(';')};`]);
  for (const [mode, config] of [
    ['maintenance', 'IDENTITY=host\n'],
    ['off', 'IDENTITY=host\n'],
    ['sealed', 'IDENTITY=none\n'],
    ['sealed', ''],
  ] as const)
    assert.equal(dropins(mode, config), []);
});
test('SEED=host without cloud-init: the boot looks for the seed', () => {
  assert.equal(provision('sealed', [], 'SEED=host\n').dropins, [
    'multi-user.target: [Unit];Wants=immutafs-seed.service;Wants=immutafs-seed-finish.service;',
  ]);
});
for (const mode of ['maintenance', 'off'] as const) {
  test(`SEED=host, ${mode}: cloud-init is masked, so that it does not change the disk`, () => {
    const { masked, dropins } = provision(mode, later, 'SEED=host\n');
    assert.equal(masked, later.filter((unit) => !isHotplug(unit)).toSorted());
    assert.equal(dropins, []);
    assert.equal(provision(mode, later), { masked: [], dropins: [] });
  });
}
test('SEED=host in maintenance: sshd generates its keys, which cloud-init would do otherwise', () => {
  const units = [...later, 'sshd-keygen@.service'];
  const lines = '[Unit];ConditionPathExists=;ConditionFileNotEmpty=|!/etc/ssh/ssh_host_%i_key;';
  assert.equal(provision('maintenance', units, 'SEED=host\n').dropins, [`sshd-keygen@.service: ${lines}`]);
  assert.equal(provision('maintenance', units).dropins, []);
});
test('SEED=host in a sealed boot: sshd generates keys only if there is none, after cloud-init', () => {
  const units = ['sshd-keygen.service', 'sshd-keygen@.service'];
  const lines =
    '[Unit];After=immutafs-seed.service;After=cloud-init.service;After=cloud-init-network.service;ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key;';
  const written = (mode: string, names: readonly string[], config: string) =>
    provision(mode, names, config).dropins.filter((line) => line.startsWith('sshd'));
  for (const unit of units) assert.equal(written('sealed', [unit], 'SEED=host\n'), [`${unit}: ${lines}`]);
  assert.equal(written('sealed', units, ''), []);
  assert.equal(written('off', units, 'SEED=host\n').join().includes('Glob'), false);
  assert.equal(written('maintenance', units, 'SEED=host\n').join().includes('Glob'), false);
});
test.run();

const ofRehearsal = suite('units of a rehearsal');
const units = (record: string, mode = 'sealed') =>
  generate({ mode, record, mounts: overlayAtVar }).filter((line) => line.includes('rehearsal'));

ofRehearsal('a timer with the limit, which no other unit can delay, and the recorder', () =>
  assert.equal(units('REHEARSAL=90\n'), [
    'immutafs-rehearsal-limit.timer: [Unit];Description=End the rehearsal of a sealed boot;DefaultDependencies=no;IgnoreOnIsolate=yes;[Timer];OnBootSec=90;AccuracySec=1s;Unit=immutafs-rehearsal-limit.service',
    'multi-user.target.wants/immutafs-rehearsal.service -> /usr/lib/systemd/system/immutafs-rehearsal.service',
    'sysinit.target.wants/immutafs-rehearsal-limit.timer -> ../immutafs-rehearsal-limit.timer',
  ]),
);

ofRehearsal('none in another sealed boot, in maintenance, or with an invalid limit', () => {
  assert.equal(units(''), []);
  assert.equal(units('REHEARSAL=1 OnBootSec=2\n'), []);
  assert.equal(units('REHEARSAL=90\n', 'maintenance'), []);
});
ofRehearsal.run();
