/**
 * A step that copies a program to every writable mount and runs it there. It prints which users ran it in which mounts,
 * then how many mounts it tried.
 */
export const runEverywhere = `tried=0
while read -r _ _ _ _ target flags rest; do
  case $flags in rw*) ;; *) continue ;; esac
  cp /bin/true "$target/planted" 2>/dev/null || continue
  tried=$((tried + 1))
  for user in root alice; do
    setpriv --reuid=$user --clear-groups "$target/planted" 2>/dev/null && echo "ran as $user in $target"
  done
  rm -f "$target/planted"
done </proc/self/mountinfo
echo "tried $tried"`;
