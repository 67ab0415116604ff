# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# The machine: whether it can be prepared, its package manager and its mirror. Part of scripts/ground.

# Prints why this machine cannot be prepared; nothing when it can.
obstacle() {
    if [ "$(uname -s)" != Linux ]; then echo "this is not Linux"
    elif [ "$(id -u)" != 0 ]; then echo "only root can prepare the ground"
    elif [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then echo "this is not Debian"
    elif ! grep -qw binfmt_misc /proc/filesystems && [ ! -e $BINFMT/status ]; then echo "the kernel has no binfmt_misc"
    elif ! unshare --mount --propagation private true 2>/dev/null; then echo "mount namespaces are not allowed"
    fi
}

require_machine() {
    local why
    why=$(obstacle)
    [ -z "$why" ] || die "$why"
    mkdir -p "$CACHE" "$RUN"
}

# A mirror in the middle of a sync, or a network that stutters, is worth another try.
retry() {
    local pause
    for pause in 5 15 30 60 stop; do
        "$@" && return 0
        [ "$pause" = stop ] || { say "failed, again in $pause s: $*"; sleep "$pause"; }
    done
    return 1
}

# Runs a noisy command; its output is shown only when it fails.
quietly() {
    local log
    log=$(mktemp)
    if "$@" </dev/null >"$log" 2>&1; then rm -f "$log"; else tail -n 25 "$log" >&2; rm -f "$log"; return 1; fi
}

# Another package manager may be at work: installing waits for it, ten minutes at most.
install_packages() {
    local missing=() package
    for package in mmdebstrap curl ca-certificates; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    retry quietly apt-get update || die "the package lists could not be fetched"
    DEBIAN_FRONTEND=noninteractive retry quietly apt-get -o DPkg::Lock::Timeout=600 install -y \
        --no-install-recommends "${missing[@]}" \
        || die "Debian's ${missing[*]} could not be installed"
}

# The Debian mirror of this machine's own apt configuration.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -F'|' '$1 == "Debian" && $2 == "Debian" && $3 ~ /^https?:/ && !n++ { print $3 }'
}

require_mirror() {
    [ -n "$(mirror)" ] || retry quietly apt-get update || true
    [ -n "$(mirror)" ] || die "apt's configuration names no Debian mirror"
}

