# shellcheck shell=sh
# The one list of architectures, and what each of the worlds involved calls them. Sourced by the
# scripts and by the stages of Dockerfile.multiarch; docker-bake.hcl, Cross.toml and the tables of
# the READMEs repeat parts of it, and `cargo test -p actionproxy-tests --test architectures`
# compares them with it. Plain sh: images have no bash yet where they read it.
#
# A name is Docker's platform without the slashes. Columns:
#   target     what rustc builds for
#   port       Debian's name
#   gnu        prefix of GNU tools
#   qemu       QEMU's name of the processor
#   elf        class, byte order and machine of its executables, the last as the two bytes in a file
#   machine    what `uname -m` says there
#   images     all: every image; proxy: the one without a base image, for Debian publishes no base
#              image for it
#
# name    target                        port     gnu                    qemu         elf            machine      images
ARCHITECTURES='
amd64     x86_64-unknown-linux-gnu      amd64    x86_64-linux-gnu       x86_64       02,01,3e,00    x86_64       all
arm64     aarch64-unknown-linux-gnu     arm64    aarch64-linux-gnu      aarch64      02,01,b7,00    aarch64      all
armv7     armv7-unknown-linux-gnueabihf armhf    arm-linux-gnueabihf    arm          01,01,28,00    armv7l       all
s390x     s390x-unknown-linux-gnu       s390x    s390x-linux-gnu        s390x        02,02,00,16    s390x        all
ppc64le   powerpc64le-unknown-linux-gnu ppc64el  powerpc64le-linux-gnu  ppc64le      02,01,15,00    ppc64le      all
riscv64   riscv64gc-unknown-linux-gnu   riscv64  riscv64-linux-gnu      riscv64      02,01,f3,00    riscv64      all
386       i686-unknown-linux-gnu        i386     i686-linux-gnu         i386         01,01,03,00    i686         all
loong64   loongarch64-unknown-linux-gnu loong64  loongarch64-linux-gnu  loongarch64  02,01,02,01    loongarch64  proxy
'

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Of all that are built, in the order of the list; with a word, of those with that word under `images`.
architectures() {
    printf '%s' "$ARCHITECTURES" | awk -v images="${1:-}" 'NF && (images == "" || $8 == images) { print $1 }'
}

# column NAME NUMBER
column() {
    printf '%s' "$ARCHITECTURES" | awk -v name="$1" -v number="$2" \
        '$1 == name { print $number; found = 1 } END { exit !found }' ||
        die "unknown architecture \`$1\`: expected one of $(architectures | tr '\n' ' ')"
}

rust_target() { column "$1" 2; }
debian_port() { column "$1" 3; }
gnu_triplet() { column "$1" 4; }
qemu_cpu() { column "$1" 5; }
elf_identity() { column "$1" 6; }
machine_name() { column "$1" 7; }
image_kinds() { column "$1" 8; }

# little or big; and 32 or 64.
byte_order() { case $(elf_identity "$1") in ??,02,*) echo big ;; *) echo little ;; esac; }
word_bits() { case $(elf_identity "$1") in 01,*) echo 32 ;; *) echo 64 ;; esac; }

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
        '$7 == machine { print $1; found = 1 } END { if (!found) print machine }'
}

# release_rustflags REPOSITORY CARGO_HOME: how a released binary is compiled, by whatever way: static,
# without the paths of the machine that built it, and small. Relocations are packed (DT_RELR: glibc
# 2.36 or newer, and a linker that knows how for the architecture; another one says so and does
# without), and code lies in the same pages as what stands before and behind it: with pages of 64 KiB,
# as on ppc64le, a segment of its own costs as much twice. The last flag is for glibc's warning about
# getaddrinfo: names are resolved nowhere in the proxy.
release_rustflags() {
    echo "-Ctarget-feature=+crt-static --remap-path-prefix=$1=. --remap-path-prefix=$2/registry/src=crates" \
        "-Clink-arg=-Wl,-z,pack-relative-relocs,-z,noseparate-code -Alinker_messages"
}

# assembler_flags ARCH: of the library of the coroutines, generator 0.8.12, the only one that brings
# assembly in a file. It aligns three short functions of ppc64le by `.align 16`, which there is a
# power of two: 64 KiB each.
assembler_flags() {
    [ "$1" != ppc64le ] || echo "-Dalign=balign"
}
