/** Returns a path in the form of a unit name (systemd-escape(1) --path). @param path absolute, one character per byte */
export function escapePath(path: string): string {
  const plain = path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/');
  if (plain === '') return '-';
  return plain
    .replace(/[^\w:./]|^\./g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll('/', '-');
}
