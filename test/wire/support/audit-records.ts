/** Returns the records of one event after `type=`: the type, and the text after the id. */
type Kind = (serial: number) => [string, string][];

const kinds: Kind[] = [
  (serial) => [
    [
      'USER_LOGIN',
      `pid=${serial} uid=0 auid=1000 ses=3 subj=system_u:system_r:sshd_t:s0 msg='op=login id=1000 exe="/usr/sbin/sshd" hostname=192.0.2.${serial % 250} addr=192.0.2.1 terminal=/dev/pts/0 res=success'\x1dUID="root" AUID="admin" ID="admin"`,
    ],
  ],
  (serial) => [
    [
      'SYSCALL',
      `arch=c000003e syscall=59 success=yes exit=0 a0=55d0c0 a1=55d0e0 a2=55d100 a3=8 items=2 ppid=900 pid=${serial} auid=1000 uid=0 gid=0 tty=pts0 ses=3 comm="ls" exe="/usr/bin/ls" subj=unconfined_u:unconfined_r:unconfined_t:s0 key="exec"\x1dARCH=x86_64 SYSCALL=execve AUID="admin" UID="root"`,
    ],
    ['EXECVE', 'argc=3 a0="ls" a1="-l" a2="/root"'],
    ['CWD', 'cwd="/root"'],
    ['PATH', 'item=0 name="/usr/bin/ls" inode=1234 dev=fd:00 mode=0100755 ouid=0 ogid=0 nametype=NORMAL'],
    ['PATH', 'item=1 name="/lib64/ld-linux-x86-64.so.2" inode=77 dev=fd:00 mode=0100755 nametype=NORMAL'],
    ['PROCTITLE', 'proctitle=6C73002D6C002F726F6F74'],
  ],
  (serial) => [
    [
      'AVC',
      `avc:  denied  { read } for  pid=${serial} comm="httpd" name="shadow" dev="dm-0" ino=99 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0`,
    ],
    ['SYSCALL', `arch=c000003e syscall=257 success=no exit=-13 pid=${serial} comm="httpd" key=(null)`],
  ],
];

/** Every so many records, one has bytes that are not UTF-8. */
const binaryStep = 997;
const longBytes = 100_000;

/**
 * Returns records in the format of auditd, all different, one character per byte (latin1). One of them is 100 KB long.
 * The serial numbers ascend.
 */
export function auditRecords(count: number): string[] {
  const records: string[] = [];
  for (let serial = 1000; records.length < count; serial += 1) {
    const time = String(1_700_000_000_000 + 3 * serial);
    const id = `msg=audit(${time.slice(0, -3)}.${time.slice(-3)}:${serial}):`;
    const kind = kinds[serial % kinds.length] as Kind;
    for (const [type, text] of kind(serial)) {
      const binary = records.length % binaryStep === 0 ? ' name=\xff\xfe\x80\xc3' : '';
      const long = records.length === Math.floor(count / 2) ? ` data=${longText()}` : '';
      records.push(`type=${type} ${id} ${text}${binary}${long}`);
    }
  }
  return records.slice(0, count);
}

function longText(): string {
  let text = '';
  for (let number = 0; text.length < longBytes; number += 1) text += `${number},`;
  return text;
}
