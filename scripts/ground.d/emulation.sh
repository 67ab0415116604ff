# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# Foreign programs run through QEMU, by the kernel's binfmt_misc. Part of scripts/ground.

BINFMT=/proc/sys/fs/binfmt_misc

# The first twenty bytes of an executable: class, byte order, ABI, type (executable) and machine.
elf_magic() {
    local identity class order machine type='\x02\x00'
    identity=$(elf_identity "$1") || return
    IFS=, read -r class order machine <<<"$identity"
    [ "$order" = 01 ] || type='\x00\x02'
    machine="\\x${machine/,/\\x}"
    printf '%s' "\\x7f\\x45\\x4c\\x46\\x$class\\x$order\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00$type$machine"
}

# Any ABI byte, and position-independent executables (type 3) as well.
elf_mask() {
    local order type='\xfe\xff'
    order=$(byte_order "$1") || return
    [ "$order" = little ] || type='\xff\xfe'
    printf '%s' '\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff'"$type"'\xff\xff'
}

# Whether the kernel runs executables of this architecture itself.
native() {
    [ "$1" = "$HOST" ] && return 0
    # The file stands where an x86_64 kernel was built with the 32-bit interface.
    [ "$HOST-$1" = amd64-386 ] && [ -e /proc/sys/abi/vsyscall32 ]
}

# Whether the kernel hands executables of this architecture to an emulator, in any root: one that
# was registered without the flag F is looked for in the container, and is not there.
emulated() {
    local magic entry theirs
    magic=$(elf_magic "$1" | sed 's/\\x//g')
    for entry in "$BINFMT"/*; do
        theirs=$(awk '$1 == "magic" { print $2 }' "$entry" 2>/dev/null) || continue
        # Bytes 4 to 5 (class, order) and the last two (machine) tell architectures apart.
        if [ "${#theirs}" = 40 ] && [ "${theirs:8:4}${theirs:36:4}" = "${magic:8:4}${magic:36:4}" ]; then
            if grep -qx enabled "$entry" && grep -q '^flags: .*F' "$entry"; then return 0; fi
        fi
    done
    return 1
}

emulation() {
    local arch qemu magic mask
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(architectures)
    for arch in "$@"; do
        native "$arch" && continue
        [ -e $BINFMT/register ] || mount -t binfmt_misc binfmt_misc $BINFMT || die "binfmt_misc could not be mounted"
        emulated "$arch" && continue
        engine_root
        qemu=$ENGINE/usr/bin/qemu-$(qemu_cpu "$arch")
        [ -x "$qemu" ] || die "no qemu for $arch"
        magic=$(elf_magic "$arch")
        mask=$(elf_mask "$arch")
        # F: the kernel opens qemu now, so that it serves inside containers and roots too. P: the
        # command keeps its own name in argv[0]. The newest registration is the one that counts.
        printf '%s' ":actionproxy-$arch:M::$magic:$mask:$qemu:PF" >$BINFMT/register \
            || die "emulation of $arch could not be registered"
        say "$arch runs through $("$qemu" --version | head -n 1)"
    done
}

end_emulation() {
    local entry
    for entry in "$BINFMT"/actionproxy-*; do
        [ ! -e "$entry" ] || echo -1 >"$entry"
    done
}
