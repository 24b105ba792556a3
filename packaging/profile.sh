# shellcheck shell=sh
# At login, prints the notice that the last check wrote if the guest is in maintenance mode or checks fail.
case $- in
  *i*) if [ -f /run/immutafs/login ] && [ -s /run/immutafs/login ] && [ ! -L /run/immutafs/login ]; then cat /run/immutafs/login; fi ;;
esac
