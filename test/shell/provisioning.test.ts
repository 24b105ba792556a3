import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generatorScripts } from './generator.ts';
import { runInSandbox } from './sandbox.ts';
import { shells } from './shells.ts';

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

for (const [name, shell] of Object.entries(shells)) {
  const provisioning = suite(`${name}: provisioning`);

  /**
   * Returns the units that the generator masks with empty files in the directory of early priority (systemd.unit(5)).
   */
  function maskedUnits(mode: string, names: readonly string[]): string[] {
    const { stderr, out } = runInSandbox({
      shell,
      files: {
        'etc/fstab': '',
        'run/immutafs/boot.env': `MODE=${mode}\nREASON=x\nDISKS=\nVAR=overlay\n`,
        ...Object.fromEntries(
          names.map((unit) => [`${folder}/${unit}`, '[Service]\nExecStart=/bin/false\n']),
        ),
      },
      scripts: generatorScripts,
      run: `mkdir -p /normal /early /late /var; mount -t tmpfs x /var
        sh /usr/libexec/immutafs/immutafs-generator /normal /early /late
        cd /early && find . -type f -empty -printf '%P\\n' | sort >/out/masked`,
    });
    assert.is(stderr, '');
    return (out['masked'] ?? '').split('\n').filter((line) => line !== '');
  }

  for (const [title, names] of Object.entries(installed)) {
    provisioning(`a sealed boot masks ${title}`, () => {
      assert.equal(maskedUnits('sealed', names), [...names].sort());
    });
  }
  provisioning('maintenance masks nothing', () => {
    assert.equal(maskedUnits('maintenance', installed['cloud-init 24.4']), []);
  });
  provisioning.run();
}
