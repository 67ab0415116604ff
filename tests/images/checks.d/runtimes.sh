# shellcheck shell=bash disable=SC2034,SC2154
# The example runtimes. Part of tests/images/checks.

# own_test RUNTIME [DOCKER OPTION...]: what a person runs who has built it.
own_test() {
    local runtime=$1
    shift
    start "$images/runtime-$runtime:$tag" "$@" || return 1
    "runtimes/$runtime/test" "$address" || { docker logs "$id"; return 1; }
}
makes_virtualenv() {
    once --entrypoint sh "$images/runtime-python:$tag" -c 'python3 -m venv /tmp/virtualenv && /tmp/virtualenv/bin/pip --version'
}
check "runtime-python makes a virtualenv for its actions" makes_virtualenv
# Swift's own image is in a registry: its Dockerfile is built on Debian's, with a stand-in for the compiler.
# Nothing that the Dockerfile has to say is said by that base.
swift_on_another_base() {
    local base=actionproxy-test/swift-base-$arch name=actionproxy-test/swift-$arch
    cp tests/images/swiftc "$scratch/"
    printf 'FROM %s\nCOPY --chmod=755 swiftc /usr/bin/\n' "$debian" >"$scratch/Dockerfile"
    build "$base" "$scratch" || return 1
    build "$name" runtimes/swift --build-context "swift:6.1=docker-image://$base" || return 1
    start "$name" || return 1
    expect OK post /init '{"value":{"code":"func main"}}' && expect '{"n":1}' post /run '{"value":{"n":1}}'
}
# One that the image has not compiled.
other_package() {
    start "$images/runtime-go:$tag" --user 1000680000:0 --read-only --tmpfs /action:exec,mode=777 --tmpfs /tmp:exec,mode=1777 || return 1
    expect OK post /init '{"value":{"code":"package main\nimport \"net/url\"\nfunc Main(a any) any { return []string{url.QueryEscape(\"/\")} }"}}' &&
        expect '["%2F"]' post /run '{}'
}
check "runtime-go compiles another package of Go's on a root that is read-only" other_package
check "the Dockerfile of runtime-swift builds and serves, on another base" swift_on_another_base
for runtime in c go python; do
    says_what_it_is "runtime-$runtime"
    check "runtime-$runtime has the digest of its base image" has_label "runtime-$runtime" base.digest
    check "runtime-$runtime passes its own test" own_test $runtime
    check "runtime-$runtime does as OpenShift starts it" own_test $runtime --user 1000680000:0 --cap-drop ALL --security-opt no-new-privileges
    check "runtime-$runtime does as any user on a root that is read-only" own_test $runtime --user 1000680000:0 \
        --read-only --tmpfs /action:exec,mode=777 --tmpfs /tmp:exec,mode=1777
done
