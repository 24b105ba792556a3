import { type SystemReader, namesIfThere } from '../../../system/reader.ts';
import { textIfThere } from '../../engine/snapshot.ts';

export const keytab = '/etc/krb5.keytab';
const sssdConf = '/etc/sssd/sssd.conf';
const sssdFolder = '/etc/sssd/conf.d';
/** The programs with which sssd renews the password of the machine account (ad_machine_pw_renewal.c). */
const renewers = ['/usr/sbin/adcli', '/usr/sbin/realm'];

/**
 * Whether sssd will renew the password of the machine account and write the keytab: a search for changes finds this only
 * if a renewal, every 30 days, happens to be in its period. sssd renews for each domain with the AD provider, unless
 * ad_maximum_machine_account_password_age is 0 (sssd-ad(5)), if adcli or realm is installed.
 */
export function isKeytabRenewed(reader: SystemReader): boolean {
  if (reader.stat(keytab)?.kind !== 'file') return false;
  if (renewers.every((program) => reader.stat(program) === undefined)) return false;
  const snippets = namesIfThere(reader, sssdFolder).filter((name) => /^[^.].*\.conf$/.test(name));
  const texts = [sssdConf, ...snippets.map((name) => `${sssdFolder}/${name}`)].map(
    (file) => textIfThere(reader, file) ?? '',
  );
  const domains = [...sectionsOf(texts)].filter(([name]) => name.startsWith('domain/'));
  return domains.some(
    ([, options]) =>
      options.get('id_provider') === 'ad' &&
      Number(options.get('ad_maximum_machine_account_password_age') ?? 30) !== 0,
  );
}

/** Parses ini files (sssd.conf(5)). A later file overrides the options of an earlier one. */
function sectionsOf(texts: readonly string[]): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  for (const text of texts) {
    let options = new Map<string, string>();
    for (const line of text.split('\n')) {
      const [, section] = /^\s*\[([^\]]*)\]/.exec(line) ?? [];
      if (section !== undefined) {
        options = sections.get(section) ?? new Map<string, string>();
        sections.set(section, options);
      }
      const [, key, value = ''] = /^\s*([^#;=\s][^=\s]*)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key !== undefined) options.set(key.toLowerCase(), value.toLowerCase());
    }
  }
  return sections;
}
