#!/usr/bin/env bash
# newer-clients.sh: container and AWS clients of the next Debian release, through apt, without adding that release to
# this machine. What is installed here stays as it is.
#
#   newer-clients.sh bin [DIR]     programs that run as they are: docker and dockerd 26, buildx, containerd, oras, cosign.
#                                  Prints DIR/bin: put it first in PATH, or give it to dockerd.sh as DOCKERD_BIN.
#                                  About 10 s and 400 MB.
#   newer-clients.sh root [DIR]    programs that want a newer C library, in a root directory of their own: skopeo, podman,
#                                  buildah, aws (CLI version 2) and the ECR credential helper.
#                                  Prints DIR/root-bin, which has a wrapper for each. A wrapper sees this machine's network,
#                                  /tmp, /etc/hosts, CA bundle and certs.d folders, and the environment (HOME when it is
#                                  below /tmp); it has its own container storage. About a minute and 1 GB.
#   newer-clients.sh rm [DIR]      delete DIR
#
# DIR is /tmp/openecr-newer-clients unless given. Does nothing when DIR has them already.
# Environment: NEWER_RELEASE (trixie). Needs root; `root` installs mmdebstrap from Debian when it is missing.
# runc is left out: the next release's does not run on this one's C library, and this machine's own does.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
what=${1:-} dir=$(readlink -m "${2:-/tmp/openecr-newer-clients}") release=${NEWER_RELEASE:-trixie}
bin_packages=(docker-cli docker-buildx docker.io containerd oras cosign)
root_packages=ca-certificates,skopeo,podman,buildah,runc,netavark,awscli,amazon-ecr-credential-helper,less
wrapped=(skopeo podman buildah aws docker-credential-ecr-login)

next_source() { # this machine's Debian archive, for the other release
  local current codename target
  current=$(debian_source)
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  target=$dir/next.${current##*.}
  sed "s/$codename/$release/g" "$current" > "$target"
  echo "$target"
}

fetch_bin() {
  local source deb f
  rm -rf "${dir:?}/bin" "$dir/x" "$dir/debs" "$dir/apt" "$dir/cli-plugins"
  mkdir -p "$dir"/apt/{lists,cache/archives}/partial "$dir/debs" "$dir/x" "$dir/bin" "$dir/cli-plugins"
  source=$(next_source)
  cat > "$dir/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$source";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$dir/apt/lists";
Dir::Cache "$dir/apt/cache";
APT::Sandbox::User "root";
CONF
  APT_CONFIG=$dir/apt/apt.conf apt-get -o DPkg::Lock::Timeout=300 update -qq
  (cd "$dir/debs" && APT_CONFIG=$dir/apt/apt.conf apt-get -o DPkg::Lock::Timeout=300 download -qq "${bin_packages[@]}")
  for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/x"; done
  for f in "$dir"/x/usr/bin/* "$dir"/x/usr/sbin/*; do
    if [ -f "$f" ] && [ "${f##*/}" != runc ]; then ln -s "$f" "$dir/bin/${f##*/}"; fi
  done
  for f in "$dir"/x/usr/libexec/docker/cli-plugins/*; do ln -s "$f" "$dir/cli-plugins/"; done
  rm -rf "$dir/debs" "$dir/apt"
  touch "$dir/bin/.complete"
}

make_root() {
  local source
  need mmdebstrap mmdebstrap
  mkdir -p "$dir"
  rm -rf --one-file-system "$dir/root" "$dir/root-bin"
  source=$(next_source)
  mmdebstrap --quiet --variant=minbase --format=directory --include="$root_packages" \
    --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$release" "$dir/root" "$source"
  mkdir "$dir/root-bin"
  cat > "$dir/root-bin/inside" <<WRAPPER
#!/usr/bin/env bash
# inside COMMAND...: run COMMAND in $dir/root, in a mount namespace of its own
set -euo pipefail
root=$dir/root
if [ "\${OPENECR_INSIDE:-}" != 1 ]; then
  OPENECR_INSIDE=1 exec unshare -m --propagation slave "\$0" "\$@"
fi
unset OPENECR_INSIDE
mount --bind "\$root" "\$root" # podman remounts /, which must be a mount point for that
mount --rbind /dev "\$root/dev"
mount -t proc proc "\$root/proc"
mount --rbind /sys "\$root/sys"
mount --rbind /tmp "\$root/tmp"
for f in /etc/hosts /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  [ -e "\$root\$f" ] || touch "\$root\$f"
  mount --bind "\$f" "\$root\$f"
done
for d in /etc/docker/certs.d /etc/containers/certs.d; do
  if [ -d "\$d" ]; then mkdir -p "\$root\$d"; mount --bind "\$d" "\$root\$d"; fi
done
case "\$PWD/" in /tmp/*) where=\$PWD ;; *) where=/ ;; esac
case "\${HOME:-}/" in /tmp/*) ;; *) HOME=/root ;; esac
export HOME PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot "\$root" sh -c 'cd "\$0" && exec "\$@"' "\$where" "\$@"
WRAPPER
  chmod +x "$dir/root-bin/inside"
  for c in "${wrapped[@]}"; do
    printf '#!/bin/sh\nexec "%s/root-bin/inside" %s "$@"\n' "$dir" "$c" > "$dir/root-bin/$c"
    chmod +x "$dir/root-bin/$c"
  done
  touch "$dir/root-bin/.complete"
}

locked() { # two test processes may ask at once
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock 9
}

case $what in
  bin)
    locked
    [ -e "$dir/bin/.complete" ] || fetch_bin
    echo "$dir/bin" ;;
  root)
    locked
    [ -e "$dir/root-bin/.complete" ] || make_root
    echo "$dir/root-bin" ;;
  rm)
    if [ -e "$dir/lock" ]; then rm -rf --one-file-system "$dir"; fi ;; # nothing that this script did not make
  *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
