import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** sshd-keygen.service of RHEL 7 (openssh 7.4), with the program of Debian. */
export const keyGenerator = `[Unit]
Description=OpenSSH Server Key Generation
ConditionFileNotEmpty=|!/etc/ssh/ssh_host_rsa_key
ConditionFileNotEmpty=|!/etc/ssh/ssh_host_ecdsa_key
ConditionFileNotEmpty=|!/etc/ssh/ssh_host_ed25519_key
PartOf=ssh.service
Before=ssh.service

[Service]
ExecStart=/usr/bin/ssh-keygen -A
Type=oneshot
RemainAfterExit=yes
`;

/** Makes the guest whose root is mounted generate missing SSH host keys at every boot, as RHEL does. */
export async function generateMissingKeys(root: string, wantedBy: string): Promise<void> {
  await writeFile(join(root, 'usr/lib/systemd/system/sshd-keygen.service'), keyGenerator);
  const wants = join(root, `etc/systemd/system/${wantedBy}.wants`);
  await mkdir(wants, { recursive: true });
  const link = join(wants, 'sshd-keygen.service');
  // Newer openssh-server of Debian has a unit with this name, and enables it.
  await rm(link, { force: true });
  await symlink('/usr/lib/systemd/system/sshd-keygen.service', link);
}
