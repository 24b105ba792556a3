import * as assert from 'uvu/assert';
import { generatorScripts } from './generator.ts';
import { runInSandbox } from './sandbox.ts';
import { inShells } from './shells.ts';
import { provisioningUnits } from '../../agent/facts/boot/provisioning.ts';

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

inShells('provisioning', (test, shell) => {
  /**
   * Returns the units that the generator masks with empty files in the directory of early priority (systemd.unit(5)), and
   * its drop-ins for units of cloud-init and sshd, and for multi-user.target.
   */
  function generate(
    mode: string,
    names: readonly string[],
    config = '',
  ): Record<'masked' | 'dropins', string[]> {
    const { stderr, out } = runInSandbox({
      shell,
      files: {
        'etc/fstab': '',
        'etc/immutafs/immutafs.conf': config,
        'run/immutafs/boot.env': `MODE=${mode}\nREASON=x\nDISKS=\nVAR=overlay\n`,
        ...Object.fromEntries(
          names.map((unit) => [`${folder}/${unit}`, '[Service]\nExecStart=/bin/false\n']),
        ),
      },
      scripts: generatorScripts,
      run: `mkdir -p /normal /early /late /var; mount -t tmpfs x /var
        sh /usr/libexec/immutafs/immutafs-generator /normal /early /late
        (cd /early && find . -type f -empty -printf '%P\\n' | sort >/out/masked)
        cd /normal && for file in cloud-*.d/* multi-user.target.d/* sshd*.d/*; do
          [ ! -f "$file" ] || { printf '%s: ' "\${file%.d/*}"; tr '\\n' ';' <"$file"; echo; }
        done >/out/dropins`,
    });
    assert.is(stderr, '');
    const lines = (text = '') => text.split('\n').filter((line) => line !== '');
    return { masked: lines(out['masked']), dropins: lines(out['dropins']) };
  }
  const maskedUnits = (mode: string, names: readonly string[]) => generate(mode, names).masked;

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
    const { masked, dropins } = generate('sealed', units, 'SEED=host\n');
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
  test('SEED=host without cloud-init: the boot looks for the seed', () => {
    assert.equal(generate('sealed', [], 'SEED=host\n').dropins, [
      'multi-user.target: [Unit];Wants=immutafs-seed.service;Wants=immutafs-seed-finish.service;',
    ]);
  });
  for (const mode of ['maintenance', 'off'] as const) {
    test(`SEED=host, ${mode}: cloud-init is masked, so that it does not change the disk`, () => {
      const { masked, dropins } = generate(mode, later, 'SEED=host\n');
      assert.equal(masked, later.filter((unit) => !isHotplug(unit)).toSorted());
      assert.equal(dropins, []);
      assert.equal(generate(mode, later), { masked: [], dropins: [] });
    });
  }
  test('SEED=host in maintenance: sshd generates its keys, which cloud-init would do otherwise', () => {
    const units = [...later, 'sshd-keygen@.service'];
    const lines = '[Unit];ConditionPathExists=;ConditionFileNotEmpty=|!/etc/ssh/ssh_host_%i_key;';
    assert.equal(generate('maintenance', units, 'SEED=host\n').dropins, [`sshd-keygen@.service: ${lines}`]);
    assert.equal(generate('maintenance', units).dropins, []);
  });
  test('SEED=host in a sealed boot: sshd generates keys only if there is none, after cloud-init', () => {
    const units = ['sshd-keygen.service', 'sshd-keygen@.service'];
    const lines =
      '[Unit];After=immutafs-seed.service;After=cloud-init.service;After=cloud-init-network.service;ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key;';
    const written = (mode: string, names: readonly string[], config: string) =>
      generate(mode, names, config).dropins.filter((line) => line.startsWith('sshd'));
    for (const unit of units) assert.equal(written('sealed', [unit], 'SEED=host\n'), [`${unit}: ${lines}`]);
    assert.equal(written('sealed', units, ''), []);
    assert.equal(written('off', units, 'SEED=host\n').join().includes('Glob'), false);
    assert.equal(written('maintenance', units, 'SEED=host\n').join().includes('Glob'), false);
  });
});
