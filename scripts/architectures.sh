# shellcheck shell=sh
# The one list of architectures, and what each of the worlds involved calls them. Sourced by the
# scripts and by the stages of Dockerfile.multiarch; docker-bake.hcl, Cross.toml and the tables of
# the READMEs repeat parts of it, and `cargo test -p actionproxy-tests --test architectures`
# compares them with it. Plain sh: images have no bash yet where they read it.
#
# A name is Docker's platform without the slashes. Columns:
#   target     what rustc builds for, with the GNU C library: tests
#   static     the same with musl: what is released
#   port       Debian's name
#   gnu        prefix of GNU tools
#   qemu       QEMU's name of the processor
#   elf        class, byte order and machine of its executables, the last as the two bytes in a file
#   machine    what `uname -m` says there
#   images     all: every image; proxy: the one without a base image, for Debian publishes no base
#              image for it
#
# name    target                        static                         port     gnu                    qemu         elf            machine      images
ARCHITECTURES='
amd64     x86_64-unknown-linux-gnu      x86_64-unknown-linux-musl      amd64    x86_64-linux-gnu       x86_64       02,01,3e,00    x86_64       all
arm64     aarch64-unknown-linux-gnu     aarch64-unknown-linux-musl     arm64    aarch64-linux-gnu      aarch64      02,01,b7,00    aarch64      all
armv7     armv7-unknown-linux-gnueabihf armv7-unknown-linux-musleabihf armhf    arm-linux-gnueabihf    arm          01,01,28,00    armv7l       all
s390x     s390x-unknown-linux-gnu       s390x-unknown-linux-musl       s390x    s390x-linux-gnu        s390x        02,02,00,16    s390x        all
ppc64le   powerpc64le-unknown-linux-gnu powerpc64le-unknown-linux-musl ppc64el  powerpc64le-linux-gnu  ppc64le      02,01,15,00    ppc64le      all
riscv64   riscv64gc-unknown-linux-gnu   riscv64gc-unknown-linux-musl   riscv64  riscv64-linux-gnu      riscv64      02,01,f3,00    riscv64      all
386       i686-unknown-linux-gnu        i686-unknown-linux-musl        i386     i686-linux-gnu         i386         01,01,03,00    i686         all
loong64   loongarch64-unknown-linux-gnu loongarch64-unknown-linux-musl loong64  loongarch64-linux-gnu  loongarch64  02,01,02,01    loongarch64  proxy
'

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Of all that are built, in the order of the list; with a word, of those with that word under `images`.
architectures() {
    printf '%s' "$ARCHITECTURES" | awk -v images="${1:-}" 'NF && (images == "" || $9 == images) { print $1 }'
}

# last_change FILE: seconds since 1970 of the last commit that changed it; without commits, of the file.
last_change() {
    git -c safe.directory="$PWD" log -1 --format=%ct -- "$1" 2>/dev/null | grep . || stat -c %Y "$1"
}

# column NAME NUMBER
column() {
    printf '%s' "$ARCHITECTURES" | awk -v name="$1" -v number="$2" \
        '$1 == name { print $number; found = 1 } END { exit !found }' ||
        die "unknown architecture \`$1\`: expected one of $(architectures | tr '\n' ' ')"
}

rust_target() { column "$1" 2; }
static_target() { column "$1" 3; }
debian_port() { column "$1" 4; }
gnu_triplet() { column "$1" 5; }
qemu_cpu() { column "$1" 6; }
elf_identity() { column "$1" 7; }
machine_name() { column "$1" 8; }
image_kinds() { column "$1" 9; }

# has_library TARGET: whether this machine's rustc can build for it.
has_library() {
    ls "$(rustc --print target-libdir --target "$1" 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

# release_target ARCH: what is built here to be released. That is static_target; where rustc has no
# library for it (rustup brings none of s390x), rust_target, which makes a static binary too, half as
# large again.
release_target() {
    if has_library "$(static_target "$1")"; then static_target "$1"; else rust_target "$1"; fi
}

# little or big; and 32 or 64.
byte_order() { elf=$(elf_identity "$1") || return; case $elf in ??,02,*) echo big ;; *) echo little ;; esac; }
word_bits() { elf=$(elf_identity "$1") || return; case $elf in 01,*) echo 32 ;; *) echo 64 ;; esac; }

# The platform in the vocabulary of images.
docker_platform() {
    case $1 in
        armv*) echo "linux/arm/${1#arm}" ;;
        *) echo "linux/$1" ;;
    esac
}

# And back: `platform_architecture linux/arm/v7` is armv7; the variant v8 of arm64 is none.
platform_architecture() {
    case ${1#linux/} in
        arm64/*) echo arm64 ;;
        *) echo "${1#linux/}" | tr -d / ;;
    esac
}

# The architecture of this machine; its machine name where it is none of the list.
host_architecture() {
    printf '%s' "$ARCHITECTURES" | awk -v machine="$(uname -m)" \
        '$8 == machine { print $1; found = 1 } END { if (!found) print machine }'
}

# release_rustflags REPOSITORY CARGO_HOME: how a released binary is compiled, by whatever way: static,
# without the paths of the machine that built it, and small. Relocations are packed (DT_RELR: musl
# 1.2.4 or glibc 2.36, and a linker that knows how for the architecture; another one says so and does
# without), and code lies in the same pages as what stands before and behind it: with pages of 64 KiB,
# as on ppc64le, a segment of its own costs as much twice. The last flag is for glibc's warning about
# getaddrinfo: names are resolved nowhere in the proxy.
release_rustflags() {
    echo "-Ctarget-feature=+crt-static --remap-path-prefix=$1=. --remap-path-prefix=$2/registry/src=crates" \
        "-Clink-arg=-Wl,-z,pack-relative-relocs,-z,noseparate-code -Alinker_messages"
}

# build_environment TARGET COMPILER REPOSITORY CARGO_HOME: lines of NAME=VALUE, with which cargo builds
# for TARGET as above. COMPILER is any C compiler for the architecture: it links, and compiles what
# some crates bring, which needs no C library's headers but the standard's.
build_environment() {
    build_name=$(echo "$1" | tr a-z- A-Z_)
    build_flags=$(release_rustflags "$3" "$4") || return
    echo "CARGO_TARGET_${build_name}_LINKER=$2"
    echo "CARGO_TARGET_${build_name}_RUSTFLAGS=$build_flags"
    echo "CC_$(echo "$1" | tr - _)=$2"
    # The library of the coroutines, generator 0.8.12, aligns three short functions of ppc64le by
    # `.align 16`, which there is a power of two: 64 KiB each.
    case $1 in powerpc64le-*) echo "CFLAGS_$(echo "$1" | tr - _)=-Dalign=balign" ;; esac
}
