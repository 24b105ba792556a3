/** journald's MESSAGE_ID of what the forwarder logs; never changed, never reused. */
export const forwardMessageIds = {
  connected: '7772539a603b4b1f985fff7b85bb1b22',
  waiting: '043a44dadc574436b902d5e2f1a0a071',
  trouble: '397d99b7a76a4838bbe09274d46ea346',
  ended: '8a23d582ee17439081aeb421a0f81b05',
};
