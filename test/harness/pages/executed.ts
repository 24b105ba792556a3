import { blocksOf, commandsIn } from './blocks.ts';

/** The pages whose shell blocks are all run by a test, or listed below with the reason. */
export const pages = [
  'README.md',
  'docs/change.md',
  'docs/emergency.md',
  'docs/guide.md',
  'docs/host.md',
  'docs/identity.md',
  'docs/images.md',
  'docs/session.md',
] as const;

export type Page = (typeof pages)[number];

const guide = 'test/vm/long/guide.test.ts';
const fleet = 'test/vm/long/guide-fleet.test.ts';
const playbooks = 'test/vm/long/host-playbooks.test.ts';
const images = 'test/vm/long/images-page.test.ts';
const first = 'test/vm/long/images-page-first.test.ts';
const seed = 'test/vm/matrix/images-page.test.ts';
const backup = 'test/vm/long/host-backup.test.ts';
const identity = 'test/vm/matrix/host-identity.test.ts';
const identityServices = 'test/vm/long/host-identity.test.ts';
const quiesce = 'test/vm/long/quiesce.test.ts';
const maintenance = 'test/vm/smoke/maintenance.test.ts';

/** The test that runs the shell blocks below each heading. */
export const executed: Partial<Record<Page, Record<string, string>>> = {
  'docs/change.md': {
    'In a sealed guest, until the reboot': maintenance,
    'In an open guest, or in an image': maintenance,
  },
  'docs/emergency.md': { '/var is full': maintenance },
  'docs/guide.md': {
    'Get the package': guide,
    'A log server': guide,
    'One guest': guide,
    'Ten guests': fleet,
    Logs: guide,
    Monitoring: guide,
    Updates: guide,
    'Remove it again': guide,
  },
  'docs/host.md': {
    'With virsh and virt-xml': guide,
    'With Ansible, for many guests': playbooks,
    'Evidence, and discarding it': playbooks,
    'Backup, snapshots and migration': backup,
    'Freezing the file systems': quiesce,
  },
  'docs/identity.md': {
    'Set up': identity,
    'SSH host certificates': identity,
    'nginx in the guest': identityServices,
    'PostgreSQL in the guest': identityServices,
    'A log server with rsyslog': 'test/wire/identity.test.ts',
    'A store for secrets': 'test/wire/identity-services.test.ts',
  },
  'docs/images.md': {
    'The first version': first,
    'The guests': images,
    'The next version': images,
    'Back to the previous version': images,
    'Identity from a seed of the host': seed,
    'A disk for SCRATCH in each guest of a pool': seed,
  },
};

/** Commands that no test runs as they stand. */
export const notExecuted: { command: string; reason: string }[] = [
  { command: 'npm run demo', reason: 'installs, seals and boots a guest, as many tests do; run manually' },
  { command: 'npm test', reason: 'runs the tests' },
  { command: 'ip address add 192.0.2.10/24 dev eth0', reason: 'the guest has neither ip(8) nor a network' },
  {
    command: 'grubby --update-kernel=ALL --args=audit_backlog_limit=8192',
    reason: 'grubby is a program of RHEL',
  },
  { command: 'apt-get install rsyslog rsyslog-relp', reason: '`npm run setup` has installed them' },
  {
    command: 'systemctl restart rsyslog',
    reason: 'the test has no systemd for its server, and starts rsyslogd',
  },
  { command: 'virsh destroy web1', reason: 'test/vm/long/power-cut.test.ts cuts the power of guests' },
  ...[
    'virt-customize -a web1.qcow2 --ssh-inject root:file:admin.pub',
    'virt-customize -a web1.qcow2 --root-password file:password.txt',
  ].map((command) => ({ command, reason: 'test/vm/long/images-page-first.test.ts runs virt-customize' })),
  {
    command:
      'virsh qemu-agent-command web1 \'{"execute":"guest-exec","arguments":{"path":"/usr/bin/systemctl","arg":["restart","NetworkManager"]}}\'',
    reason: 'test/vm/long/aide-and-freeze.test.ts runs guest-exec without libvirt',
  },
  ...[
    'immutafs-agent session --allow-install',
    "immutafs-agent session --allow-install --limit 1h -- sh -c 'dnf -y install tcpdump && tcpdump -i any -c 100 -w /var/tmp/dump.pcap'",
    'systemctl stop immutafs-session@1',
  ].map((command) => ({
    command,
    reason: 'test/vm/matrix/session-ends.test.ts runs sessions with packages of a local repository',
  })),
  ...[
    'immutafs-agent prepare --image',
    'immutafs-agent prepare --image --apply --yes --image-name web --image-version 2026.11',
    'immutafs-agent check --ready-to-seal --image',
    'mount -t proc proc "$ROOT/proc"; mount --bind /sys "$ROOT/sys"; mount --bind /dev "$ROOT/dev"',
    'chroot "$ROOT" immutafs-agent prepare --image --apply --yes --image-name web --image-version 2026.11',
    "virt-customize -a IMAGE --run-command 'immutafs-agent prepare --image --apply --yes --image-name web --image-version 2026.11'",
  ].map((command) => ({ command, reason: 'test/vm/long/image.test.ts runs prepare --image in these ways' })),
];

export const isNotExecuted = (text: string): boolean => notExecuted.some(({ command }) => command === text);

/** The commands of every section that a test runs. A page may show them once more. */
function commandsThatRun(): Set<string> {
  const shell = pages.flatMap((page) =>
    blocksOf(page).filter(
      ({ language, heading }) => language === 'sh' && executed[page]?.[heading] !== undefined,
    ),
  );
  return new Set(shell.flatMap((block) => commandsIn(block.text).map(({ text }) => text)));
}

/** The problems of a page: blocks without a language, and commands that no test runs and that are not listed. */
export function problemsOf(page: Page, blocks = blocksOf(page)): string[] {
  const run = executed[page] ?? {};
  const elsewhere = commandsThatRun();
  const nameless = blocks.filter(({ language }) => language === '');
  const forgotten = blocks
    .filter(({ language, heading }) => language === 'sh' && run[heading] === undefined)
    .flatMap((block) => commandsIn(block.text).map(({ text }) => ({ ...block, text })))
    .filter(({ text }) => !isNotExecuted(text) && !elsewhere.has(text));
  return [
    ...nameless.map(({ line }) => `${page}:${line}: the block has no language: sh, text, …`),
    ...forgotten.map(({ line, text }) => `${page}:${line}: no test runs: ${text}`),
  ];
}
