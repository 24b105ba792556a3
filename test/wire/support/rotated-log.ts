import fs from 'node:fs';
import path from 'node:path';

/** A log file that a program keeps open while it is rotated. Nothing is ever removed. */
export class RotatedLog {
  readonly file: string;
  #fd: number;

  constructor(file: string) {
    this.file = file;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    this.#fd = fs.openSync(file, 'a');
  }

  /** @param text one character per byte (latin1) */
  append(text: string): void {
    fs.writeSync(this.#fd, Buffer.from(text, 'latin1'));
  }

  /** Renames the log as auditd(8) does. The program writes to the renamed file until it opens the log again. */
  rename(): void {
    this.#shift();
    fs.renameSync(this.file, `${this.file}.1`);
  }

  /** Whether the program writes to the file with the name of the log. */
  get isOpen(): boolean {
    return fs.statSync(this.file, { throwIfNoEntry: false })?.ino === fs.fstatSync(this.#fd).ino;
  }

  reopen(): void {
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(this.file, 'a');
  }

  /** Copies the log and truncates it (logrotate(8), copytruncate). */
  copyTruncate(): void {
    this.#shift();
    fs.copyFileSync(this.file, `${this.file}.1`);
    fs.truncateSync(this.file);
  }

  #shift(): void {
    let last = 0;
    while (fs.existsSync(`${this.file}.${last + 1}`)) last += 1;
    for (let number = last; number > 0; number -= 1)
      fs.renameSync(`${this.file}.${number}`, `${this.file}.${number + 1}`);
  }
}

/** A log whose program writes blocks of the size of its buffer, so that a block may end within a line. */
export class BufferedLog extends RotatedLog {
  readonly lines: string[] = [];
  #buffer = '';

  write(line: string): void {
    this.lines.push(line);
    this.#buffer += `${line}\n`;
    for (; this.#buffer.length >= 4096; this.#buffer = this.#buffer.slice(4096))
      this.append(this.#buffer.slice(0, 4096));
  }

  /** Opens the log again if it was renamed. No line begins in one file and ends in another. */
  override reopen(): void {
    if (this.isOpen) return;
    this.flush();
    super.reopen();
  }

  flush(): void {
    this.append(this.#buffer);
    this.#buffer = '';
  }
}
