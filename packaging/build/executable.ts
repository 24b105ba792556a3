import pkgLog from '@yao-pkg/pkg/lib-es5/log.js';
import pkgSea from '@yao-pkg/pkg/lib-es5/sea.js';
import { build as esbuild, type Plugin } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { buildCodeCache } from './code-cache.ts';
import { installedRuntime, nodePackage, root, scratch } from './paths.ts';
import { digest, once, recipe } from './stamp.ts';

const launcher = path.join(import.meta.dirname, 'launch.cjs');
const nodeBinary = path.join(nodePackage, 'bin/node');
const loader = `${installedRuntime}/ld-linux-x86-64.so.2`;
const addon = `${installedRuntime}/journal_send.node`;

/** What goes into Node's single-executable blob; pkg passes on what its own type does not know (Node 24). */
const seaConfig = {
  disableExperimentalSEAWarning: true,
  useSnapshot: false,
  // Of launch.cjs; the program has a better one.
  useCodeCache: false,
  // Without writable and executable memory, so that SELinux's deny_execmem does not end the process.
  execArgv: ['--jitless'],
  // NODE_OPTIONS is ignored: an environment must not change what the agent does.
  execArgvExtension: 'none',
};

/**
 * Bundles a program and joins it with Node to one executable on the private runtime. Fetches nothing.
 * @param entry the TypeScript or JavaScript file to begin with
 * @param out the executable; made anew only if the bundle, Node or this recipe changed
 * @param rehearsal the arguments for which it is to start the quickest; they are run here
 * @returns the files that went into the bundle, relative to the project's root
 */
export async function buildExecutable({
  entry,
  out,
  rehearsal = [],
}: {
  entry: string;
  out: string;
  rehearsal?: string[];
}): Promise<string[]> {
  const { code, inputs } = await bundle(entry);
  const name = path.basename(out);
  const nodeVersion = readFileSync(path.join(nodePackage, 'package.json'), 'utf8');
  const files = [...recipe('executable.ts'), ...recipe('code-cache.ts'), ...recipe('*.cjs')];
  const key = digest({ texts: [code, nodeVersion, out, ...rehearsal], files });
  await once({ name, key, outputs: [out], make: () => link(code, rehearsal, out) });
  return inputs;
}

/** One CommonJS text, for a quick start without needless space; names stay, so that stack traces can be read. */
async function bundle(entry: string): Promise<{ code: string; inputs: string[] }> {
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
    plugins: [journalAddon, lazyChildren],
  });
  return {
    code: withoutCopies(result.outputFiles[0]?.text ?? ''),
    inputs: Object.keys(result.metafile.inputs),
  };
}

/**
 * esbuild copies every property of a builtin whose default export is imported, 3 ms of the program's start. Where the
 * default is all that is used, which is the module itself, there is nothing to copy.
 */
function withoutCopies(code: string): string {
  return code.replace(
    /\b(import_\w+)=__toESM\((require\("node:[\w/]+"\)),1\)/g,
    (whole, name: string, module) => {
      const uses = [...code.matchAll(new RegExp(`\\b${name}\\b(?!\\.default\\b)`, 'g'))].length;
      // Its declaration is one; in a module that is evaluated later, the assignment is another.
      const own = code.includes(`var ${name}=`) ? 1 : 2;
      return uses === own ? `${name}={default:${module}}` : whole;
    },
  );
}

/**
 * systemd-journald requires its addon by a path inside its own folder. On the guest it is a file of the
 * private runtime; a bundled one would have to be unpacked to a place that is executable and writable. It is
 * loaded when the module is first required, so a missing one is an Error there and not at the start.
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

/** commander starts no program for the agent, and what could takes longer to load than commander itself. */
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

/** Blob and Node first, patchelf last: the blob is generated by the base binary, which must run here. */
async function link(code: string, rehearsal: string[], out: string): Promise<void> {
  const folder = path.join(scratch, `link-${process.pid}-${path.basename(out)}`);
  mkdirSync(folder, { recursive: true });
  try {
    const made = path.join(folder, 'made');
    const node = strippedNode();
    buildCodeCache(folder, { node, flags: seaConfig.execArgv, code, args: rehearsal });
    copyFileSync(launcher, path.join(folder, 'immutafs-agent.cjs'));
    await inject(folder, node, made);
    // Two calls and in this order: patchelf 0.18 otherwise writes an executable that segfaults.
    // DT_RPATH, not DT_RUNPATH: it also counts for what the libraries themselves need.
    execFileSync('patchelf', ['--force-rpath', '--set-rpath', installedRuntime, made]);
    execFileSync('patchelf', ['--set-interpreter', loader, made]);
    mkdirSync(path.dirname(out), { recursive: true });
    renameSync(made, out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * pkg's SEA step on `folder`/immutafs-agent.cjs. Given a base binary by path it asks no server and no cache.
 * pkg works in a new folder below TMPDIR: a path relative to that one is what the executable then has for its
 * own source, the same in every build, and nothing of the build machine.
 */
async function inject(folder: string, base: string, output: string): Promise<void> {
  const version = execFileSync(base, ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const target = { nodeRange: `node${version}`, platform: 'linux', arch: 'x64', output } as const;
  const options = {
    targets: [target],
    nodePath: base,
    seaConfig: {
      ...seaConfig,
      main: '../immutafs-agent.cjs',
      assets: { 'program.cjs': '../program.cjs', 'program.cache': '../program.cache' },
    },
  };
  // Its progress lines go to stdout, where a caller may have an answer of its own to give.
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

/** Node without its symbols, 18 MB less. */
function strippedNode(): string {
  const stripped = path.join(
    scratch,
    `node-${digest({ files: [path.join(nodePackage, 'package.json')] }).slice(0, 16)}`,
  );
  if (!existsSync(stripped)) {
    const partial = `${stripped}.${process.pid}`;
    copyFileSync(nodeBinary, partial);
    execFileSync('strip', [partial]);
    renameSync(partial, stripped);
  }
  return stripped;
}
