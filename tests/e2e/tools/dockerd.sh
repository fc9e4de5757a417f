#!/usr/bin/env bash
# dockerd.sh: a private Docker daemon for tests, beside any other one on the machine.
#
#   dockerd.sh start DIR    start it, unless it runs; DIR/env then sets DOCKER_HOST and DOCKER_CONFIG (and PATH)
#   dockerd.sh stop DIR     stop it; images are kept
#   dockerd.sh wipe DIR     stop it and delete DIR
#   dockerd.sh status DIR   prints "up" or "down"
#
# It has no bridge and no iptables rules: build and run with `--network host` or `--network none`.
# A registry at localhost or 127.0.0.0/8 may speak plain HTTP, and its TLS certificate is not checked; for the real thing
# see netns-docker.sh.
#
# Environment, for `start`:
#   DOCKERD_STORE=classic      images in overlay2, or in vfs where overlay does not mount (the default)
#   DOCKERD_STORE=containerd   images in containerd's store (dockerd 24 and newer): OCI indexes, attestations, zstd
#   DOCKERD_BIN=DIR            take dockerd, containerd and docker from here (see newer-clients.sh)
#   DOCKERD_FLAGS=...          more flags for dockerd
#
# Needs root. Installs Debian's docker.io when there is no dockerd.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
[ $# -eq 2 ] || { sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2; }
command=$1
if [ "$command" = start ]; then
  mkdir -p "$2"
elif [ ! -d "$2" ]; then
  [ "$command" != status ] || echo down
  exit
fi
dir=$(readlink -f "$2")
store=${DOCKERD_STORE:-classic}

exec 9>"$dir/lock"
flock 9

overlay_mounts() {
  local t ok=1
  t=$(mktemp -d "$dir/overlay.XXXX")
  mkdir "$t/lower" "$t/upper" "$t/work" "$t/merged"
  if mount -t overlay overlay -o "lowerdir=$t/lower,upperdir=$t/upper,workdir=$t/work" "$t/merged" 2>/dev/null; then
    umount "$t/merged"
    ok=0
  fi
  rm -rf "$t"
  return $ok
}

start() {
  [ -z "${DOCKERD_BIN:-}" ] || PATH=$DOCKERD_BIN:$PATH
  need dockerd docker.io
  need runc docker.io
  need curl curl
  if ! started_here "$dir/pid" "$dir/"; then
    local flags=(--config-file "$dir/daemon.json" --data-root "$dir/root" --exec-root "$dir/exec"
      -H "unix://$dir/docker.sock" -p "$dir/pid" --iptables=false --ip6tables=false --bridge=none)
    end_dockerd "$dir"
    case $store in
      containerd) echo '{"features": {"containerd-snapshotter": true}}' > "$dir/daemon.json" ;;
      classic)
        echo '{}' > "$dir/daemon.json"
        if overlay_mounts; then flags+=(--storage-driver=overlay2); else flags+=(--storage-driver=vfs); fi ;;
      *) echo "DOCKERD_STORE is classic or containerd, not $store" >&2; exit 2 ;;
    esac
    # shellcheck disable=SC2086  # DOCKERD_FLAGS is several words
    setsid dockerd "${flags[@]}" ${DOCKERD_FLAGS:-} </dev/null >>"$dir/log" 2>&1 9>&- &
  fi
  wait_for_dockerd "$dir"
  docker_config "$dir"
  { echo "export DOCKER_HOST=unix://$dir/docker.sock DOCKER_CONFIG=$dir/docker-config"
    [ -z "${DOCKERD_BIN:-}" ] || echo "export PATH=$DOCKERD_BIN:\$PATH"
  } > "$dir/env"
  echo "$(dockerd --version), $store image store; . $dir/env"
}

case $command in
  start) start ;;
  stop) end_dockerd "$dir" ;;
  wipe) end_dockerd "$dir"; unmount_below "$dir"; rm -rf --one-file-system "$dir" ;;
  status) if started_here "$dir/pid" "$dir/"; then echo up; else echo down; fi ;;
  *) echo "unknown command $command" >&2; exit 2 ;;
esac
