# shellcheck shell=bash
# Sourced by the scripts beside it.

# need COMMAND PACKAGE...: install Debian packages when COMMAND is missing
need() {
  command -v "$1" >/dev/null && return
  shift
  install_packages "$@"
}

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null
}

# started_here PIDFILE WORD: is the process of this pid file alive (a zombie is not), and does its command line still
# name WORD? A pid that another program got in the meantime is left alone.
started_here() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -qF -- "$2"
}

# end_process PIDFILE WORD: terminate it, and kill it when it has not ended after 20 s
end_process() {
  local pid i
  started_here "$1" "$2" || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < 200; i++)); do
    started_here "$1" "$2" && [ -e "/proc/$pid" ] || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

# end_dockerd DIR: the daemon that keeps its files in DIR, and the containerd that it started. The pid files go too:
# after a crash dockerd would wait for a containerd that is only a zombie.
end_dockerd() {
  local f
  for f in "$1/pid" "$1/exec/containerd/containerd.pid"; do
    end_process "$f" "$1/"
    rm -f "$f"
  done
}

# docker_config DIR: a configuration for its clients, so that no test logs in for anybody else; it has the plugins that
# came with DOCKERD_BIN
docker_config() {
  mkdir -p "$1/docker-config"
  [ ! -d "${DOCKERD_BIN:-/nowhere}/../cli-plugins" ] || ln -sfn "$DOCKERD_BIN/../cli-plugins" "$1/docker-config/cli-plugins"
}

# wait_for_dockerd DIR
wait_for_dockerd() {
  local i
  for ((i = 0; i < 300; i++)); do
    curl -sf --unix-socket "$1/docker.sock" http://docker/_ping >/dev/null && return
    sleep 0.1
  done
  tail -20 "$1/log" >&2
  echo "dockerd did not start; its log is $1/log" >&2
  return 1
}

# unmount_below DIR
unmount_below() {
  local m
  awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do umount "$m" || true; done
}

# debian_source: the file that names this machine's Debian archive
debian_source() {
  local f codename
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -s "$f" ] && grep -q "$codename" "$f" && { echo "$f"; return; }
  done
  echo "no Debian source found in /etc/apt" >&2
  return 1
}
