# shellcheck shell=sh
# Tells who logs in what the last check has left: that this guest is in maintenance, and what does not pass.
case $- in
  *i*) if [ -f /run/immutafs/login ] && [ -s /run/immutafs/login ] && [ ! -L /run/immutafs/login ]; then cat /run/immutafs/login; fi ;;
esac
