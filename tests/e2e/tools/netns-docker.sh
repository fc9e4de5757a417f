#!/usr/bin/env bash
# netns-docker.sh: a machine with Docker, on this machine: a network namespace with its own address, hosts file and
# /etc/docker, and a normal dockerd (bridge, iptables) in it which reaches whatever this machine reaches.
#
# It is for a registry that is called by its real names over TLS. The daemon must reach that registry at an address that
# is not loopback, because Docker does not check certificates of hosts in 127.0.0.0/8.
#
#   netns-docker.sh up NAME NET [HOST...]         NET is three octets, e.g. 10.231.7: NET.1 is this host (bind the
#                                                 registry there, any port), NET.2 is the new machine, where each HOST
#                                                 resolves to NET.1
#   netns-docker.sh hosts NAME ADDRESS HOST...    there, HOST resolves to ADDRESS; returns when dockerd has noticed (5 s)
#   netns-docker.sh ca NAME FILE HOST[:PORT]...   its Docker trusts the CA in FILE for these registries, at once
#   netns-docker.sh exec NAME COMMAND...          run COMMAND there, with DOCKER_HOST and DOCKER_CONFIG set
#   netns-docker.sh down NAME                     stop its dockerd and remove all of it
#
# NAME is at most 10 letters and digits. `up` does nothing when it is up with the same arguments. `down` leaves IP forwarding
# on, and ends no process in the namespace but dockerd and its containers.
# Environment: DOCKERD_STORE, DOCKERD_BIN and DOCKERD_FLAGS as in dockerd.sh (`exec` wants DOCKERD_BIN too);
# DOCKERD_LOGINS, a folder to be DOCKER_CONFIG instead of the machine's own.
# Needs root. Installs docker.io, iproute2, nftables and iptables from Debian when they are missing.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
[ $# -ge 2 ] || { sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2; }
command=$1 name=$2
shift 2
[[ $name =~ ^[a-z0-9]{1,10}$ ]] || { echo "NAME is at most 10 lowercase letters and digits, not $name" >&2; exit 2; }
dir=${TMPDIR:-/tmp}/openecr-netns/$name
host_link=oeh-$name inner_link=oen-$name table=openecr_$name
[ -z "${DOCKERD_BIN:-}" ] || PATH=$DOCKERD_BIN:$PATH

# shellcheck disable=SC2016  # the inner shell expands these
# not `ip netns exec`, which mounts a new /sys without the cgroups that dockerd looks for
inside() {
  nsenter --net="/run/netns/$name" unshare -m --propagation slave sh -c 'set -e
    mount --bind "$0/hosts" /etc/hosts
    mount --bind "$0/resolv.conf" /etc/resolv.conf
    mkdir -p /etc/docker
    mount --bind "$0/etc-docker" /etc/docker
    exec "$@"' "$dir" "$@"
}

# a Docker on this host sets the FORWARD policy to DROP, which an accept in another table does not undo
forward_rules() { # -I or -D
  command -v iptables >/dev/null || return 0
  [ "$1" = -D ] || iptables -S FORWARD 2>/dev/null | grep -q -- '-P FORWARD DROP' || return 0
  iptables "$1" FORWARD -i "$host_link" -j ACCEPT 2>/dev/null || true
  iptables "$1" FORWARD -o "$host_link" -j ACCEPT 2>/dev/null || true
}

down() {
  end_dockerd "$dir"
  unmount_below "$dir"
  ip netns del "$name" 2>/dev/null || true
  ip link del "$host_link" 2>/dev/null || true
  nft delete table ip "$table" 2>/dev/null || true
  forward_rules -D
  rm -rf --one-file-system "$dir"
}

up() { # NET HOST...
  local net=$1 wanted="${DOCKERD_STORE:-classic} $*" h
  shift
  need ip iproute2
  need nft nftables
  need iptables iptables
  need dockerd docker.io
  need runc docker.io
  need curl curl
  if [ "$(cat "$dir/up" 2>/dev/null)" = "$wanted" ] && started_here "$dir/pid" "$dir/"; then
    wait_for_dockerd "$dir"
    return
  fi
  down
  mkdir -p "$dir/etc-docker/certs.d"
  echo "$wanted" > "$dir/up"
  ip netns add "$name"
  ip link add "$host_link" type veth peer name "$inner_link" netns "$name"
  ip addr add "$net.1/24" dev "$host_link"
  ip link set "$host_link" up
  ip -n "$name" link set lo up
  ip -n "$name" addr add "$net.2/24" dev "$inner_link"
  ip -n "$name" link set "$inner_link" up
  ip -n "$name" route add default via "$net.1"
  sysctl -qw net.ipv4.ip_forward=1
  nft -f - <<RULES
table ip $table {
  chain out { type nat hook postrouting priority 100; ip saddr $net.0/24 oifname != "$host_link" masquerade; }
}
RULES
  forward_rules -I
  printf '127.0.0.1 localhost\n%s.2 %s\n' "$net" "$name" > "$dir/hosts"
  for h in "$@"; do
    echo "$net.1 $h" >> "$dir/hosts"
    mkdir -p "$dir/etc-docker/certs.d/$h" # the BuildKit in dockerd lists these folders once, when it starts
  done
  # a stub resolver on this host's loopback cannot be reached from there: take the servers behind it
  if grep -q '^nameserver 127\.' /etc/resolv.conf && [ -s /run/systemd/resolve/resolv.conf ]; then
    cp -L /run/systemd/resolve/resolv.conf "$dir/resolv.conf"
  else
    cp -L /etc/resolv.conf "$dir/resolv.conf"
  fi
  case ${DOCKERD_STORE:-classic} in
    containerd) echo '{"features": {"containerd-snapshotter": true}}' ;;
    *) echo '{}' ;;
  esac > "$dir/etc-docker/daemon.json"
  # shellcheck disable=SC2086  # DOCKERD_FLAGS is several words
  inside setsid dockerd --data-root "$dir/root" --exec-root "$dir/exec" -H "unix://$dir/docker.sock" -p "$dir/pid" \
    ${DOCKERD_FLAGS:-} </dev/null >>"$dir/log" 2>&1 &
  wait_for_dockerd "$dir"
}

case $command in
  up)
    [[ ${1:-} =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "NET is three octets, not ${1:-nothing}" >&2; exit 2; }
    up "$@"
    echo "$name is $1.2, this host is $1.1" ;;
  hosts)
    address=${1:?ADDRESS}
    shift
    for h in "$@"; do # written in place: the file is mounted
      kept=$(awk -v h="$h" '{ keep = 1; for (i = 2; i <= NF; i++) if ($i == h) keep = 0 } keep' "$dir/hosts")
      printf '%s\n%s %s\n' "$kept" "$address" "$h" > "$dir/hosts"
    done
    sleep 5 ;; # Go programs read the file anew after 5 s
  ca)
    file=${1:?FILE}
    shift
    for r in "$@"; do
      mkdir -p "$dir/etc-docker/certs.d/$r"
      cp "$file" "$dir/etc-docker/certs.d/$r/ca.crt"
    done ;;
  exec)
    docker_config "$dir"
    export DOCKER_HOST=unix://$dir/docker.sock DOCKER_CONFIG=${DOCKERD_LOGINS:-$dir/docker-config}
    inside "$@" ;;
  down) down ;;
  *) echo "unknown command $command" >&2; exit 2 ;;
esac
