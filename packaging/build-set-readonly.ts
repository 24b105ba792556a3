import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { dist, inRoot } from './build-paths.ts';
import { digest, once, recipe } from './build-stamp.ts';

/** Small, and nothing in it that depends on the machine that builds. */
const options = [
  ...['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none'],
  ...['-fno-asynchronous-unwind-tables', '-Wall', '-Wextra', '-Werror', '-s'],
  '-Wl,-z,noseparate-code,-z,noexecstack,--build-id=none',
];

/** Compiles packaging/set-readonly.c to dist/set-readonly, which goes into the initramfs. */
export async function buildSetReadonly(): Promise<void> {
  const out = path.join(dist, 'set-readonly');
  const source = inRoot('packaging/set-readonly.c');
  const files = [source, ...recipe('build-set-readonly.ts')];
  const make = () => {
    mkdirSync(dist, { recursive: true });
    execFileSync('gcc', [...options, '-o', `${out}.new`, source], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    renameSync(`${out}.new`, out);
  };
  await once({ name: 'set-readonly', key: digest({ files }), outputs: [out], make });
}
