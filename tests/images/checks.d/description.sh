# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# What an image says of itself. Part of tests/images/checks.

label_of() { config "$1" "{{ index .Config.Labels \"org.opencontainers.image.$2\" }}"; }
# `docker image inspect` says <no value> of a label that is not there.
has_label() { local seen; seen=$(label_of "$1" "$2"); echo "$seen"; [ -n "$seen" ] && [ "$seen" != "<no value>" ]; }
revision=$(git -c safe.directory="$PWD" rev-parse HEAD)
from_commit() { case $(label_of "$1" revision) in "$revision" | "$revision-modified") ;; *) label_of "$1" revision; return 1 ;; esac; }
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# The base that is named has the digest that is told, and its layers are the first of the image.
stands_on_its_base() {
    local base digest first all
    digest=$(label_of "$1" base.digest)
    case $(label_of "$1" base.name) in
        # In no registry: what only this engine has.
        localhost/*)
            base=$debian
            expect "$digest" docker image inspect --format '{{ .Id }}' "$base" || return 1
            ;;
        *)
            base=$(label_of "$1" base.name)
            base=${base%@*}@$digest
            docker pull --quiet --platform "$platform" "$base" || return 1
            ;;
    esac
    first=$(docker image inspect --platform "$platform" --format '{{ join .RootFS.Layers " " }}' "$base") || return 1
    all=$(config "$1" '{{ join .RootFS.Layers " " }}')
    case $all in "$first "*) ;; *) printf '%s has    %s\n%s has %s\n' "$1" "$all" "$base" "$first"; return 1 ;; esac
}
# Of all that is in it: Debian's packages have theirs beside them, what is linked into the proxy in /licenses.
without_a_licence() {
    once --entrypoint sh "$images/$1:$tag" -euc '
        for package in $(dpkg-query --show --showformat "\${Package} "); do
            [ -s "/usr/share/doc/$package/copyright" ] || echo "$package"
        done
        for file in LICENSE THIRD-PARTY sbom.cdx.json; do [ -s "/licenses/$file" ] || echo "$file"; done'
}
has_all_licences() {
    check "$1 has the licences of all that is in it" expect '' without_a_licence "$1"
}
# says_what_it_is IMAGE
says_what_it_is() {
    local image=$1 name
    check "$image is for $platform" expect "$platform" config "$image" '{{ .Os }}/{{ .Architecture }}{{ if and .Variant (ne .Variant "v8") }}/{{ .Variant }}{{ end }}'
    check "$image names its licence" expect Apache-2.0 label_of "$image" licenses
    check "$image names its version" expect "$version" label_of "$image" version
    check "$image names the commit it was built from" from_commit "$image"
    for name in title description vendor created source url documentation; do
        check "$image has the label $name" has_label "$image" $name
    done
    check "$image starts the proxy" expect '[/usr/local/bin/actionproxy][]' config "$image" '{{ .Config.Entrypoint }}{{ .Config.Cmd }}'
    check "$image is stopped by TERM" expect SIGTERM config "$image" '{{ .Config.StopSignal }}'
    check "$image exposes its port" expect 'map[8080/tcp:{}]' config "$image" '{{ .Config.ExposedPorts }}'
    check "$image asks for its health without a shell" expect '[CMD /usr/local/bin/actionproxy health]' config "$image" '{{ .Config.Healthcheck.Test }}'
}
