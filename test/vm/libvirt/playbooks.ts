import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { linkCollection } from '../../harness/collection.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { until } from '../../wire/support/until.ts';
import type { Hypervisor } from './hypervisor.ts';

/** The result of a playbook. */
export interface Played {
  exit: number;
  /** stdout and stderr of ansible-playbook. */
  output: string;
  /** The lines of the report, "guest: sealed". */
  report: string[];
}

/** Asserts how a playbook ended. @param report the whole report, or what its lines match */
export function assertPlayed(played: Played, exit: number, report: RegExp | readonly string[]): void {
  assert.is(played.exit, exit, played.output);
  if (report instanceof RegExp) assert.match(played.report.join('\n'), report, played.output);
  else assert.equal(played.report, report, played.output);
}

/** A running playbook. */
export interface Playing {
  ended: Promise<Played>;
  /** Returns the output of the playbook so far. */
  said: () => string;
  /** Kills the playbook and every process that it started on this machine. */
  kill: () => void;
}

/** ansible-playbook with the collection of this repository. */
export interface Ansible {
  /**
   * @param name name of a playbook of the collection @param variables extra variables, which override all other
   * variables
   */
  start: (name: string, variables?: Record<string, unknown>, ...options: string[]) => Playing;
  /**
   * Runs one of the collection's modules on the hypervisor without Ansible's controller, which needs four times as much
   * processor time. @returns its result; `failed` if it failed
   */
  module: (name: string, args: Record<string, unknown>, mode?: 'check') => Promise<ModuleResult>;
  /** Runs one of the collection's modules like `module`, but by Ansible's command line. */
  adHoc: (name: string, args: Record<string, unknown>) => Promise<ModuleResult>;
  /** Runs a playbook to its end. */
  play: (name: string, variables?: Record<string, unknown>, ...options: string[]) => Promise<Played>;
}

export interface ModuleResult extends Record<string, unknown> {
  failed: boolean;
  changed: boolean;
  msg?: string;
}

/**
 * Options of unshare(1) for a PID namespace. Without it, Ansible's workers would survive, because each worker is a
 * separate session.
 */
const ownProcesses = ['--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];

/** A guest of the inventory. */
export interface InventoryGuest {
  name: string;
  port: number;
  key: string;
  /** Whether the guest is a spare of the pool, in the group immutafs_spares. */
  isSpare?: boolean;
}

const collectionsIn = (home: string) => join(home, 'collections');

/** @returns the environment of Ansible's programs @param home a directory for what they store and for collections */
export function ansibleEnvironment(home: string): Record<string, string> {
  return {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C.UTF-8',
    HOME: home,
    ANSIBLE_COLLECTIONS_PATH: collectionsIn(home),
    ANSIBLE_HOST_KEY_CHECKING: '0',
    ANSIBLE_NOCOLOR: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONPATH: join(import.meta.dirname, 'python'),
    // Each task then needs one command in the emulated guest instead of three.
    ANSIBLE_PIPELINING: '1',
    ANSIBLE_SSH_ARGS: '-o ControlMaster=auto -o ControlPersist=10s -o UserKnownHostsFile=/dev/null',
  };
}

/** Kills a playbook as it begins a task. @param seconds how long this may take @throws if the playbook ends before */
export async function killAt(playing: Playing, task: string, seconds = 300): Promise<void> {
  const isThere = () => playing.said().includes(` : ${task}] *`);
  let hasEnded = false;
  void playing.ended.then(() => (hasEnded = true));
  try {
    await until(task, () => isThere() || hasEnded, seconds);
  } finally {
    playing.kill();
  }
  const { output } = await playing.ended;
  if (!isThere()) throw new Error(`the playbook ended before it was killed\n${output}`);
}

/**
 * Calls `work` with the collection and an inventory of this machine, as the hypervisor, and its guests.
 *
 * @param others guests that do not come up; they are in a separate group with short timeouts
 *
 * The folder is below /tmp because ssh keeps sockets there, whose paths are limited to 107 characters.
 */
export function withAnsible<T>(
  host: Hypervisor,
  guests: InventoryGuest[],
  work: (ansible: Ansible) => Promise<T>,
  others: InventoryGuest[] = [],
): Promise<T> {
  return whileTemporaryDirectory(async (home) => {
    const collections = collectionsIn(home);
    const env = ansibleEnvironment(home);
    const options = { env, extendEnv: false, stdin: 'ignore', all: true, reject: false } as const;
    const inventory = join(home, 'inventory.json');
    await writeFile(inventory, JSON.stringify(inventoryOf(host, guests, others)));
    linkCollection(collections);

    const start: Ansible['start'] = (name, variables = {}, ...more) => {
      const args = ['--inventory', inventory, '--extra-vars', JSON.stringify(variables), ...more];
      const playbook = ['/usr/bin/ansible-playbook', ...args, `immutafs.agent.${name}`];
      const child = execa('unshare', [...ownProcesses, '--', ...playbook], options);
      const ended = child.then(({ exitCode = -1, all }) => ({
        exit: exitCode,
        output: all,
        report: reportIn(all),
      }));
      let text = '';
      child.all.on('data', (chunk: Buffer) => void (text += chunk.toString()));
      return { ended, said: () => text, kill: () => void child.kill('SIGKILL') };
    };
    const module: Ansible['module'] = async (name, args, mode) => {
      const command = ['-m', `ansible_collections.immutafs.agent.plugins.modules.${name}`];
      const input = JSON.stringify({
        ANSIBLE_MODULE_ARGS: { ...args, _ansible_check_mode: mode === 'check' },
      });
      const own = {
        env: { ...env, PYTHONPATH: collections },
        extendEnv: false,
        reject: false,
        all: true,
        input,
      };
      const { stdout, all: output } = await execa('/usr/bin/python3', command, own);
      if (!stdout.startsWith('\n{')) throw new Error(output);
      const { failed = false, ...result } = JSON.parse(stdout) as Partial<ModuleResult>;
      return withoutDetails({ changed: false, ...result, failed });
    };
    const adHoc: Ansible['adHoc'] = async (name, args) => {
      const what = ['--module-name', `immutafs.agent.${name}`, '--args', JSON.stringify(args)];
      const command = ['--inventory', inventory, 'hypervisor', ...what];
      const { stdout, all: output } = await execa('/usr/bin/ansible', command, options);
      const [, word, result] = /^hypervisor \| (\S+) => (\{[\s\S]*)/m.exec(stdout) ?? [];
      if (result === undefined) throw new Error(output);
      return { ...(JSON.parse(result) as ModuleResult), failed: word === 'FAILED!' };
    };
    return work({ start, module, adHoc, play: (...args) => start(...args).ended });
  });
}

/** Returns the result of a module without what Ansible does not print either. */
function withoutDetails(result: ModuleResult): ModuleResult {
  const hidden = ['invocation', 'diff'];
  return Object.fromEntries(
    Object.entries(result).filter(([name]) => !hidden.includes(name)),
  ) as ModuleResult;
}

function inventoryOf(host: Hypervisor, guests: InventoryGuest[], others: InventoryGuest[]): unknown {
  const vars = {
    immutafs_hypervisor: 'hypervisor',
    immutafs_uri: host.uri,
    immutafs_disk: 'vda',
    ansible_host: '127.0.0.1',
    ansible_user: 'root',
  };
  const local = { ansible_connection: 'local', ansible_python_interpreter: '/usr/bin/python3' };
  const shortTimeouts = {
    ...vars,
    immutafs_start_timeout: 4,
    immutafs_settle_timeout: 4,
    ansible_timeout: 3,
  };
  const spares = guests.filter(({ isSpare }) => isSpare);
  const children = {
    immutafs_guests: { hosts: hosts(guests), vars },
    ...(spares.length > 0 && { immutafs_spares: { hosts: hosts(spares) } }),
    others: { hosts: hosts(others), vars: shortTimeouts },
  };
  return { all: { hosts: { hypervisor: local }, children } };
}

function hosts(guests: InventoryGuest[]): unknown {
  const each = guests.map(({ name, port, key }) => [
    name,
    { ansible_port: port, ansible_ssh_private_key_file: key },
  ]);
  return Object.fromEntries(each) as unknown;
}

function reportIn(output: string): string[] {
  const messages = output.matchAll(/TASK \[immutafs\.agent\.host : Report\][\s\S]*?(?=\nTASK|\nPLAY)/g);
  return [...messages].flatMap(([task]) => [...task.matchAll(/"msg": "(.*)"/g)].map(([, line = '']) => line));
}
