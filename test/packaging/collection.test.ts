import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withVariables } from '../../docs/ansible-variables.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { linkCollection } from '../harness/collection.ts';

/** Tests what ansible-doc shows of the Ansible collection, and that the variables have the documented defaults. */
const test = suite<{ folder: string }>('the documentation of the Ansible collection');

interface Option {
  description?: string | string[];
  type?: string;
  default?: unknown;
  required?: boolean;
}

interface Documented {
  doc: { options: Record<string, Option>; short_description: string };
  examples: string | null;
  return: Record<string, Option> | null;
}

const namesIn = (folder: string, extension: string) =>
  readdirSync(inRoot(`ansible/${folder}`))
    .filter((name) => name.endsWith(extension))
    .map((name) => `immutafs.agent.${name.slice(0, -extension.length)}`);

test.before((context) => {
  context.folder = mkdtempSync(path.join(tmpdir(), 'immutafs-test-'));
  linkCollection(context.folder);
});

test.after(({ folder }) => {
  rmSync(folder, { recursive: true });
});

test('ansible-galaxy installs every file of the collection, and Ansible finds its playbooks', async ({
  folder,
}) => {
  const at = path.join(folder, 'installed');
  const env = { PATH: '/usr/bin:/bin', HOME: folder, ANSIBLE_COLLECTIONS_PATH: at, LC_ALL: 'C.UTF-8' };
  const options = { env, extendEnv: false, stdin: 'ignore' } as const;
  await execa('/usr/bin/ansible-galaxy', ['collection', 'install', inRoot('ansible'), '-p', at], options);
  const installed = path.join(at, 'ansible_collections/immutafs/agent');
  const list = (of: string, own: readonly string[]) =>
    readdirSync(of, { recursive: true, encoding: 'utf8' })
      .filter((name) => !own.includes(name) && !name.includes('__pycache__'))
      .sort();
  assert.equal(list(installed, ['MANIFEST.json', 'FILES.json']), list(inRoot('ansible'), ['galaxy.yml']));
  const playbook = ['--list-tasks', '--inventory', 'guest,', 'immutafs.agent.status'];
  const { stdout } = await execa('/usr/bin/ansible-playbook', playbook, options);
  assert.match(stdout, /^playbook: .*\/installed\/.*\/status\.yml$/m);
});

/** Runs a program with the collection and returns its output, parsed as JSON. */
async function json(folder: string, program: string, args: string[], input = ''): Promise<unknown> {
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    ANSIBLE_COLLECTIONS_PATH: folder,
    PYTHONPATH: folder,
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const { stdout } = await execa(program, args, { env, extendEnv: false, input });
  return JSON.parse(stdout) as unknown;
}

const documents = async (folder: string, type: string, names: string[]) =>
  (await json(folder, '/usr/bin/ansible-doc', ['--json', '-t', type, ...names])) as Record<
    string,
    Documented
  >;

/** @returns a line for each option that has no proper name, type or description */
function optionProblems(options: Record<string, Option>): string[] {
  return Object.entries(options).flatMap(([name, { description, type }]) => {
    const sentences = description === undefined ? [] : [description].flat();
    const wrong = [
      /^_?[a-z][a-z0-9_]*$/.test(name) ? '' : 'not a name',
      type === undefined ? 'no type' : '',
      sentences.length > 0 ? '' : 'no description',
      sentences.every((text) => /^[A-Z].*[.)]$|^RV\(/s.test(text)) ? '' : 'not a sentence',
    ].filter((text) => text !== '');
    return wrong.map((text) => `${name}: ${text}`);
  });
}

test('modules and filters: options, examples and return values', async ({ folder }) => {
  for (const [type, names] of [
    ['module', namesIn('plugins/modules', '.py')],
    ['filter', namesIn('plugins/filter', '.yml')],
  ] as const) {
    const found = await documents(folder, type, names);
    assert.equal(Object.keys(found).sort(), names.toSorted());
    for (const [name, { doc, examples, return: values }] of Object.entries(found)) {
      assert.equal(optionProblems(doc.options), [], name);
      assert.ok(examples?.includes(name), `${name}: an example uses it`);
      if (values === null) throw new Error(`${name} has no return values`);
      assert.ok(Object.keys(values).length > 0, `${name}: return values`);
      assert.equal(optionProblems(values), [], name);
    }
  }
});

test('options made of half a sentence are found', () => {
  const halves = { 'such as C(vda).': {}, type: { description: 'str', type: 'str' } };
  assert.equal(optionProblems(halves), [
    'such as C(vda).: not a name',
    'such as C(vda).: no type',
    'such as C(vda).: no description',
    'type: not a sentence',
  ]);
});

/** Python that prints the argument specification of each module in its arguments, without what is not documented. */
const printArguments = `import importlib, json, sys
name = "ansible_collections.immutafs.agent.plugins.modules."
plain = lambda options: {key: {k: v for k, v in option.items() if k != "no_log"} for key, option in options.items()}
print(json.dumps({each: plain(importlib.import_module(name + each).ARGUMENTS) for each in sys.argv[1:]}))`;

test('modules: the documented options are those that the module accepts', async ({ folder }) => {
  const modules = ['boot', 'disk', 'domain', 'image', 'receipt', 'seed', 'snapshot'];
  const accepted = (await json(folder, '/usr/bin/python3', ['-c', printArguments, ...modules])) as Record<
    string,
    Record<string, Option>
  >;
  const names = modules.map((name) => `immutafs.agent.${name}`);
  for (const [name, { doc }] of Object.entries(await documents(folder, 'module', names))) {
    const documented = structuredClone(doc.options);
    for (const option of Object.values(documented)) delete option.description;
    assert.equal(documented, accepted[name.split('.').at(-1) ?? ''], name);
  }
});

interface Role {
  entry_points: Record<string, { short_description: string; options: Record<string, Option> }>;
}

test('roles: each entry point that a playbook uses is documented', async ({ folder }) => {
  const roles = (await json(folder, '/usr/bin/ansible-doc', [
    '--json',
    ...['-t', 'role'],
    ...readdirSync(inRoot('ansible/roles')).map((name) => `immutafs.agent.${name}`),
  ])) as Record<string, Role>;
  const playbooks = readdirSync(inRoot('ansible/playbooks'));
  const used = playbooks.flatMap((name) => {
    const text = readFileSync(inRoot(`ansible/playbooks/${name}`), 'utf8');
    return [...text.matchAll(/name: (immutafs\.agent\.\w+), tasks_from: ([\w-]+)/g)];
  });
  assert.ok(used.length > 10);
  for (const [, role = '', entry = ''] of used) {
    assert.ok(roles[role]?.entry_points[entry] !== undefined, `${role}, ${entry}: meta/argument_specs.yml`);
  }
  for (const [name, { entry_points: entries }] of Object.entries(roles)) {
    assert.ok(Object.keys(entries).length > 0, name);
    for (const { options } of Object.values(entries)) assert.equal(optionProblems(options), [], name);
  }
});

/** Variables that users have set since the first version. A variable that is renamed must keep its old name working. */
const established = [
  ...['domain', 'uri', 'virt_xml', 'shutdown_timeout', 'start_timeout', 'settle_timeout', 'update_failing'],
  ...['boot_required', 'ready_command', 'install_command', 'prepare_arguments', 'update_commands'],
  ...['update_timeout', 'initramfs_command', 'accept_command'],
].map((name) => `immutafs_${name}`);

/** Python that converts the YAML files in its arguments to JSON. */
const toJson =
  'import json, sys, yaml; print(json.dumps([yaml.safe_load(open(name)) for name in sys.argv[1:]]))';

test('variables: defaults, argument specifications and README agree, and no name is lost', async ({
  folder,
}) => {
  const role = 'ansible/roles/immutafs';
  const files = [`${role}/defaults/main.yml`, `${role}/meta/argument_specs.yml`].map(inRoot);
  const [defaults, specs] = (await json(folder, '/usr/bin/python3', ['-c', toJson, ...files])) as [
    Record<string, unknown>,
    { argument_specs: { main: { options: Record<string, Option> } } },
  ];
  const { options } = specs.argument_specs.main;
  for (const name of established) assert.ok(name in defaults, `${name} has a default`);
  const inWords = ['update_commands', 'image_command', 'receipt_by', 'evidence_directory'].map(
    (name) => `immutafs_${name}`,
  );
  for (const name of Object.keys(defaults)) {
    assert.ok(name in options, `${name}: meta/argument_specs.yml`);
    if (!inWords.includes(name)) assert.equal(options[name]?.default, defaults[name], name);
  }
  for (const [name, option] of Object.entries(options)) {
    assert.is('default' in option, name in defaults && !inWords.includes(name), name);
  }
  const readme = readFileSync(inRoot('ansible/README.md'), 'utf8');
  assert.is(withVariables(readme), readme, 'npm run ansible-variables');
});

test.run();
