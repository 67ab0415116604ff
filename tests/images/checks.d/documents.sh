# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# The Dockerfiles that the README shows, as they stand there: built, and run. Part of tests/images/checks.

# shown_builds NAME DIRECTORY HEADING [DOCKER OPTION...]: builds the Dockerfile that the README shows there.
built=0
shown_builds() {
    local name=$1 directory=$2 heading=$3
    shift 3
    built=$((built + 1))
    shown README.md "$heading" dockerfile >"$directory/Dockerfile" || { cat "$directory/Dockerfile"; return 1; }
    build "$name" "$directory" "$@"
}

# ---- Images: an image of one's own ------------------------------------------------------------------
own_image() {
    local directory name=actionproxy-test/own-$arch
    directory=$(context own)
    # Without its permission: the Dockerfile gives it.
    printf '#!/bin/sh\necho "{\\"given\\": $1}"\n' >"$directory/my-program"
    shown_builds "$name" "$directory" Images || return 1
    start "$name" || return 1
    expect '{"given": {"n":1}}' post /run '{"value":{"n":1}}'
}
check "the image of one's own that the README shows runs its program" own_image

# ---- Extending: a runtime of commands ---------------------------------------------------------------
# The source is the one that the README compiles by hand, and so is the result.
command_runtime() {
    local directory name=actionproxy-test/commands-$arch
    directory=$(context commands)
    shown_builds "$name" "$directory" Extending || return 1
    mkdir "$directory/target"
    shown README.md Extending sh >"$directory/shown" || return 1
    (cd "$directory" && bash -euc "$(grep ^printf shown)") || return 1
    start "$name" || return 1
    expect OK post /init "{\"value\":{\"code\":$(json "$directory/target/try.c")}}" || { docker logs "$id"; return 1; }
    expect "$(sed -n 's/^# //p' "$directory/shown")" post /run '{"value":{"n": 3}}' || { docker logs "$id"; return 1; }
}
check "the runtime of commands that the README shows compiles an action in C" command_runtime
# What the README says of a source that is broken, in the same image.
compiler_is_heard() {
    start "actionproxy-test/commands-$arch" || return 1
    post /init '{"value":{"code":"int main(void) { return oops; }"}}' | grep 'failed to generate' || return 1
    docker logs "$id" 2>&1 | grep "'oops' undeclared"
}
check "and the compiler's words are in its logs" compiler_is_heard

# ---- ActionLoop: two lines under a language runtime -------------------------------------------------
# OpenWhisk's image is in a registry. What stands for it has the variables, the places and the entrypoint
# of that one, and no proxy; its scripts are those of runtimes/python, which speak the same contract.
under_a_language_runtime() {
    local directory base=actionproxy-test/language-$arch name=actionproxy-test/loop-$arch language
    directory=$(context language)
    cp runtimes/python/compile runtimes/python/launcher.py "$directory/"
    printf '%s\n' 'FROM actionproxy/skeleton' 'RUN rm /usr/local/bin/actionproxy' 'COPY compile launcher.py /bin/' \
        'ENV OW_LOG_INIT_ERROR=1 OW_WAIT_FOR_ACK=1 OW_COMPILER=/bin/compile' \
        'WORKDIR /' 'ENTRYPOINT ["/bin/proxy"]' >"$directory/Dockerfile"
    build "$base" "$directory" || return 1
    directory=$(context loop)
    language=$(shown README.md "Under a language runtime (ActionLoop)" dockerfile | sed -n 's/^FROM //p')
    shown_builds "$name" "$directory" "Under a language runtime (ActionLoop)" \
        --build-context "$language=docker-image://$base" || return 1
    start "$name" || return 1
    expect '{"ok":true}' post /init "{\"value\":{\"code\":$(json runtimes/python/example.py)}}" || { docker logs "$id"; return 1; }
    expect '{"greeting": "Hello, you!"}' post /run '{"value":{"name":"you"}}'
}
check "the two lines that the README shows put the proxy under a language runtime" under_a_language_runtime

# ---- Knative: a dedicated runtime -------------------------------------------------------------------
# Its command, but for the file, which is copied: an engine may see other files under this path.
dedicated() {
    local options
    options=$(shown README.md "Knative: the single entrypoint" console | grep -o -e '-e [^ ]*=[^ ]*')
    printf '#!/bin/sh\necho "{\\"name\\": \\"$__OW_ACTION_NAME\\"}"\n' >"$scratch/try"
    chmod 755 "$scratch/try"
    # shellcheck disable=SC2086
    id=$(docker create --platform "$platform" --label "$label" --publish 127.0.0.1::8080 $options \
        -e __OW_ACTION_NAME=dedicated "$images/skeleton:$tag") || return 1
    docker cp --quiet "$scratch/try" "$id:/code" && docker start "$id" || return 1
    address=$(docker port "$id" 8080/tcp | head -n 1)
    within 30 curl --silent --fail --max-time 5 --output /dev/null "http://$address/healthz" || return 1
    expect '{"name": "dedicated"}' post / '{"value":{}}' || { docker logs "$id"; return 1; }
}
check "the dedicated runtime that the README shows runs its function" dedicated

all_of_them() { expect "$built" grep -c '^```dockerfile' README.md; }
check "these were all Dockerfiles that the README shows" all_of_them
