/** grub.cfg of RHEL 7, shortened. */
export const rhel7GrubConfig = `set timeout=5
menuentry 'RHEL 7' --class red {
\tsearch --no-floppy --fs-uuid --set=root 1f5a
\tlinux16 /vmlinuz-3.10.0-1160 root=/dev/mapper/rhel-root ro resume=/dev/mapper/rhel-swap rhgb quiet
\tinitrd16 /initramfs-3.10.0-1160.img
}
menuentry 'rescue' {
\tlinuxefi /vmlinuz-0-rescue-0123
\tlinux16 /memtest86+ x
}
`;
