import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { inRoot } from '../../packaging/build/paths.ts';
import { inTemporaryDirectory } from './temporary.ts';

/**
 * Makes a folder a path of Ansible collections that contains the collection as it is in the repository. Python must not
 * write its cache into the repository (`PYTHONDONTWRITEBYTECODE`, `python3 -B`).
 */
export function linkCollection(folder: string): void {
  mkdirSync(path.join(folder, 'ansible_collections/immutafs'), { recursive: true });
  symlinkSync(inRoot('ansible'), path.join(folder, 'ansible_collections/immutafs/agent'));
}

/** Python that reads [module, function, arguments…] as JSON and writes the function's result. Parses arguments { xml }. */
const program = `import importlib, json, sys
from xml.etree import ElementTree
name, function, *args = json.load(sys.stdin)
module = importlib.import_module("ansible_collections.immutafs.agent.plugins." + name)
parsed = [ElementTree.fromstring(each["xml"]) if isinstance(each, dict) and "xml" in each else each for each in args]
result = getattr(module, function)(*parsed)
print(json.dumps(result if not ElementTree.iselement(result) else {"xml": ElementTree.tostring(result, "unicode")}))`;

/**
 * Calls a function of a plug-in of the Ansible collection without running Ansible.
 * @param module for example `filter.proof`
 * @throws Error with the output of Python if the call fails
 */
export function callPlugin(module: string, name: string, ...args: unknown[]): unknown {
  return runPython(program, [module, name, ...args]);
}

/**
 * Runs a Python program that can import the plug-ins of the Ansible collection. Its input is `value` as JSON.
 * @returns its output, parsed as JSON
 * @throws Error with the output of Python if the program prints nothing
 */
export function runPython(text: string, value: unknown): unknown {
  return inTemporaryDirectory((folder) => {
    linkCollection(folder);
    const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-B', '-c', text], {
      input: JSON.stringify(value),
      env: { PYTHONPATH: folder },
      encoding: 'utf8',
    });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as unknown;
  });
}
