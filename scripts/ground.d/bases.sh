# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# Base images for our own engine. Part of scripts/ground.

DEBIAN_BASE=actionproxy-ground/debian:local
RUST_BASE=actionproxy-ground/rust:local

# Whether the mirror has whole package lists of SUITE for ARCH: one in the middle of a sync may lack
# some for hours, and not every release has every architecture.
has_lists() {
    local suite=$1 arch=$2 lists=$CACHE/lists-$2 status=0
    rm -rf "$lists"
    mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
    echo "deb [arch=$(debian_port "$arch")] $(mirror) $suite main" >"$lists/sources.list"
    quietly apt-get -o Dir::Etc::SourceList="$lists/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$lists/lists" -o Dir::Cache="$lists/cache" -o Acquire::Languages=none \
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root update --error-on=any 2>"$lists/said" &&
        # apt only warns of a release that lacks the architecture.
        ls "$lists"/lists/*_Packages* >/dev/null 2>&1 || status=1
    rm -rf "$lists"
    return $status
}

# made_of SUITE ARCH TARGET: makes it of that release, if the mirror has all of it. It may have the
# lists and not all that they name; a second try tells that from a connection that broke.
made_of() {
    local suite=$1 arch=$2 target=$3
    has_lists "$suite" "$arch" || { say "the mirror's lists of $suite for $arch are not whole"; return 1; }
    bootstrap "$suite" "$target" "$(debian_port "$arch")" "" && return 0
    sleep 10
    bootstrap "$suite" "$target" "$(debian_port "$arch")" "" && return 0
    say "the mirror has not all of $suite for $arch"
    return 1
}

# made_of_any ARCH TARGET: of the first release that can be had; prints its name.
made_of_any() {
    local suite
    for suite in $BASE_SUITES; do
        if made_of "$suite" "$@"; then echo "$suite"; return; fi
    done
    return 1
}

# base_archive ARCH: Debian's minimal system for it, kept as a compressed archive, and made again when how
# it is made changes.
base_archive() {
    local archive=$CACHE/bases/$1.tar.gz suite stamp started=$SECONDS
    stamp="$BASE_SUITES $(declare -f bootstrap | sha256sum | cut -c -16)"
    if [ -s "$archive" ] && [ "$(cat "$CACHE/bases/$1.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    suite=$(retry made_of_any "$1" "$CACHE/bases/$1.new.tar.gz") || { say "no Debian release of $BASE_SUITES is whole on the mirror for $1"; return 1; }
    mv "$CACHE/bases/$1.new.tar.gz" "$archive"
    echo "$stamp" >"$CACHE/bases/$1.stamp"
    say "made a base of Debian $suite for $1 in $((SECONDS - started)) s"
}

# base ARCH: the same for who wants the archive alone; prints its name.
base() {
    [ $# = 1 ] || die "base expects an architecture"
    install_packages
    emulation "$1" >&2
    mkdir -p "$CACHE/bases"
    base_archive "$1" >&2 || die "a base could not be made"
    echo "$CACHE/bases/$1.tar.gz"
}

debian_image() {
    local arch platforms=
    mkdir -p "$CACHE/bases/context"
    for arch in "$@"; do
        ln -f "$CACHE/bases/$arch.tar.gz" "$CACHE/bases/context/$(docker_platform "$arch" | tr / -).tar.gz"
        platforms+=,$(docker_platform "$arch")
    done
    # One image for all platforms, so that one bake builds for all of them.
    # shellcheck disable=SC2016
    printf '%s\n' 'FROM scratch' 'ARG TARGETARCH' 'ARG TARGETVARIANT' \
        'ADD linux-${TARGETARCH}${TARGETVARIANT:+-$TARGETVARIANT}.tar.gz /' 'CMD ["bash"]' >"$CACHE/bases/context/Dockerfile"
    retry quietly docker buildx build --platform "${platforms#,}" --tag $DEBIAN_BASE "$CACHE/bases/context" \
        || die "the base images could not be built"
}

rust_image() {
    local stamp
    toolchain
    stamp=$(sha256sum <"$TOOLCHAIN.stamp" | cut -c -16)
    [ "$(docker image inspect --format '{{ index .Config.Labels "stamp" }}' $RUST_BASE 2>/dev/null)" != "$stamp" ] || return 0
    tar --numeric-owner -C "$TOOLCHAIN" --exclude='./src/*' --exclude='./cargo/*' -c . |
        docker import --change "LABEL stamp=$stamp" --change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin' - \
            $RUST_BASE >/dev/null || die "the toolchain's image could not be made"
}

# bases [ARCH...]: the image with compilers, and Debian for each of ARCH that has images with it.
bases() {
    local arch based=()
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(architectures)
    for arch in "$@"; do
        [ "$(image_kinds "$arch")" != all ] || based+=("$arch")
    done
    # Stages that compile for another platform run on this one.
    [ ${#based[@]} = 0 ] || [[ " ${based[*]} " = *" $HOST "* ]] || based+=("$HOST")
    engine
    emulation "$@"
    [ "$(cat "$RUN/kind")" = own ] || return 0
    own_engine_environment
    install_packages
    require_mirror
    mkdir -p "$CACHE/bases"
    rust_image
    [ ${#based[@]} -gt 0 ] || return 0
    two_at_a_time base_archive "${based[@]}" || die "a base image could not be made"
    debian_image "${based[@]}"
}
