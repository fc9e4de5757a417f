#!/bin/sh
# run.sh OPENECR [FLAG...]: what `make run` does once openecr is installed. Where Docker's daemon runs in a virtual
# machine or on another host, which cannot reach this machine's localhost, it says how to run openecr there;
# otherwise it serves. RUN_HERE=1 serves in any case.
set -eu
openecr=$1
shift

# Prints where the daemon is, if it cannot reach this machine's localhost; prints nothing if it can, or if there is none.
remote_daemon() {
  command -v docker >/dev/null 2>&1 || return 0
  host=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
  case $host in
    tcp://127.* | tcp://localhost* | tcp://\[::1\]*) ;;
    tcp://* | ssh://* | http://* | https://*) echo "at $host" && return 0 ;;
  esac
  # A daemon that hangs must not hold the registry; not every system has timeout(1).
  limit=$(command -v timeout >/dev/null 2>&1 && echo "timeout 10" || true)
  about=$($limit docker info --format '{{.OperatingSystem}}/{{.Name}}' 2>/dev/null) || return 0
  [ -n "$about" ] && [ "$about" != / ] || return 0
  case $about in
    *"Docker Desktop"* | */docker-desktop*) echo "in Docker Desktop's virtual machine" ;;
    *OrbStack* | */orbstack*) echo "in OrbStack's virtual machine" ;;
    *"Rancher Desktop"* | */*rancher-desktop*) echo "in Rancher Desktop's virtual machine" ;;
    */colima*) echo "in Colima's virtual machine" ;;
    */lima-*) echo "in Lima's virtual machine" ;;
    *"Fedora Linux"*CoreOS*/localhost* | */podman-machine*) echo "in a Podman machine" ;;
    *) [ "$(uname -s)" = Linux ] || echo "in a virtual machine" ;;
  esac
}

where=
[ -n "${RUN_HERE:-}" ] || where=$(remote_daemon)
if [ -n "$where" ]; then
  cat <<END
Docker's daemon runs $where and cannot reach localhost of this machine,
so openecr has to run beside it, in a container. Run this, in this folder:

  docker compose up --build --detach --wait
  eval "\$(docker compose exec -T openecr openecr env)"

To serve on this machine nevertheless, for clients other than Docker: make run RUN_HERE=1
END
  exit 0
fi

# The line to paste, with the data directory where one is given.
env_command="$openecr env"
previous=
for argument; do
  case $previous$argument in
    --data-dir=*) env_command="$env_command --data-dir '${argument#--data-dir=}'" ;;
    --data-dir/* | --data-dir[!-]*) env_command="$env_command --data-dir '$argument'" ;;
  esac
  previous=
  [ "$argument" != --data-dir ] || previous=--data-dir
done
echo "Once it listens, paste this in another shell:  eval \"\$($env_command)\""
exec "$openecr" serve "$@"
