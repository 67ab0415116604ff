# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# Root file systems made of Debian packages, the toolchain among them. Part of scripts/ground.

# bootstrap SUITE TARGET PORT PACKAGES [HOOK]: a directory, or a tar file by the target's name.
bootstrap() {
    local suite=$1 target=$2 architecture=$3 packages=$4 proxy options=()
    proxy=$(apt-config dump Acquire::http::Proxy --format '%v%n')
    [ -z "$proxy" ] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
    [ -z "$packages" ] || options+=(--include="$packages")
    [ -z "${5:-}" ] || options+=(--customize-hook="$5")
    require_mirror
    rm -rf "$target"
    # A mirror may lag behind by more than a release file's validity. check/qemu is skipped because
    # it looks for emulators by the names of Debian's own packages and knows no architecture newer
    # than mmdebstrap; `emulation` has seen to it that the kernel runs this one, in any root. Licences
    # stay, as in Debian's slim images: what is made of this is passed on. `timeout` has a process group of
    # its own, so a signal to this one passes it by: it ends when its parent does.
    quietly setpriv --pdeathsig TERM timeout 1800 mmdebstrap --skip=check/qemu --variant=minbase --architectures="$architecture" \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/bin/*lto-dump*' --dpkgopt='path-exclude=*/lto1' \
        "${options[@]}" "$suite" "$target" "$(mirror)"
}

# root DIRECTORY PACKAGES [HOOK]: made once, and again when what it is made of changes.
root() {
    local directory=$1 stamp="$SUITE $2 ${3:-}" started=$SECONDS
    [ "$(cat "$directory.stamp" 2>/dev/null)" = "$stamp" ] && return 0
    install_packages
    say "making $directory from Debian $SUITE"
    # An engine that runs would lose the ground under it.
    [ "$directory" != "$ENGINE" ] || down
    rm -rf "$directory" "$directory.stamp"
    retry bootstrap "$SUITE" "$directory.new" "$(debian_port "$HOST")" "$2" "${3:-}" || die "$directory could not be made"
    # The certificates this machine trusts are trusted inside too.
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || {
        mkdir -p "$directory.new/etc/ssl/certs"
        cp --remove-destination /etc/ssl/certs/ca-certificates.crt "$directory.new/etc/ssl/certs/"
    }
    mv "$directory.new" "$directory"
    echo "$stamp" >"$directory.stamp"
    say "made $directory in $((SECONDS - started)) s"
}

toolchain() {
    local arch version packages=rustc,cargo,gcc,libc6-dev,ca-certificates foreign=() libraries=() static=()
    # By a variable: where the repository lies is no part of what it is made of.
    export STATIC_LIBRARY=$SCRIPTS/ground.d
    # What tests run as actions, and make archives with.
    packages+=,perl,python3,zip,unzip,procps,curl,libarchive-tools
    for arch in $(architectures); do
        static+=("$(static_target "$arch"):$(debian_port "$arch"):$(gnu_triplet "$arch")")
        [ "$arch" != "$HOST" ] || continue
        packages+=",gcc-$(gnu_triplet "$arch" | tr _ -),libc6-dev-$(debian_port "$arch")-cross"
        foreign+=("$(debian_port "$arch")")
        libraries+=("libstd-rust-dev:$(debian_port "$arch")")
    done
    # Rust's library for the other targets, unpacked without what it depends on: that would be a
    # whole compiler for each of them. Everything is linked statically: the shared form of it goes.
    # The last line says of which version what makes the static ones is.
    version=$(cat "$STATIC_LIBRARY/static-library" "$STATIC_LIBRARY/find_object.c" | sha256sum)
    root "$TOOLCHAIN" "$packages" "chroot \"\$1\" sh -euc '
        for port in ${foreign[*]}; do dpkg --add-architecture \$port; done
        apt-get update && cd /var/tmp && apt-get -o APT::Sandbox::User=root download ${libraries[*]}
        for package in *.deb; do dpkg -x \$package /; done
        rm -f *.deb
        native=\$(rustc --print host-tuple)
        for library in /usr/lib/rustlib/*/lib/*.so /usr/lib/*-linux-gnu*/libstd-*.so; do
            case \$library in */\$native/* | */$(gnu_triplet "$HOST")/*) ;; *) rm -f \$library ;; esac
        done' && cp \"\$STATIC_LIBRARY\"/static-library \"\$STATIC_LIBRARY\"/find_object.c \"\$1\"/var/tmp/ &&
        chroot \"\$1\" /var/tmp/static-library ${static[*]} &&
        chroot \"\$1\" sh -euc 'rm -rf /var/tmp/* /var/cache/apt/*.bin /var/lib/apt/lists/*'
        : $version"
}

# The parts of the user's cargo configuration that say where crates come from.
cargo_sources() {
    local file
    for file in "${CARGO_HOME:-$HOME/.cargo}"/config.toml "${CARGO_HOME:-$HOME/.cargo}"/config; do
        [ -e "$file" ] || continue
        awk '/^[[:space:]]*\[/ { keep = ($0 ~ /^[[:space:]]*\[(source|registr|net|http)/) } keep' "$file"
        return
    done
}

in_toolchain() {
    local arch target name names triplet words pass=()
    mkdir -p "$CACHE/cargo"
    cargo_sources >"$CACHE/cargo/config.toml"
    for arch in $(architectures); do
        triplet=$(gnu_triplet "$arch")
        for target in "$(rust_target "$arch")" "$(static_target "$arch")"; do
            words=$(build_environment "$target" "$triplet-gcc" /src /cargo)
            mapfile -t -O ${#pass[@]} pass <<<"$words"
        done
    done
    # None of them may be set.
    names=$(compgen -e | grep -E '^(ACTIONPROXY_|PROPTEST_|RUST_|CARGO_(BUILD|NET|HTTP|PROFILE|TERM|INCREMENTAL)|(HTTPS?|NO|ALL)_PROXY$|(https?|no|all)_proxy$|TERM$)') || true
    for name in $names; do pass+=("$name=${!name}"); done
    # The mounts live in a namespace of their own and are gone with the command.
    # shellcheck disable=SC2016
    ROOT=$TOOLCHAIN REPOSITORY=$REPOSITORY CACHE=$CACHE exec unshare --mount --propagation private bash -euc '
        cp --remove-destination /etc/resolv.conf "$ROOT/etc/resolv.conf"
        mkdir -p "$ROOT/src" "$ROOT/cargo"
        mount --bind "$REPOSITORY" "$ROOT/src"
        mount --bind "$CACHE/cargo" "$ROOT/cargo"
        mount --rbind /dev "$ROOT/dev"
        mount -t proc proc "$ROOT/proc"
        mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
        exec chroot "$ROOT" /usr/bin/env -i -C /src PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root \
            LANG=C.UTF-8 CARGO_HOME=/cargo CARGO_TARGET_DIR=/src/target/debian "$@"
    ' ground "${pass[@]}" "$@"
}

