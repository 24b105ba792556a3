import pkgLog from '@yao-pkg/pkg/lib-es5/log.js';
import pkgSea from '@yao-pkg/pkg/lib-es5/sea.js';
import { build as esbuild, type Plugin } from 'esbuild';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { buildCodeCache, warmUpGuest } from './code-cache.ts';
import { installedRuntime, nodePackage, root, scratch } from './paths.ts';
import { buildProgram } from './small-programs.ts';
import { digest, once, recipe } from './stamp.ts';
import { documentation } from '../../agent/checks/documentation.ts';

const launcher = path.join(import.meta.dirname, 'launch.cjs');
const nodeBinary = path.join(nodePackage, 'bin/node');
const loader = `${installedRuntime}/ld-linux-x86-64.so.2`;
const addon = `${installedRuntime}/journal_send.node`;

/**
 * Configuration of the blob of a single-executable application (Node 24). pkg passes all options to Node, including
 * those that its own type lacks.
 */
const seaConfig = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  // Node's own code cache would cover only launch.cjs. The program has a separate cache (code-cache.ts).
  useCodeCache: false,
  // Avoids memory that is both writable and executable, which SELinux's deny_execmem forbids. A young generation that
  // begins with 4 MiB instead of 1 MiB is collected a quarter as often, which saves processor time of the forwarder.
  execArgv: ['--jitless', '--min-semi-space-size=4'],
  // Ignores NODE_OPTIONS, because the environment must not change the behaviour of the agent.
  execArgvExtension: 'none',
};

/**
 * Bundles a program and combines it with Node in one executable that uses the private runtime. Downloads nothing.
 * @param entry the TypeScript or JavaScript file of the program
 * @param out the executable; rebuilt only if the bundle, Node or this recipe changed
 * @param warmUp the arguments of a run during the build, whose compiled code goes into the code cache
 * @param assets the names and texts of further assets, which the program reads with `getAsset` of node:sea
 * @returns the files in the bundle, relative to the project's root
 */
export async function buildExecutable({
  entry,
  out,
  warmUp = [],
  assets = () => ({}),
}: {
  entry: string;
  out: string;
  warmUp?: string[];
  assets?: (inputs: readonly string[]) => Record<string, string>;
}): Promise<string[]> {
  const { code, inputs } = await bundle(entry);
  const name = path.basename(out);
  const nodeVersion = fs.readFileSync(path.join(nodePackage, 'package.json'), 'utf8');
  const files = [
    ...recipe('executable.ts'),
    ...recipe('code-cache.ts'),
    ...recipe('*.cjs'),
    ...recipe('read-mappings.c'),
  ];
  const texts = assets(inputs);
  const fixture = JSON.stringify(warmUpGuest);
  const key = digest({ texts: [code, nodeVersion, out, JSON.stringify(texts), fixture, ...warmUp], files });
  await once({ name, key, outputs: [out], make: () => link({ code, warmUp, texts, out }) });
  return inputs;
}

/**
 * Bundles a program into one CommonJS text with minified white space. Names are kept, so that stack traces are
 * readable.
 */
export async function bundle(entry: string): Promise<{ code: string; inputs: string[] }> {
  const result = await esbuild({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    legalComments: 'none',
    minifyWhitespace: true,
    lineLimit: 120,
    logLevel: 'warning',
    plugins: [journalAddon, lazyChildren, checkDocumentation],
  });
  return {
    code: removeCopies(result.outputFiles[0]?.text ?? ''),
    inputs: Object.keys(result.metafile.inputs),
  };
}

/**
 * Removes the copies that esbuild makes of every builtin module whose default export is imported, which take 3 ms at
 * each start. A copy is superfluous if only the default export is used, because the default export is the module
 * itself. test/packaging/bundle.test.ts names the version of esbuild that writes this form.
 */
export function removeCopies(code: string): string {
  return code.replace(
    /\b(import_\w+)=__toESM\((require\("node:[\w/]+"\)),1\)/g,
    (whole, name: string, module) => {
      const uses = [...code.matchAll(new RegExp(`\\b${name}\\b(?!\\.default\\b)`, 'g'))].length;
      // The declaration counts as one use. In a module that is evaluated lazily, the assignment is a second use.
      const own = code.includes(`var ${name}=`) ? 1 : 2;
      return uses === own ? `${name}={default:${module}}` : whole;
    },
  );
}

/**
 * Makes systemd-journald load its addon from the private runtime instead of from its own directory. A bundled addon
 * would have to be unpacked to a writable and executable directory. The addon is loaded when the module is first
 * required, so that a missing file causes an Error at that point and not at the start of the agent.
 */
const journalAddon: Plugin = {
  name: 'journal-addon',
  setup(build) {
    build.onResolve({ filter: /\/journal_send\.node$/ }, () => ({ path: addon, namespace: 'addon' }));
    build.onLoad({ filter: /.*/, namespace: 'addon' }, ({ path: file }) => ({
      contents: `process.dlopen(module, ${JSON.stringify(file)});`,
      loader: 'js',
    }));
  },
};

/**
 * Loads node:child_process only when commander uses it, because the module takes longer to load than commander itself.
 * The agent has no subcommands that are separate programs.
 */
const lazyChildren: Plugin = {
  name: 'lazy-children',
  setup(build) {
    build.onResolve({ filter: /^node:child_process$/ }, ({ path: file, importer }) =>
      importer.includes('/commander/') ? { path: file, namespace: 'lazy' } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path: file }) => ({
      contents: `export default { get spawn() { return require(${JSON.stringify(file)}).spawn; } };`,
      loader: 'js',
    }));
  },
};

/** Compiles the documentation of the checks in, because the executable has no Markdown files to read. */
const checkDocumentation: Plugin = {
  name: 'check-documentation',
  setup(build) {
    build.onLoad({ filter: /\/agent\/checks\/documentation\.ts$/ }, () => ({
      contents: `export const documentation = ${JSON.stringify(documentation)};`,
      loader: 'js',
    }));
  },
};

/**
 * Links Node, the program and its cache to an executable. patchelf runs last, because the base binary generates the
 * blob and must therefore run on the build machine.
 */
async function link({
  code,
  warmUp,
  texts,
  out,
}: {
  code: string;
  warmUp: string[];
  texts: Record<string, string>;
  out: string;
}): Promise<void> {
  const folder = path.join(scratch, `link-${process.pid}-${path.basename(out)}`);
  fs.mkdirSync(folder, { recursive: true });
  try {
    const linked = path.join(folder, 'linked');
    const node = strippedNode();
    await buildProgram('read-mappings');
    buildCodeCache(folder, { node, flags: seaConfig.execArgv, code, args: warmUp });
    fs.copyFileSync(launcher, path.join(folder, 'immutafs-agent.cjs'));
    for (const [name, text] of Object.entries(texts)) fs.writeFileSync(path.join(folder, name), text);
    await inject({ folder, base: node, output: linked, assets: Object.keys(texts) });
    // Use two calls, in this order, because patchelf 0.18 otherwise writes an executable that segfaults. Use DT_RPATH
    // and not DT_RUNPATH, because DT_RPATH also applies to the dependencies of the libraries.
    execFileSync('patchelf', ['--force-rpath', '--set-rpath', installedRuntime, linked]);
    execFileSync('patchelf', ['--set-interpreter', loader, linked]);
    fs.mkdirSync(path.dirname(out), { recursive: true });
    fs.renameSync(linked, out);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/**
 * Runs pkg's SEA step on `folder`/immutafs-agent.cjs and the files `assets` of `folder`. With the path of a base binary,
 * pkg uses neither a server nor a cache. pkg works in a new directory below TMPDIR. The executable contains the path of
 * its source relative to that directory. The relative path is the same in every build and does not depend on the build
 * machine.
 */
async function inject({
  folder,
  base,
  output,
  assets,
}: {
  folder: string;
  base: string;
  output: string;
  assets: readonly string[];
}): Promise<void> {
  const version = execFileSync(base, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const target = { nodeRange: `node${version}`, platform: 'linux', arch: 'x64', output } as const;
  const options = {
    targets: [target],
    nodePath: base,
    seaConfig: {
      ...seaConfig,
      main: '../immutafs-agent.cjs',
      assets: Object.fromEntries(
        ['program.cjs', 'program.cache', ...assets].map((name) => [name, `../${name}`]),
      ),
    },
  };
  // pkg prints its progress on stdout, which belongs to the caller.
  pkgLog.log.info = () => {};
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  try {
    await pkgSea.default(path.join(folder, 'immutafs-agent.cjs'), options);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}

/** Returns the path of a Node binary without symbols, which saves 18 MB. */
function strippedNode(): string {
  const stripped = path.join(
    scratch,
    `node-${digest({ files: [path.join(nodePackage, 'package.json')] }).slice(0, 16)}`,
  );
  if (!fs.existsSync(stripped)) {
    const partial = `${stripped}.${process.pid}`;
    fs.copyFileSync(nodeBinary, partial);
    execFileSync('strip', [partial]);
    fs.renameSync(partial, stripped);
  }
  return stripped;
}
