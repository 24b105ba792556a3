/** sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED. */
export const suppression = '\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n';

/** Only journald itself is believed; anybody may log such a MESSAGE_ID. */
export function suppressed(text: string): number {
  if (!text.includes('\n_TRANSPORT=driver\n')) return 0;
  return Number(/\nMESSAGE=Suppressed ([0-9]{1,9}) messages? /.exec(text)?.[1] ?? 0);
}
