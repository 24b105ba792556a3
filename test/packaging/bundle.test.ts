/** Tests what packaging/build/executable.ts relies on and no interface of esbuild or pkg promises. */
import pkgLog from '@yao-pkg/pkg/lib-es5/log.js';
import pkgSea from '@yao-pkg/pkg/lib-es5/sea.js';
import { buildSync } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { explain } from '../../agent/report/explain.ts';
import { bundle as bundleProgram, removeCopies } from '../../packaging/build/executable.ts';
import { root } from '../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';

const require = createRequire(import.meta.url);
const versionOf = (name: string) => (require(`${name}/package.json`) as { version: string }).version;

function bundle(contents: string): string {
  const { outputFiles } = buildSync({
    ...{
      stdin: { contents, sourcefile: 'x.mjs' },
      bundle: true,
      write: false,
      platform: 'node',
      format: 'cjs',
    },
    minifyWhitespace: true,
  });
  return outputFiles[0]?.text ?? '';
}

const esbuild = suite('esbuild 0.28.2');
esbuild('the version', () => assert.is(versionOf('esbuild'), '0.28.2'));
esbuild('the copy of a builtin module is removed if only the default export is used', () => {
  const code = bundle("import fs from 'node:fs'; fs.readFileSync('x');");
  assert.match(code, 'import_node_fs=__toESM(require("node:fs"),1)');
  assert.match(removeCopies(code), 'import_node_fs={default:require("node:fs")}');
});
esbuild('the copy is kept if another export is used as well', () => {
  const code = bundle("import fs, { statSync } from 'node:fs'; fs.readFileSync('x'); statSync('y');");
  assert.match(code, '__toESM(require("node:fs"),1)');
  assert.is(removeCopies(code), code);
});
esbuild.run();

/**
 * Returns the modules that `entry` loads at its start, without those that it imports when they are needed; and which of them
 * import node:child_process.
 */
function loadedAtStart(entry: string) {
  const { metafile } = buildSync({
    ...{ absWorkingDir: root, entryPoints: [entry], outdir: 'out', write: false, metafile: true },
    ...{ bundle: true, splitting: true, platform: 'node', format: 'esm', external: ['*.node'] },
  });
  const loaded = new Set([`out/${path.basename(entry, '.ts')}.js`]);
  for (const file of loaded) {
    for (const { path, kind } of metafile.outputs[file]?.imports ?? [])
      if (kind !== 'dynamic-import') loaded.add(path);
  }
  const modules = [...loaded].flatMap((file) => [file, ...Object.keys(metafile.outputs[file]?.inputs ?? {})]);
  const starting = modules.filter((name) =>
    metafile.inputs[name]?.imports.some(({ path }) => path === 'node:child_process'),
  );
  return { modules, starting };
}

/** The only module that may import node:child_process at the start, because the build makes it load it later (executable.ts). */
const startsLater = 'node_modules/commander/lib/command.js';

const start = suite('start of the agent');
start('modules that take long to load are left to the commands that need them', () => {
  const { modules: loaded, starting } = loadedAtStart('agent/main.ts');
  for (const name of ['node:fs', 'agent/cli.ts']) assert.ok(loaded.includes(name), name);
  const late = [
    ...['node:crypto', 'node:tls', 'node:http', 'node:zlib', 'node:perf_hooks', 'node:stream'],
    ...['agent/checks/index.ts', 'agent/checks/documentation.ts', 'agent/commands/prepare.ts'],
  ];
  assert.equal(
    late.filter((name) => loaded.includes(name)),
    [],
  );
  assert.equal(starting, [startsLater]);
});
start('`status` leaves the table of services to a guest with an overlay on /var', () => {
  const { modules: loaded } = loadedAtStart('agent/commands/status.ts');
  assert.ok(loaded.includes('agent/checks/var.ts'));
  assert.not.ok(loaded.includes('agent/services/services.json'));
});
start('the documentation of the checks is in the bundle, which has no files of the project', async () => {
  const { code } = await bundleProgram('agent/main.ts');
  const shown = inTemporaryDirectory((folder) => {
    const program = path.join(folder, 'program.cjs');
    writeFileSync(program, code);
    return execFileSync(process.execPath, [program, 'status', '--explain', 'footholds'], {
      encoding: 'utf8',
    });
  });
  assert.is(shown, explain('footholds'));
});
start.run();

const pkg = suite('@yao-pkg/pkg 6.23.0');
pkg('the version', () => assert.is(versionOf('@yao-pkg/pkg'), '6.23.0'));
pkg('the modules of lib-es5 that the build imports', () => {
  assert.type(pkgLog.log.info, 'function');
  assert.type(pkgSea.default, 'function');
});
pkg.run();
