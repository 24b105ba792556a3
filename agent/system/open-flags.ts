/** O_PATH (asm-generic/fcntl.h), for which Node has no name: opens a name and not the device or FIFO behind it. */
export const O_PATH = 0o10000000;
