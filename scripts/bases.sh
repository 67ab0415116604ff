# shellcheck shell=bash
# Sourced by scripts that build images: which images everything starts from, the variables RUST_IMAGE and
# DEBIAN_IMAGE of docker-bake.hcl, and where the sources are.

# source_address: of the address to clone from on stdin, the one that others can follow; nothing, where
# there is none. A token in it is nobody's but the one's who cloned, and would be published.
source_address() {
    sed -n 's,^https://\([^/@]*@\)\{0\,1\}\(.*\)$,https://\2,p; s,^git@\([^:]*\):\(.*\)$,https://\1/\2,p' | sed 's/\.git$//'
}

# default_base NAME: what docker-bake.hcl takes for the variable NAME.
default_base() {
    sed -n "s/^variable \"$1\" { default = \"\(.*\)\" }\$/\1/p" docker-bake.hcl | grep .
}

# Asked for `{{ .Manifest.Digest }}`, buildx 0.29 prints more than that.
digest_in_registry() {
    docker buildx imagetools inspect "$1" --format '{{ json .Manifest }}' 2>/dev/null |
        sed -n 's/^  "digest": "\(sha256:[0-9a-f]*\)",\{0,1\}$/\1/p' | grep .
}

# pinned IMAGE: the image by its digest, where a registry tells one: a tag moves. One that only this engine
# has cannot be named so, and stays as it is.
pinned() {
    local digest
    if digest=$(digest_in_registry "$1"); then
        echo "${1%@*}@$digest"
    else
        echo "$1"
    fi
}
