import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { held } from '../harness/shared.ts';
import { asQcow2, defineDomain, freePort } from './domain.ts';
import type { DomainOptions } from './domain.ts';
import { redefine, setReadOnly, withHypervisor, withQemuAbort } from './hypervisor.ts';
import type { Hypervisor } from './hypervisor.ts';
import { assertPlayed, withAnsible } from './playbooks.ts';
import type { Ansible, InventoryGuest, ModuleResult } from './playbooks.ts';

/**
 * Defines a domain with two empty disks and nothing to boot. The domain has no sshd and does not react to the power
 * button.
 */
export async function defineStubDomain(
  host: Hypervisor,
  name: string,
  port: number,
  options: Pick<DomainOptions, 'firmware' | 'systemFormat' | 'homeFormat'> = {},
): Promise<void> {
  const folder = join(host.folder, name);
  await makeDisks(folder, options);
  await defineDomain(host, { name, folder, loader: null, port, memoryMiB: 128, ...options });
}

/** Makes a folder with the two empty disks of a domain. */
export async function makeDisks(
  folder: string,
  { systemFormat, homeFormat }: Pick<DomainOptions, 'systemFormat' | 'homeFormat'> = {},
): Promise<void> {
  await mkdir(folder);
  for (const image of ['system.raw', 'home.raw']) {
    await execa('truncate', ['--size', '1M', join(folder, image)]);
  }
  if (systemFormat === 'qcow2') await asQcow2(folder);
  if (homeFormat === 'qcow2') await asQcow2(folder, 'home');
}

/** What a stub domain may have in place of two raw disks that are writable. */
export interface StubOptions extends Pick<DomainOptions, 'systemFormat' | 'homeFormat'> {
  /** Further elements of <os>. @param folder the folder of the hypervisor */
  firmware?: (folder: string) => string;
  /** The image of the system disk, in place of the domain's own. */
  image?: string;
  /** Whether the system disk is read-only. */
  isSealed?: boolean;
}

/** Defines a stub domain at a port that is not in use. @returns the guest for an inventory */
export async function defineStub(
  host: Hypervisor,
  name: string,
  { firmware, image, isSealed = false, ...formats }: StubOptions = {},
): Promise<InventoryGuest> {
  const port = await freePort();
  await defineStubDomain(host, name, port, { ...formats, firmware: firmware?.(host.folder) ?? '' });
  const source = /<source file='[^']*'/;
  if (image !== undefined)
    await redefine(host, name, (xml) => xml.replace(source, `<source file='${image}'`));
  if (isSealed) await setReadOnly(host, name, true);
  return { name, port, key: '/dev/null' };
}

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

/** Returns the arguments of the collection's modules for `stub`. */
export const stubArguments = ({ uri }: Hypervisor) => ({ uri, domain: 'stub', target: 'vda' });

/** The boot problems that the module `domain` reports for a domain as virt-install defines it. */
export const unsetBoot = [
  'vda has no serial',
  'vdb has no serial',
  "the firmware may boot from a disk other than vda: the domain has <boot dev='hd'/>",
];

/**
 * Returns a function that adds a test to a suite. The tests of the suite share a libvirt, and each of them gets a new domain
 * `stub`, which is removed after the test with everything else that libvirt and its folder then have.
 *
 * @param common options of each domain
 */
export function stubSuite(name: string, common: StubOptions = {}) {
  const tests = suite(name);
  const { open, close } = held<Hypervisor>(withHypervisor);
  tests.after(close);
  const add = (title: string, test: (stub: Stub) => Promise<unknown>, options: StubOptions = {}) =>
    tests(title, async () => {
      const host = await open();
      const own = await readdir(host.folder);
      try {
        await withStub(host, test, { ...common, ...options });
      } catch (error) {
        throw await withQemuAbort(host.folder, error);
      } finally {
        await removeOthers(host, own);
      }
    });
  return Object.assign(add, { run: () => tests.run() });
}

async function withStub(
  hypervisor: Hypervisor,
  test: (stub: Stub) => Promise<unknown>,
  options: StubOptions,
): Promise<void> {
  const { folder, virsh } = hypervisor;
  const guest = await defineStub(hypervisor, 'stub', options);
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
  for (const name of await readdir(folder))
    if (!own.includes(name)) await rm(join(folder, name), { recursive: true });
}

/** Writes an executable file. @param text lines of sh @returns its path */
export async function writeProgram(file: string, text: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return file;
}

/** Writes the same byte to a part of the content of a qcow2 file. */
export async function writeBytes(
  image: string,
  offset: number,
  length: number,
  value: number,
): Promise<void> {
  await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${value} ${offset} ${length}`, image]);
}

/** Copies the content of an image, which QEMU may be using, to the file `raw` in a folder. @returns its path */
export async function rawCopy(folder: string, image: string, format = 'qcow2'): Promise<string> {
  const copy = join(folder, 'raw');
  await execa('qemu-img', ['convert', '-U', '-f', format, '-O', 'raw', image, copy]);
  return copy;
}
