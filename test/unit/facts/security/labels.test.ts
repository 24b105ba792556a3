import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expectedType } from '../../../../agent/facts/security/labels.ts';

const contexts = suite('file_contexts');
const policy = `
/.*\ta:b:default_t:s0
/var/.*\ta:b:var_t:s0
/var\t-d\ta:b:var_t:s0
/var\t-l\ta:b:link_t:s0
/var/log/.*\ta:b:var_log_t:s0
/var/log/audit(/.*)?\ta:b:auditd_log_t:s0
/var/log\t-d\ta:b:var_log_t:s0
/var/spool/.*\t--\ta:b:spool_file_t:s0
/var/none\t<<none>>
/tmp\t-d\ta:b:tmp_t:s0
/tmp/.*\t<<none>>
/bad[\ta:b:bad_t:s0
`;
for (const [target, type] of [
  ['/var', 'var_t'],
  ['/var/log', 'var_log_t'],
  ['/var/log/audit', 'auditd_log_t'],
  ['/var/lib', 'var_t'],
  ['/var/spool/x', 'var_t'],
  ['/var/none', undefined],
  ['/tmp', 'tmp_t'],
  ['/tmp/x', undefined],
  ['/srv', 'default_t'],
  ['/bad', 'default_t'],
] as const) {
  contexts(target, () => assert.is(expectedType(policy, target), type));
}
contexts('any text: no error', () => {
  fc.assert(fc.property(fc.string(), (text) => void expectedType(`/v${text}\n/va${text} x`, '/var')));
});
contexts.run();
