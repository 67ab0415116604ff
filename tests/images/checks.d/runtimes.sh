# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# The example runtimes. Part of tests/images/checks.

# own_test RUNTIME [DOCKER OPTION...]: what a person runs who has built it.
own_test() {
    local runtime=$1
    shift
    start "$images/runtime-$runtime:$tag" "$@" || return 1
    "runtimes/$runtime/test" "$address" || { docker logs "$id"; return 1; }
}
# The commands of its README, with a package that is here already.
virtualenv() {
    local directory commands
    directory=$(context packages)
    python3 - "$directory/mine-1.0-py3-none-any.whl" <<'END' || return 1
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("mine.py", "answer = 42\n")
    wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    wheel.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("mine-1.0.dist-info/RECORD", "")
END
    echo ./mine-1.0-py3-none-any.whl >"$directory/requirements.txt"
    printf 'import mine\ndef main(args):\n    return {"answer": mine.answer}\n' >"$directory/__main__.py"
    commands=$(shown runtimes/python/README.md Archives console 2) || return 1
    # Copied, not mounted: an engine may see other files under this path.
    id=$(docker create --platform "$platform" --label "$label" --env PIP_NO_INDEX=1 -w /src --entrypoint bash \
        "$images/runtime-python:$tag" -euc "$(grep -E '^(python3|virtualenv/bin/pip) ' <<<"$commands")") || return 1
    docker cp --quiet "$directory/." "$id:/src" && docker start --attach "$id" || return 1
    docker cp --quiet "$id:/src/virtualenv" "$directory/" || return 1
    (cd "$directory" && bash -euc "$(grep '^zip ' <<<"$commands")") || return 1
    printf '{"value":{"binary":true,"code":"%s"}}' "$(base64 -w 0 "$directory/action.zip")" >"$directory/init"
    start "$images/runtime-python:$tag" || return 1
    expect '{"ok":true}' post /init "@$directory/init" || { docker logs "$id"; return 1; }
    expect '{"answer": 42}' post /run '{}'
}
check "runtime-python takes an archive with a virtualenv, made as its README says" virtualenv
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
# As bake reads them: a build of all would say no more.
without_a_revision() {
    REVISION='' docker buildx bake --print runtimes 2>/dev/null | grep -c '"org.opencontainers.image.revision": "unknown"'
}
check "a revision is never empty" expect 3 without_a_revision
check "runtime-go compiles another package of Go's on a root that is read-only" other_package
check "the Dockerfile of runtime-swift builds and serves, on another base" swift_on_another_base
# tried RUNTIME FILE: what an author sees of an action without HTTP.
tried() {
    id=$(docker create --platform "$platform" --label "$label" "$images/runtime-$1:$tag" run --init "/srv/$2" '{"name": "you"}') || return 1
    docker cp --quiet "runtimes/$1/$2" "$id:/srv/$2" && docker start --attach "$id" | grep 'Hello, you!'
}
check "docker run runtime-c run --init FILE" tried c example.c
check "docker run runtime-go run --init FILE" tried go example.go
check "docker run runtime-python run --init FILE" tried python example.py
for runtime in c go python; do
    check "docker run runtime-$runtime --help" help "runtime-$runtime"
    says_what_it_is "runtime-$runtime"
    check "runtime-$runtime stands on the base image that its labels tell" stands_on_its_base "runtime-$runtime"
    has_all_licences "runtime-$runtime"
    check "runtime-$runtime passes its own test" own_test $runtime
    check "runtime-$runtime does as OpenShift starts it" own_test $runtime --user 1000680000:0 --cap-drop ALL --security-opt no-new-privileges
    check "runtime-$runtime does as any user on a root that is read-only" own_test $runtime --user 1000680000:0 \
        --read-only --tmpfs /action:exec,mode=777 --tmpfs /tmp:exec,mode=1777
done

# ---- what their READMEs tell a reader to do: the same on every platform, and slow under emulation ----
[ "$arch" = "$(host_architecture)" ] || return 0

# copied RUNTIME: a copy of the directory, as a reader begins with.
copied() { rm -rf "${scratch:?}/copy" && cp -r "runtimes/$1" "$scratch/copy"; }

a_copy_is_enough() {
    copied "$1" && build "actionproxy-test/copy-$1-$arch" "$scratch/copy" || return 1
    start "actionproxy-test/copy-$1-$arch" && "$scratch/copy/test" "$address"
}
for runtime in c go python; do
    check "a copy of runtimes/$runtime is an image by \`docker build\`, and passes its test" a_copy_is_enough $runtime
done

# Of C: the library in the Dockerfile, and in the last words of `build`.
with_a_library() {
    local source='#include <cjson/cJSON.h>
const char *action(const char *json)
{
    cJSON *argument = cJSON_Parse(json);
    cJSON_AddNumberToObject(argument, "twice", 2 * cJSON_GetObjectItem(argument, "n")->valuedouble);
    return cJSON_PrintUnformatted(argument);
}'
    copied c || return 1
    shown runtimes/c/README.md "An image of one's own" dockerfile >>"$scratch/copy/Dockerfile" || return 1
    sed -i 's/-lm /-lm -lcjson /' "$scratch/copy/build"
    build "actionproxy-test/library-$arch" "$scratch/copy" && start "actionproxy-test/library-$arch" || return 1
    printf '%s' "$source" >"$scratch/source"
    expect OK post /init "{\"value\":{\"code\":$(json "$scratch/source")}}" || { docker logs "$id"; return 1; }
    expect '{"n":2,"twice":4}' post /run '{"value":{"n":2}}'
}
check "a copy of runtimes/c takes the library that its README adds" with_a_library

# Of Python: a package of Debian's, in an image on ours.
with_a_package() {
    local directory source='import numpy
def main(args):
    return {"sum": int(numpy.array(args["numbers"]).sum())}'
    directory=$(context package)
    shown runtimes/python/README.md "An image of one's own" dockerfile >"$directory/Dockerfile" || return 1
    build "actionproxy-test/package-$arch" "$directory" && start "actionproxy-test/package-$arch" || return 1
    printf '%s' "$source" >"$scratch/source"
    expect '{"ok":true}' post /init "{\"value\":{\"code\":$(json "$scratch/source")}}" || { docker logs "$id"; return 1; }
    expect '{"sum": 6}' post /run '{"value":{"numbers":[1,2,3]}}'
}
check "an image on runtime-python has the package that its README adds" with_a_package
