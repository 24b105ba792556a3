/**
 * Returns POSIX sh for `inNamespace` that sets up a private /run and /etc, and the folder of a forwarder that runs as
 * the user $forwarder. The function `as USER COMMAND…` runs a command as a different user. `wait_at FILE` writes to a
 * FIFO in the background and then creates /mnt/opened; the write blocks until a process opens the FIFO for reading.
 * @param config lines of immutafs.conf
 */
export function forwarderDirectory(config = 'FORWARD=relp://log:2514'): string {
  return `
mount -t tmpfs -o mode=0755 run /run
mkdir -p /run/immutafs/forward /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work conf /etc
mkdir -p /etc/immutafs
printf '%s\\n' '${config}' >/etc/immutafs/immutafs.conf
forwarder=4242 state=/run/immutafs/forward/state.json
chown $forwarder:$forwarder /run/immutafs/forward
as() { user=$1; shift; setpriv --reuid "$user" --regid "$user" --clear-groups -- "$@"; }
wait_at() { (echo x >"$1"; : >/mnt/opened) >/dev/null 2>&1 & writer=$!; trap 'kill $writer' EXIT; sleep 0.2; }
`;
}
