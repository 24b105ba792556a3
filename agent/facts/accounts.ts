import type { SystemReader } from '../system/reader.ts';

/** A line of /etc/passwd (passwd(5)), one character per byte (latin1). A missing field is empty. */
export interface Account {
  name: string;
  uid: string;
  gid: string;
  home: string;
  shell: string;
}

/** Returns the local accounts; none if there is no file. @throws SystemError if it cannot be read */
export function readAccounts(reader: SystemReader): Account[] {
  const text = reader.readIfPresent('/etc/passwd', 1024 * 1024) ?? '';
  return text.split('\n').map((line) => {
    const [name = '', , uid = '', gid = '', , home = '', shell = ''] = line.split(':');
    return { name, uid, gid, home, shell };
  });
}
