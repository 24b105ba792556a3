/** An example of a manual page: what it does, and the command line. docs.test.ts parses each with the program's parser. */
export interface Example {
  text: string;
  command: string;
}

/** The examples of each command, the most common first. */
export const examples: Readonly<Record<string, readonly Example[]>> = {
  status: [
    {
      text: 'Show whether this guest is sealed, and what needs attention. The exit code is 0 only if it is sealed and every required check passed.',
      command: 'immutafs-agent status',
    },
    { text: 'Show every check, disk and mount.', command: 'immutafs-agent status --all' },
    {
      text: 'Explain a check that does not pass, and how to fix it.',
      command: 'immutafs-agent status --explain mount-options',
    },
    {
      text: 'Also verify the mount options by trying the operations that they forbid.',
      command: 'immutafs-agent status --probe',
    },
    {
      text: 'Print the verdict for a script.',
      command: 'immutafs-agent status --json | jq --raw-output .verdict',
    },
    { text: 'Answer a monitoring system as a plug-in.', command: 'immutafs-agent status --nagios' },
    {
      text: 'Show the evidence for the controls of compliance standards.',
      command: 'immutafs-agent status --controls',
    },
  ],
  check: [
    {
      text: 'Evaluate the guest now, log what has changed, and update the report that the playbooks and the monitoring read.',
      command: 'immutafs-agent check',
    },
    {
      text: 'Show whether an open guest can be sealed as it is.',
      command: 'immutafs-agent check --ready-to-seal',
    },
    {
      text: 'In the chroot of an image, show whether guests that start from it can be sealed.',
      command: 'immutafs-agent check --ready-to-seal --image',
    },
  ],
  changes: [
    {
      text: 'Show what differs from the sealed disk, the notable changes first.',
      command: 'immutafs-agent changes',
    },
    {
      text: 'Show which lines of the configuration of cron have changed.',
      command: 'immutafs-agent changes --diff /var/spool/cron',
    },
    { text: 'Show what the next reboot loses.', command: 'immutafs-agent changes --state' },
    {
      text: 'Show what is new since the same command was run last, for a daily mail.',
      command: 'immutafs-agent changes --since-report',
    },
    {
      text: 'Only count the changes below two directories, and group all others.',
      command: "immutafs-agent changes --ignore '/var/log/**' --ignore '/var/cache/**'",
    },
    {
      text: 'List every change with the checksum of its content.',
      command: 'immutafs-agent changes --json --sha256',
    },
    {
      text: 'Save the evidence of this boot to a data disk.',
      command: 'immutafs-agent changes --export /data/evidence.tar --max-size 2G',
    },
    {
      text: 'Save it on another machine, without using space in the guest.',
      command: 'ssh root@web1 immutafs-agent changes --export - >web1.tar',
    },
  ],
  forward: [
    {
      text: 'Send one marked entry to each server of FORWARD, and show name resolution, connection, certificates and acknowledgement step by step.',
      command: 'immutafs-agent forward --test',
    },
    {
      text: 'Run the daemon, as immutafs-forward.service does.',
      command: 'immutafs-agent forward',
    },
  ],
  identity: [
    {
      text: 'Request a certificate from the host, and show why there is none.',
      command: 'immutafs-agent identity',
    },
    {
      text: 'Print a statement of the host about this guest for a verifier, which has sent the nonce.',
      command: 'immutafs-agent identity --nonce 8J8cLGFQ0v1ZBm3kX5rT2w',
    },
  ],
  prepare: [
    {
      text: 'Show which steps this guest needs before it can be sealed. Nothing is changed.',
      command: 'immutafs-agent prepare',
    },
    { text: 'Run them, after a confirmation.', command: 'immutafs-agent prepare --apply' },
    {
      text: 'Move /home to an empty disk. The guest reboots twice; the first boot moves the data.',
      command: 'immutafs-agent prepare --apply --reboot --only home --home-device /dev/vdb',
    },
    {
      text: 'Keep the state of two services on the data disk of PERSIST_STORE, from the next boot on.',
      command: 'immutafs-agent prepare --apply --only state --move-state /var/lib/pgsql /var/lib/redis',
    },
    {
      text: 'Decide that a reboot may reset the content of a directory.',
      command: 'immutafs-agent prepare --apply --only state --accept /var/lib/app/tmp',
    },
    {
      text: 'Mark a disk for SCRATCH. Every sealed boot formats it.',
      command: 'immutafs-agent prepare --apply --only scratch --scratch-device /dev/vdc',
    },
    {
      text: 'Make the next boot a rehearsal of a sealed one, for at most an hour.',
      command: 'immutafs-agent prepare --rehearse --limit 1h',
    },
    {
      text: 'Prepare an image in its chroot.',
      command: 'immutafs-agent prepare --image --apply --yes --image-name web --image-version 2026.11',
    },
    { text: 'Restore every changed file.', command: 'immutafs-agent prepare --undo' },
  ],
  session: [
    {
      text: 'Work in a shell in which programs can be installed, for at most an hour. They are gone when the shell exits.',
      command: 'immutafs-agent session --allow-install --limit 1h',
    },
    {
      text: 'Install a program and use it on a process outside of the session, without a shell.',
      command: "immutafs-agent session --allow-install -- sh -c 'dnf -y install strace && strace -p 812'",
    },
    {
      text: 'Try a change of /etc that nothing else in the guest sees.',
      command: 'immutafs-agent session',
    },
  ],
  version: [
    { text: 'Print the version.', command: 'immutafs-agent version' },
    {
      text: 'List the software that the package contains, with versions.',
      command: 'immutafs-agent version --json',
    },
  ],
};
