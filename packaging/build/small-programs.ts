import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { dist, inRoot } from './paths.ts';
import { digest, once, recipe } from './stamp.ts';

/** Compiler options whose result does not depend on the build machine. */
const options = [
  ...['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none'],
  ...['-fno-asynchronous-unwind-tables', '-Wall', '-Wextra', '-Werror', '-s'],
  '-Wl,-z,noseparate-code,-z,noexecstack,--build-id=none',
];

/** Compiles packaging/programs/set-readonly.c to dist/set-readonly, which goes into the initramfs. */
export function buildSetReadonly(): Promise<void> {
  return buildWithoutLibrary('set-readonly');
}

/** Compiles packaging/programs/set-mount-options.c to dist/set-mount-options, which goes into the initramfs. */
export function buildSetMountOptions(): Promise<void> {
  return buildWithoutLibrary('set-mount-options');
}

/** Compiles packaging/programs/make-mounts.c to dist/make-mounts, which goes into the initramfs. */
export function buildMakeMounts(): Promise<void> {
  return buildWithoutLibrary('make-mounts');
}

/** Compiles packaging/programs/try-write.c to dist/try-write, which the agent runs. */
export function buildTryWrite(): Promise<void> {
  return buildWithoutLibrary('try-write');
}

/** Compiles packaging/programs/read-xattrs.c to dist/read-xattrs, which `immutafs-agent changes` runs. */
export function buildReadXattrs(): Promise<void> {
  return buildWithoutLibrary('read-xattrs');
}

/** Compiles packaging/programs/read-mappings.c to dist/read-mappings, which the check foreign-programs runs. */
export function buildReadMappings(): Promise<void> {
  return buildWithoutLibrary('read-mappings');
}

async function buildWithoutLibrary(name: string): Promise<void> {
  const out = path.join(dist, name);
  const source = inRoot(`packaging/programs/${name}.c`);
  const headers = globSync(inRoot('packaging/programs/*.h')).sort();
  const files = [source, ...headers, ...recipe('small-programs.ts')];
  const make = () => {
    mkdirSync(dist, { recursive: true });
    execFileSync('gcc', [...options, '-o', `${out}.new`, source], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    renameSync(`${out}.new`, out);
  };
  await once({ name, key: digest({ files }), outputs: [out], make });
}
