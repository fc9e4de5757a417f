#!/usr/bin/env bash
# A PostgreSQL cluster for tests, in a folder of its own.
#
#   postgres.sh start DIR     make the cluster where it is missing, and start it; prints its address without a database
#   postgres.sh stop DIR      stop it as an operator does
#   postgres.sh crash DIR     stop it at once, as a power cut does
#   postgres.sh standby DIR FROM     make a streaming standby of the cluster in FROM, and start it
#   postgres.sh promote DIR   make the standby the primary
#
# PG_PORT chooses the port, PG_BIN the programs (else the newest of Debian's), PG_HOST the addresses to listen on,
# PG_FROM the address of the cluster to follow.
# As root it runs as the user postgres.
set -euo pipefail
command=${1:?start, stop, crash, standby or promote}
dir=${2:?the cluster\'s folder}
port=${PG_PORT:-5432}
bin=${PG_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
[ -x "$bin/initdb" ] || { echo "PostgreSQL's programs are not in ${bin:-/usr/lib/postgresql}; install the package postgresql" >&2; exit 1; }

as_owner() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
control() { as_owner "$bin/pg_ctl" -s -D "$dir/data" "$@"; }
own() {
  mkdir -p "$dir"
  chmod 755 "$dir"
  if [ "$(id -u)" = 0 ]; then chown postgres: "$dir"; fi
}
configure() {
  as_owner tee -a "$dir/data/postgresql.conf" >/dev/null <<END
listen_addresses = '${PG_HOST:-127.0.0.1}'
unix_socket_directories = '$dir'
max_connections = 200
shared_buffers = 128MB
logging_collector = off
END
}
start() {
  control status >/dev/null 2>&1 || control start -w -t 60 -l "$dir/log" -o "-p $port"
  echo "postgresql://postgres@${PG_HOST:-127.0.0.1}:$port"
}

case $command in
start)
  own
  if [ ! -s "$dir/data/PG_VERSION" ]; then
    as_owner "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log"
    configure
    echo 'host all,replication all all trust' | as_owner tee -a "$dir/data/pg_hba.conf" >/dev/null
  fi
  start ;;
stop) control stop -m fast -w ;;
crash) control stop -m immediate -w ;;
standby)
  from=${3:?the folder of the cluster to follow}
  own
  from_port=$(sed -n 4p "$from/data/postmaster.pid")
  as_owner "$bin/pg_basebackup" -D "$dir/data" -h "${PG_FROM:-127.0.0.1}" -p "$from_port" -U postgres -R -c fast >"$dir/basebackup.log" 2>&1
  configure
  start ;;
promote) control promote -w ;;
*) echo "postgres.sh does not know $command" >&2; exit 2 ;;
esac
