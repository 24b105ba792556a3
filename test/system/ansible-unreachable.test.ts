import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { type LocalGuest, guestSuite } from '../harness/ansible-guest.ts';
import { repository } from '../harness/repository.ts';

/**
 * Tests that the failure of a connection to a hypervisor is a failure of its guests, with real Ansible, the test driver of
 * libvirt, and a stub for ssh that runs the commands on this machine.
 */
const unreachable = guestSuite('a hypervisor becomes unreachable');

/**
 * The connection to kvm1 breaks when the program that the file `breaks` names is started. It stays broken, unless the file
 * `recovers` exists.
 */
const ssh = `#!/bin/sh
for word; do
  host=\${command-}
  command=$word
done
if [ "$host" = kvm1 ]; then
  case $command in *python*"$(cat "$HOME/breaks")"*) broken=yes && touch "$HOME/broken" ;; esac
  [ -e "$HOME/recovers" ] || ! [ -e "$HOME/broken" ] || broken=yes
  [ -z "\${broken-}" ] || { echo "ssh: connect to host kvm1 port 22: No route to host" >&2; exit 255; }
fi
exec sh -c "$command"
`;

const domains = ['web1', 'web2', 'web3'].map(
  (name) => `<domain type='test'><name>${name}</name><memory>8192</memory><os><type>hvm</type></os>
    <test:runstate>5</test:runstate><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='/nowhere/${name}.qcow2'/><target dev='vda' bus='virtio'/><readonly/></disk></devices></domain>`,
);
const node = `<node xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>${domains.join('')}</node>`;

/** Writes the stub and an inventory of two hypervisors and three guests. Returns the path of the inventory. */
function writeFleet({ file }: LocalGuest, breaks: string): string {
  writeFileSync(file('ssh'), ssh, { mode: 0o755 });
  writeFileSync(file('breaks'), breaks);
  writeFileSync(file('node.xml'), node);
  const local = { ansible_connection: 'local' };
  const guests = {
    web1: { ...local, immutafs_hypervisor: 'kvm1' },
    web2: { ...local, immutafs_hypervisor: 'kvm2' },
    web3: { ...local, immutafs_hypervisor: 'kvm2' },
  };
  const vars = {
    ansible_ssh_executable: file('ssh'),
    ansible_ssh_transfer_method: 'piped',
    ansible_python_interpreter: '/usr/bin/python3',
    immutafs_uri: `test://${file('node.xml')}`,
    immutafs_state_directory: file('state'),
    immutafs_disk: 'vda',
  };
  const children = { hypervisors: { hosts: { kvm1: {}, kvm2: {} } }, guests: { hosts: guests } };
  writeFileSync(file('inventory.json'), JSON.stringify({ all: { vars, children } }));
  return file('inventory.json');
}

const role = (name: string, vars: Record<string, unknown> = {}) => ({
  'ansible.builtin.include_role': { name: 'immutafs.agent.host', tasks_from: name },
  vars,
});
const touch = (file: string) => ({
  'ansible.builtin.file': { path: `${file}-{{ inventory_hostname }}`, state: 'touch' },
});
const move = role('move-receipt', { immutafs_receipt_state: 'retired' });

const lost = String.raw`kvm1 is unreachable: .*No route to host`;
const again = `Query the (?:image|snapshot): ${lost}`;

interface Case {
  title: string;
  /** The program on kvm1 during which the connection breaks. */
  breaks: string;
  recovers?: boolean;
  work?: object;
  undo?: string;
  /** The line of the report about web1; null if the guest is removed from the play. */
  line: RegExp | null;
  /** Whether `rescue` runs. By default, it does. */
  rescued?: boolean;
  /** Whether the next batch is started. By default, it is not. */
  next?: boolean;
}

const receipt = 'AnsiballZ_receipt.py';
const cases: readonly Case[] = [
  {
    title: 'it stays reachable',
    breaks: 'nothing',
    line: /^web1: shut off, sealed$/m,
    rescued: false,
    next: true,
  },
  {
    title: 'it does not return: the report names the failure, and that of the return to the previous image',
    breaks: receipt,
    line: new RegExp(
      `^web1: state unknown\\. FAILED: Move the receipt: ${lost}.* The return to the previous image failed: ${again}`,
      'm',
    ),
  },
  {
    title: 'it does not return: the report names the failure, and that of the rollback',
    breaks: receipt,
    undo: 'undo',
    line: new RegExp(
      `^web1: state unknown\\. FAILED: Move the receipt: ${lost}.* The rollback failed: ${again}`,
      'm',
    ),
  },
  {
    title: 'it returns: the report has its state',
    breaks: receipt,
    recovers: true,
    line: new RegExp(`^web1: shut off, sealed\\. FAILED: Move the receipt: ${lost}`, 'm'),
  },
  {
    title: 'only the report cannot query it',
    breaks: 'AnsiballZ_domain.py',
    line: new RegExp(`^web1: state unknown\\. FAILED: Query libvirt .*: ${lost}`, 'm'),
    rescued: false,
  },
  {
    title: 'a task of the administrator ends for the guest: the other guest of the batch reports it',
    breaks: 'AnsiballZ_command.py',
    work: { 'ansible.builtin.command': { argv: ['true'] }, delegate_to: '{{ immutafs_hypervisor }}' },
    line: null,
    rescued: false,
  },
];

for (const { title, breaks, line, ...rest } of cases) {
  unreachable(title, async ({ guest }) => {
    const { recovers = false, work = move, undo = 'return-image', rescued = true, next = false } = rest;
    const { file } = guest;
    const inventory = writeFleet(guest, breaks);
    if (recovers) writeFileSync(file('recovers'), '');
    const block = [touch(file('begun')), work];
    const rescue = [touch(file('rescued')), role('record-failure'), role(undo)];
    const play = {
      hosts: 'guests',
      gather_facts: false,
      serial: 2,
      tasks: [{ block, rescue }, role('report')],
    };
    writeFileSync(file('update.json'), JSON.stringify([play]));
    const { all, exitCode } = await guest.play({}, ['--inventory', inventory, file('update.json')]);
    const lines = [...all.matchAll(/"msg": "(web\d: .*)"$/gm)].map(([, text]) => text);
    if (line === null)
      assert.match(all, /"msg": "Ansible has removed web1 from the play, without a report/, all);
    else assert.match(lines.join('\n'), line, all);
    assert.match(lines.join('\n'), /^web2: shut off, sealed$/m, all);
    const happened = ['rescued-web1', 'begun-web3'].map((name) => existsSync(file(name)));
    assert.equal([...happened, exitCode === 0], [rescued, next, next], all);
  });
}

/** The modules that run on a hypervisor: `verify` runs on the controller, and the others have an action plug-in of their own. */
const plugins = path.join(repository, 'ansible/plugins');
const own = new Set(['verify.py', ...readdirSync(path.join(plugins, 'action'))]);
const modules = readdirSync(path.join(plugins, 'modules'))
  .filter((name) => name.endsWith('.py') && !own.has(name))
  .map((name) => path.basename(name, '.py'));

unreachable('each module fails', async ({ guest }) => {
  const inventory = writeFleet(guest, 'AnsiballZ_');
  const tasks = modules.flatMap((module) => [
    { [`immutafs.agent.${module}`]: {}, delegate_to: 'kvm1', register: 'said', ignore_errors: true },
    {
      'ansible.builtin.debug': {
        msg: `${module} {{ said is failed }} {{ said is unreachable }} {{ said.msg }}`,
      },
    },
  ]);
  writeFileSync(guest.file('modules.json'), JSON.stringify([{ hosts: 'web1', gather_facts: false, tasks }]));
  const { all } = await guest.play({}, ['--inventory', inventory, guest.file('modules.json')]);
  assert.ok(modules.includes('domain'));
  for (const module of modules) assert.match(all, new RegExp(`"msg": "${module} True False ${lost}`), all);
});

unreachable.run();
