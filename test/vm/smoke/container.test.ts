/** Tests in a container with a systemd of its own. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInContainer } from '../harness/container.ts';
import { keyGenerator } from '../harness/key-generator.ts';

const containers = suite('a system container');

/** Prints the types of the host keys after sshd-keygen.service of RHEL 7 was started with only an ed25519 key. */
const generate = (seed: string) => `
  echo SEED=${seed} >/etc/immutafs/immutafs.conf
  mkdir -p /run/immutafs
  printf 'MODE=sealed\\nREASON=x\\nDISKS=\\nVAR=overlay\\n' >/run/immutafs/boot.env
  rm -f /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key*
  systemctl daemon-reload
  systemctl restart sshd-keygen.service
  echo $(ls /etc/ssh | grep 'key$')`;

const script = `
  sha256sum /etc/ssh/ssh_host_* /etc/machine-id >/run/before
  immutafs-agent prepare --image --apply --yes >/out/refused 2>&1; echo $? >/out/code
  sha256sum --check --quiet /run/before >/out/kept 2>&1; echo $? >>/out/kept
  cat >/usr/lib/systemd/system/sshd-keygen.service <<'END'
${keyGenerator}
END
  { ${generate('host')}; rm -f /etc/ssh/ssh_host_*; ${generate('host')}; } >/out/seeded
  { ${generate('none')}; } >/out/unseeded`;

containers('prepare --image, and the keys that sshd generates with a seed', async () => {
  const { code, refused, kept, seeded, unseeded, log } = await runInContainer(script, []);
  assert.is(code, '2\n', log);
  assert.match(refused ?? '', /systemd runs in this container/);
  assert.is(kept, '0\n', 'the host keys and the machine ID are unchanged');
  // Without any key, the generator runs, in the second case.
  const all = 'ssh_host_ecdsa_key ssh_host_ed25519_key ssh_host_rsa_key\n';
  assert.is(seeded, `ssh_host_ed25519_key\n${all}`, log);
  assert.is(unseeded, all, log);
});

containers.run();
