/** node packaging/build/tables.ts: writes packaging/immutafs.conf, which the keys of the agent determine. */
import { writeFileSync } from 'node:fs';
import type { Key } from '../../agent/config/keys.ts';
import { documentedKeys } from '../docs/key-texts.ts';
import { inRoot } from './paths.ts';

/** Returns packaging/immutafs.conf: each key, commented out, with its default. */
function shippedConfiguration(): string {
  const from = (when: Key['from']) =>
    documentedKeys
      .filter(([, key]) => key.from === when)
      .map(([name]) => name)
      .join(', ');
  const head = [
    'Configuration of immutafs-agent. Read at boot and by the agent; immutafs.conf(5) describes each key.',
    '',
    `Lines are KEY=value: no quotes, no spaces around "=", no comment after a value. The values that are commented out are the defaults. An unknown key or an invalid value causes a warning at boot. For an invalid value, the default is used, or the strictest value if the default is less strict. A change takes effect at the next boot (${from('boot')}), with the next initramfs (${from('initramfs')}), or at the next check and the next start of the forwarder (all other keys).`,
  ];
  const items = documentedKeys.map(
    ([name, { comment, initial }]) => `${wrap(comment, '# ')}\n#${name}=${initial}\n`,
  );
  return [`${head.map((text) => wrap(text, '# ')).join('\n')}\n`, ...items].join('\n');
}

/** Wraps a text. @param prefix of each line @param end of each line except the last */
function wrap(text: string, prefix: string, end = ''): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && `${prefix}${last} ${word}${end}`.length > 120) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => `${prefix}${line}`.trimEnd()).join(`${end}\n`);
}

/** The files with their content. */
export const tables: Readonly<Record<string, string>> = {
  'packaging/immutafs.conf': shippedConfiguration(),
};

if (import.meta.main) {
  for (const [file, text] of Object.entries(tables)) writeFileSync(inRoot(file), text);
}
