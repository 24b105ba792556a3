import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { held } from '../harness/shared.ts';
import { type Hypervisor, setReadOnly, withHypervisor, withQemuAbort } from './hypervisor.ts';
import { type Ansible, type ModuleResult, assertPlayed, withAnsible } from './playbooks.ts';
import { type StubOptions, defineStubDomain, stubArguments } from './stub-domain.ts';

/** What a module must return: the message with which it fails, or the values of some fields of its result. */
export type Answer = string | RegExp | Record<string, unknown>;

/**
 * A playbook with what it finds and what it must return: the state of the system disk and of the domain, the playbook, its
 * variables, its exit code, and its report, as `assertPlayed` compares it.
 */
export type PlayRow = readonly [
  disk: 'open' | 'sealed',
  domain: 'running' | 'shut off',
  playbook: string,
  variables: Record<string, unknown>,
  exit: number,
  report: RegExp | readonly string[],
];

/** The domain `stub`, with what acts on it. */
export interface Stub extends Pick<Hypervisor, 'folder' | 'virsh'> {
  ansible: Ansible;
  hypervisor: Hypervisor;
  /** The image of the system disk. */
  image: string;
  /** A directory for the records of the collection's modules, which they make. */
  directory: string;
  /** Runs a module of the collection on the system disk of the domain. */
  module: Ansible['module'];
  /**
   * Runs a module, and compares what it returns. Asserts that a module which fails, or runs in check mode, leaves the
   * domain as it was. @returns the result
   */
  expect: (
    name: string,
    args: Record<string, unknown>,
    answer: Answer,
    mode?: 'check',
  ) => Promise<ModuleResult>;
  /** Runs playbooks in this order. @param common variables of each */
  expectPlays: (rows: readonly PlayRow[], common?: Record<string, unknown>) => Promise<void>;
  /** Returns the XML of the domain for its next start. */
  xml: () => Promise<string>;
}

/** Variables of playbooks with short limits, because a stub domain never answers. */
export const shortLimits = {
  ...{ immutafs_start_timeout: 2, immutafs_shutdown_timeout: 2, immutafs_settle_timeout: 1 },
  ansible_timeout: 2,
};

/**
 * Returns a function that adds a test to a suite. The tests of the suite share a libvirt, and each of them gets a new domain
 * `stub`, which is removed after the test with everything else that libvirt and its folder then have.
 *
 * @param common options of each domain
 */
export function stubSuite(name: string, common: StubOptions = {}) {
  const tests = suite(name);
  const { open, close } = held<Hypervisor>(withHypervisor);
  const add = (title: string, test: (stub: Stub) => Promise<unknown>, options: StubOptions = {}) =>
    tests(title, async () => {
      const host = await open();
      const own = await readdir(host.folder);
      try {
        await withStub(host, test, { ...common, ...options });
      } catch (error) {
        const reason = await withQemuAbort(host.folder, error);
        // What made the test fail may also prevent the removal.
        await removeOthers(host, own).catch(() => undefined);
        throw reason;
      }
      await removeOthers(host, own);
    });
  const run = () => {
    tests('libvirt ends without an error', close);
    tests.run();
  };
  return Object.assign(add, { run });
}

async function withStub(
  hypervisor: Hypervisor,
  test: (stub: Stub) => Promise<unknown>,
  options: StubOptions,
): Promise<void> {
  const { folder, virsh } = hypervisor;
  const guest = await defineStubDomain(hypervisor, 'stub', options);
  const xml = () => virsh('dumpxml', '--security-info', '--inactive', 'stub');
  await withAnsible(hypervisor, [guest], (ansible) => {
    const module: Stub['module'] = (name, args, mode) =>
      ansible.module(name, { ...stubArguments(hypervisor), ...args }, mode);
    const expect: Stub['expect'] = async (name, args, answer, mode) => {
      const call = `${name} ${JSON.stringify(args)}`;
      const before = mode === 'check' || isMessage(answer) ? await xml() : null;
      const result = await module(name, args, mode);
      assertAnswer(result, answer, call);
      if (before !== null) assert.is(await xml(), before, `${call}: the domain is as before`);
      return result;
    };
    const expectPlays: Stub['expectPlays'] = async (rows, common = {}) => {
      for (const [disk, domain, playbook, variables, exit, report] of rows) {
        const isRunning = (await virsh('domstate', 'stub')).startsWith('running');
        const isAsBefore = (await xml()).includes('<readonly/>') === (disk === 'sealed');
        if (isRunning && (domain === 'shut off' || !isAsBefore)) await virsh('destroy', 'stub');
        await setReadOnly(hypervisor, 'stub', disk === 'sealed');
        if (domain === 'running' && !(isRunning && isAsBefore)) await virsh('start', 'stub');
        assertPlayed(await ansible.play(playbook, { ...common, ...variables }), exit, report);
      }
    };
    const image = join(folder, `stub/system.${options.systemFormat ?? 'raw'}`);
    const directory = join(folder, 'state');
    const given = { ansible, hypervisor, folder, virsh, image, directory };
    return test({ ...given, module, expect, expectPlays, xml });
  });
}

const isMessage = (answer: Answer) => typeof answer === 'string' || answer instanceof RegExp;

/** Asserts what a module has returned. */
export function assertAnswer(result: ModuleResult, answer: Answer, call: string): void {
  const about = `${call} returned ${JSON.stringify(result)}`;
  assert.is(result.failed, isMessage(answer), about);
  if (typeof answer === 'string') assert.is(result.msg, answer);
  else if (answer instanceof RegExp) assert.match(result.msg ?? '', answer);
  else {
    const found = Object.keys(answer).map((field) => [field, result[field]]);
    assert.equal(Object.fromEntries(found), answer, about);
  }
}

/** Removes all domains and storage pools of a libvirt, and the files of its folder but these. */
async function removeOthers({ folder, virsh }: Hypervisor, own: readonly string[]): Promise<void> {
  // The name of a domain may look like an option.
  const each = async (list: readonly string[], ...command: string[]) => {
    const lines = (await virsh(...list, '--uuid')).split('\n');
    for (const uuid of lines.filter((line) => line !== '')) await virsh(...command, uuid);
  };
  await each(['list'], 'destroy');
  await each(['list', '--all'], 'undefine', '--managed-save', '--nvram');
  await each(['pool-list', '--all'], 'pool-undefine');
  // `withQemuAbort` would find what QEMU wrote in an earlier test.
  await rm(join(folder, 'var/log/libvirt/qemu'), { recursive: true, force: true });
  for (const name of await readdir(folder))
    if (!own.includes(name)) await rm(join(folder, name), { recursive: true });
}
