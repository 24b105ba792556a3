import { readFileSync } from 'node:fs';
import { type Config, type Key, keys } from '../../agent/config/keys.ts';
import { paragraphs } from '../../agent/lib/paragraphs.ts';
import { inRoot } from '../build/paths.ts';

/** The texts about a key. */
export interface KeyTexts {
  /** The comment in packaging/immutafs.conf. */
  comment: string;
  /** The text in the manual page. */
  meaning: string;
}

/** The keys with their texts, in the order of the manual page. */
export const documentedKeys: readonly [name: keyof Config, key: Key & KeyTexts][] = withTexts(
  readTexts(readFileSync(inRoot('agent/config/keys.md'), 'utf8')),
);

/** Reads the sections of keys.md. @throws Error if one has no text, or anything else than paragraphs */
export function readTexts(page: string): [name: string, texts: KeyTexts][] {
  const sections = page.split(/^## /m).slice(1);
  return sections.map((section) => {
    const [name = '', ...lines] = section.split('\n');
    const [comment, ...others] = paragraphs(lines.join('\n'), `agent/config/keys.md: ${name}`);
    return [name, { comment, meaning: others.length === 0 ? comment : others.join(' ') }];
  });
}

/** @throws Error if the texts are not exactly those of the keys, in the same order */
export function withTexts(texts: readonly (readonly [string, KeyTexts])[]): [keyof Config, Key & KeyTexts][] {
  const names = Object.keys(keys) as (keyof Config)[];
  const found = texts.map(([name]) => name).join(' ');
  if (found !== names.join(' ')) {
    throw new Error(`agent/config/keys.md: the sections must be ${names.join(' ')}; found: ${found}`);
  }
  return texts.map(([name, own]) => [name as keyof Config, { ...keys[name as keyof Config], ...own }]);
}
