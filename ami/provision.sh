#!/bin/bash
# Makes a Debian 12 machine a Haulier worker image. Run as root by Packer, with the image's files in the folder named by
# the first argument: haulier-worker, boot, power-off, haulier-worker.service.
#
# Environment:
#   RDS_BUNDLE_SHA256  digest that Amazon's CA bundle must have (required)
#   RDS_BUNDLE_URL     where it comes from
#   POSTGRESQL_SOURCE  pgdg (every supported major version) or debian (the distribution's own)
set -euo pipefail

files=${1:?usage: provision.sh FOLDER}
: "${RDS_BUNDLE_SHA256:?name the SHA-256 digest of the RDS CA bundle}"
bundle_url=${RDS_BUNDLE_URL:-https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem}
source=${POSTGRESQL_SOURCE:-pgdg}
export DEBIAN_FRONTEND=noninteractive

apt_get() {
  apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 --yes "$@"
}

install_postgresql() {
  # Before any server package: none of them may make a cluster or start one. A worker makes its scratch servers itself.
  install -d -m 0755 /etc/postgresql-common
  printf '%s\n' 'create_main_cluster = false' "start_conf = 'manual'" >/etc/postgresql-common/createcluster.conf
  apt_get install --no-install-recommends postgresql-common
  if [ "$source" = pgdg ]; then
    # Debian's own package brings PGDG's signing key, so that nothing unsigned is trusted on the way.
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    cat >/etc/apt/sources.list.d/pgdg.sources <<SOURCE
Types: deb
URIs: https://apt.postgresql.org/pub/repos/apt
Suites: $codename-pgdg
Components: main
Signed-By: /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc
SOURCE
    apt_get update
  fi
  # Every major version on offer, side by side: pg_dump must be of the server's own, and so must a scratch server.
  mapfile -t clients < <(apt-cache --names-only search '^postgresql-client-[0-9]+$' | awk '{ print $1 }' | sort -V)
  [ "${#clients[@]}" -gt 0 ] || { echo 'provision: the package sources offer no PostgreSQL client' >&2; exit 1; }
  mapfile -t servers < <(apt-cache --names-only search '^postgresql-[0-9]+$' | awk '{ print $1 }' | sort -V)
  [ "${#servers[@]}" -gt 0 ] || { echo 'provision: the package sources offer no PostgreSQL server' >&2; exit 1; }
  # Databases of RDS have locales such as en_US.UTF-8, and a scratch copy of one needs the same.
  apt_get install --no-install-recommends "${clients[@]}" "${servers[@]}" locales-all
  for client in "${clients[@]}"; do
    "/usr/lib/postgresql/${client##*-}/bin/pg_dump" --version
  done
  for server in "${servers[@]}"; do
    "/usr/lib/postgresql/${server##*-}/bin/postgres" --version
  done
  [ -z "$(pg_lsclusters --no-header)" ] || { echo 'provision: a server package has made a cluster' >&2; exit 1; }
  # Debian's units would start clusters at boot; there are none, and there shall never be any.
  systemctl disable postgresql.service
  systemctl mask postgresql.service
}

install_authorities() {
  local bundle
  bundle=$(mktemp)
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --output "$bundle" "$bundle_url"
  echo "$RDS_BUNDLE_SHA256  $bundle" | sha256sum --check --quiet ||
    { echo 'provision: the RDS CA bundle is not the one that was pinned' >&2; exit 1; }
  install -D -m 0644 "$bundle" /usr/share/haulier/rds-ca.pem
  rm -f "$bundle"
}

install_agent() {
  getent passwd haulier >/dev/null ||
    useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin haulier
  install -D -m 0755 "$files/haulier-worker" /usr/bin/haulier-worker
  install -D -m 0755 "$files/boot" /usr/lib/haulier/boot
  install -D -m 0755 "$files/power-off" /usr/lib/haulier/power-off
  install -D -m 0644 "$files/haulier-worker.service" /etc/systemd/system/haulier-worker.service
  install -d -m 0755 /etc/haulier
  /usr/bin/haulier-worker --version >/etc/haulier/image
  systemctl daemon-reload
  # Enabled, not started: the agent runs on the machines made from the image, not on the one that makes it.
  systemctl enable haulier-worker.service
}

# Nobody logs in to a worker, and nothing on it may wait for somebody.
close_the_machine() {
  systemctl disable ssh.service ssh.socket 2>/dev/null || true
  systemctl mask serial-getty@ttyS0.service getty@tty1.service
  systemctl disable unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
  passwd --lock root
  rm -f /etc/ssh/ssh_host_*
  find /root /home -name authorized_keys -delete
  cloud-init clean --logs 2>/dev/null || true
  truncate -s 0 /etc/machine-id
  apt_get clean
  rm -rf /var/lib/apt/lists/* /var/log/journal/* /tmp/haulier
}

apt_get update
apt_get upgrade
apt_get install --no-install-recommends ca-certificates curl
install_postgresql
install_authorities
install_agent
close_the_machine
