#!/bin/sh
# First process of an emulated instance: does with haulier-worker.service what systemd does on a real one. Runs boot as
# the unit's user, once, with the unit's environment; whatever comes of it, the machine powers off.
trap 'exit 0' TERM
cd /
setpriv --reuid=haulier --regid=haulier --init-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- \
  sh -c 'set -a; . /etc/haulier/environment; set +a; RUNTIME_DIRECTORY=/run/haulier CACHE_DIRECTORY=/var/cache/haulier exec /usr/lib/haulier/boot' &
wait $!
echo "haulier-worker.service has ended with status $?"
/usr/lib/haulier/power-off
# The signal that power-off sends is answered above; a power-off that failed must not leave the machine running either.
exit 1
