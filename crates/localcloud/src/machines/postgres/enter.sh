#!/bin/sh
# Gives a PostgreSQL program a private view of the host in which the postgres user reaches its own folder (/mnt/home)
# and its programs (/mnt/server), wherever the two lie, and runs it as that user.
# /mnt/small is a tiny disk of the server's own, for tests of a full one (CREATE TABLESPACE ... LOCATION '/mnt/small').
# Usage: enter.sh HOME SERVER PROGRAM [ARGUMENT...]; runs in a mount namespace of its own.
set -eu
home=$1
server=$2
shift 2
mount -t tmpfs -o mode=755,size=64k,nosuid,nodev haulier /mnt
mkdir /mnt/home /mnt/server /mnt/small
mount -t tmpfs -o "mode=700,size=48m,nosuid,nodev,noexec,uid=$(id -u postgres),gid=$(id -g postgres)" haulier /mnt/small
mount --bind "$home" /mnt/home
mount --bind "$server" /mnt/server
cd /mnt/home
exec setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all --no-new-privs --pdeathsig=KILL -- "$@"
