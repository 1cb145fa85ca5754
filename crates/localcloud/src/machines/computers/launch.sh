#!/bin/sh
# Makes the private root of one EC2 instance and becomes its first process. Runs in mount, PID, UTS, IPC and network
# namespaces of its own; every mount made here goes away with them.
# Usage: launch.sh CLOUD INSTANCE HOST_NAME [MAJOR FOLDER]...
#   CLOUD: the cloud's folder, where computers/INSTANCE/upper already holds what our image adds to the host's files;
#   MAJOR FOLDER: PostgreSQL clients that lie outside of /usr/lib/postgresql.
set -eu
cloud=$1
instance=$2
name=$3
shift 3
home=$cloud/computers/$instance

# Relative, because a path in mount options must not hold commas or colons.
cd "$cloud"
mount -t overlay haulier \
  -o "lowerdir=/,upperdir=computers/$instance/upper,workdir=computers/$instance/work" "$home/root"
cd "$home/root"

# The instance sees the host's programs and nothing else of it.
for entry in * .[!.]*; do
  case $entry in
  bin | etc | lib* | sbin | usr) continue ;;
  esac
  if [ -L "$entry" ]; then
    continue
  elif [ -d "$entry" ]; then
    mount -t tmpfs -o mode=755,size=64m,nosuid,nodev,noexec haulier "$entry"
  elif [ -f "$entry" ]; then
    mount --bind /dev/null "$entry"
  fi
done
mkdir -p var/lib var/log var/cache/haulier run/haulier run/lock run/hosts run/former dev/shm
ln -s /tmp var/tmp
ln -s /run var/run
chmod 0700 root
chown 60731:60731 run/haulier "$home/haulier"
chmod 0700 run/haulier "$home/haulier"

# Temporary files lie on disk, as on a real instance: what a worker writes there must not look like memory.
for folder in tmp var/cache/haulier; do
  mount --bind "$home/${folder##*/}" "$folder"
  mount -o remount,bind,nosuid,nodev "$folder"
done
mount --bind "$cloud/hosts" run/hosts
mount -o remount,bind,ro run/hosts
while [ $# -gt 1 ]; do
  mkdir -p "usr/lib/postgresql/$1"
  mount --bind "$2" "usr/lib/postgresql/$1"
  mount -o remount,bind,ro "usr/lib/postgresql/$1"
  shift 2
done

mount -o remount,dev,mode=755 dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=1777,nosuid,nodev haulier dev/shm

# The kernel's switches stay out of reach: some of them could stop the host.
mount -t sysfs -o ro,nosuid,nodev,noexec haulier sys
mount -t proc -o nosuid,nodev,noexec haulier proc
echo "$name" >proc/sys/kernel/hostname
for entry in sys sysrq-trigger irq bus fs; do
  if [ -e "proc/$entry" ]; then
    mount --bind "proc/$entry" "proc/$entry"
    mount -o remount,bind,ro "proc/$entry"
  fi
done
for entry in kcore keys kmsg timer_list; do
  if [ -e "proc/$entry" ]; then
    mount --bind /dev/null "proc/$entry"
  fi
done

pivot_root . run/former
cd /
umount -l /run/former
rmdir /run/former
exec setpriv --inh-caps=-all --pdeathsig=KILL \
  --bounding-set=-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid,+setpcap -- /usr/lib/haulier/init
