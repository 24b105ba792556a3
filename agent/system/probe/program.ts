/**
 * Returns an ELF executable for x86-64 (elf(5)) that exits with 1 if its effective user is root, else with 0. A script
 * cannot be used, because the kernel ignores the set-user-ID bit of scripts (fs/binfmt_script.c).
 */
export function probeProgram(): Buffer {
  const code = Buffer.from(
    [
      'b86b000000', // mov eax, 107 (geteuid)
      '0f05', // syscall
      '31ff', // xor edi, edi
      '85c0', // test eax, eax
      '400f94c7', // sete dil
      'b83c000000', // mov eax, 60 (exit)
      '0f05', // syscall
    ].join(''),
    'hex',
  );
  const header = Buffer.alloc(headerBytes);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(62, 18); // EM_X86_64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(base + BigInt(headerBytes), 24); // entry
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  const size = BigInt(headerBytes + code.length);
  header.writeUInt32LE(1, 64); // PT_LOAD
  header.writeUInt32LE(5, 68); // readable, executable
  header.writeBigUInt64LE(base, 80);
  header.writeBigUInt64LE(base, 88);
  header.writeBigUInt64LE(size, 96);
  header.writeBigUInt64LE(size, 104);
  header.writeBigUInt64LE(4096n, 112);
  return Buffer.concat([header, code]);
}

const headerBytes = 64 + 56;
const base = 0x400000n;
