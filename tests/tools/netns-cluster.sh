#!/usr/bin/env bash
# Hosts on one machine: network namespaces on a bridge, with links that can be cut.
#
#   netns-cluster.sh up NAME NET HOST...   make the hosts, the first at NET.1 (NET is three octets), this machine at NET.254
#   netns-cluster.sh cut NAME A B          nothing passes between A and B any more, and nothing is refused either
#   netns-cluster.sh oneway NAME A B       what A sends to B vanishes; what B sends to A arrives
#   netns-cluster.sh heal NAME             undo every cut
#   netns-cluster.sh down NAME             delete all; processes inside are ended by whoever started them
#
# A and B are hosts. A program runs on a host with: nsenter --net=/run/netns/NAME-HOST program
# Needs root, iproute2 and nftables.
set -euo pipefail
command=${1:?up, cut, oneway, heal or down}
name=${2:?the name of the network}
shift 2
bridge=br-${name:0:11}

in_host() { local host=$1; shift; ip netns exec "$name-$host" "$@"; }
address() { ip -n "$name-$1" -4 -o addr show dev eth0 | awk '{ sub("/.*", "", $4); print $4 }'; }
hosts() { ip netns list | awk -v prefix="$name-" 'index($1, prefix) == 1 { print substr($1, length(prefix) + 1) }'; }

up() {
  local net=$1 number=0 host
  shift
  ip link add "$bridge" type bridge
  ip addr add "$net.254/24" dev "$bridge"
  ip link set "$bridge" up
  for host in "$@"; do
    number=$((number + 1))
    ip netns add "$name-$host"
    ip link add "ve-${name:0:9}-$number" type veth peer name eth0 netns "$name-$host"
    ip link set "ve-${name:0:9}-$number" master "$bridge" up
    ip -n "$name-$host" link set lo up
    ip -n "$name-$host" addr add "$net.$number/24" dev eth0
    ip -n "$name-$host" link set eth0 up
    in_host "$host" nft -f - <<'END'
table inet links {
  set unsent { type ipv4_addr; }
  set unheard { type ipv4_addr; }
  chain sent { type filter hook output priority 0; ip daddr @unsent drop; }
  chain heard { type filter hook input priority 0; ip saddr @unheard drop; }
}
END
  done
}

case $command in
up) up "$@" ;;
cut)
  there=$(address "$2")
  in_host "$1" nft "add element inet links unsent { $there }; add element inet links unheard { $there }" ;;
oneway) in_host "$1" nft add element inet links unsent "{ $(address "$2") }" ;;
heal) for host in $(hosts); do in_host "$host" nft "flush set inet links unsent; flush set inet links unheard"; done ;;
down)
  # The kernel takes a namespace's links away some time after the namespace: their names would still be taken.
  for link in /sys/class/net/"ve-${name:0:9}"-*; do [ ! -e "$link" ] || ip link del "${link##*/}"; done
  for host in $(hosts); do ip netns del "$name-$host"; done
  ip link del "$bridge" 2>/dev/null || true ;;
*) echo "netns-cluster.sh does not know $command" >&2; exit 2 ;;
esac
