# shellcheck shell=bash
# The architectures, and what each of the worlds involved calls them. Sourced by the other scripts.
#
# Names are Docker's, without the slash: amd64, arm64, s390x, armv7.

# Built, tested and published.
SUPPORTED="amd64 arm64 s390x"
# Built, and tested as a binary only.
EXTRA="armv7"

# The target that rustc builds for.
rust_target() {
    case $1 in
        amd64) echo x86_64-unknown-linux-gnu ;;
        arm64) echo aarch64-unknown-linux-gnu ;;
        s390x) echo s390x-unknown-linux-gnu ;;
        armv7) echo armv7-unknown-linux-gnueabihf ;;
        *) die "unknown architecture \`$1\`: expected one of $SUPPORTED $EXTRA" ;;
    esac
}

# Debian's name of the port.
debian_port() {
    case $1 in
        armv7) echo armhf ;;
        *) echo "$1" ;;
    esac
}

# The prefix of GNU tools.
gnu_triplet() {
    case $1 in
        amd64) echo x86_64-linux-gnu ;;
        arm64) echo aarch64-linux-gnu ;;
        s390x) echo s390x-linux-gnu ;;
        armv7) echo arm-linux-gnueabihf ;;
    esac
}

# The platform in the vocabulary of images.
docker_platform() {
    case $1 in
        armv7) echo linux/arm/v7 ;;
        *) echo "linux/$1" ;;
    esac
}

# QEMU's name of the processor.
qemu_cpu() {
    case $1 in
        amd64) echo x86_64 ;;
        arm64) echo aarch64 ;;
        s390x) echo s390x ;;
        armv7) echo arm ;;
    esac
}

# The architecture of this machine.
host_architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        s390x) echo s390x ;;
        armv7l) echo armv7 ;;
        *) uname -m ;;
    esac
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}
