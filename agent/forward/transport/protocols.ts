import type { Clock } from '../../system/clock.ts';
import { ExportEncoder } from '../encode/export-encoder.ts';
import type { Encoder } from '../encode/message.ts';
import { connectRelp, relpMessageBytes, relpWindow } from './relp/relp.ts';
import { connectSyslog, syslogMessageBytes, syslogWindow } from './syslog/syslog.ts';
import { SyslogEncoder } from '../encode/syslog-encoder.ts';
import type { Target } from './target.ts';
import type { ParserMode } from '../journal/tokenizer.ts';
import type { Connect } from './transport.ts';
import { connectUpload, uploadWindow } from './upload/upload.ts';

/** How a target's protocol is spoken. */
export interface Speech {
  connect: Connect;
  mode: ParserMode;
  encoder: (clock: Clock, hostname: string) => Encoder;
  /** Messages that may be without an answer, or not yet in the saved cursor. */
  window: number;
  /** Where more wait, no fewer are sent at once: or each answer, one by one, would let a single one go. */
  step: number;
  /** Nobody acknowledges single messages, and very many are on their way. */
  sparse: boolean;
  /** How much may wait for the server, in bytes: little, but enough for a request of many entries. */
  queueBytes: number;
}

export function speech({ protocol, carrier }: Target): Speech {
  switch (protocol) {
    case 'relp':
      return {
        connect: connectRelp,
        ...syslogMessages(relpMessageBytes),
        window: relpWindow,
        step: relpWindow / 4,
        sparse: false,
        queueBytes: 0,
      };
    case 'syslog':
      return {
        connect: connectSyslog,
        ...syslogMessages(syslogMessageBytes(carrier)),
        window: syslogWindow,
        step: 1,
        sparse: true,
        queueBytes: 0,
      };
    case 'journal':
      return {
        connect: connectUpload,
        mode: 'whole',
        encoder: (clock, hostname) => new ExportEncoder(clock, hostname),
        window: uploadWindow,
        step: 1,
        sparse: false,
        queueBytes: 256 * 1024,
      };
  }
}

function syslogMessages(limit: number): Pick<Speech, 'mode' | 'encoder'> {
  return { mode: 'skim', encoder: (clock, hostname) => new SyslogEncoder(limit, clock, hostname) };
}
