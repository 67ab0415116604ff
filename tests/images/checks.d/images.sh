# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# The images themselves: proxy, skeleton and what stands on it. Part of tests/images/checks.

images_of_arch=(proxy)
[ "$kinds" != all ] || images_of_arch+=(skeleton example-c)
for image in "${images_of_arch[@]}"; do
    says_what_it_is "$image"
done

# ---- proxy: nothing but the binary --------------------------------------------------------------
files() { docker export "$id" | tar -t | grep -v '/$' | grep -Ev '^(dev|etc|proc|sys)/|^\.dockerenv$' | sort | tr '\n' ' '; }
check "proxy starts" start "$images/proxy:$tag"
check "proxy holds the binary, its licences and the stub" \
    expect 'action/exec licenses/LICENSE licenses/THIRD-PARTY licenses/sbom.cdx.json usr/local/bin/actionproxy ' files
check "proxy runs the stub without a shell" expect '{"error":"This is a stub action. Replace it with custom logic."}' post /run '{}'
check "health says yes" in_container /usr/local/bin/actionproxy health
unhealthy() { ! docker exec --env PORT=9 "$id" /usr/local/bin/actionproxy health; }
check "health says no where nobody answers" unhealthy
bill() { docker cp --quiet "$id:/licenses/" "$scratch/" && python3 -c '
import json, sys
parts = json.load(open(sys.argv[1] + "/sbom.cdx.json"))["components"]
names = {part["name"] for part in parts}
assert {"may", "serde_json", "zip", "rust-std"} <= names and {"musl", "glibc"} & names, names
# Above the first line stands what is linked, below it what each is under.
text = open(sys.argv[1] + "/THIRD-PARTY").read().split("-" * 78, 1)[1]
missing = [part for part in parts if "\n" + part["name"] + " " + part["version"] + " (" not in text
           and not part["name"].startswith("actionproxy")]
assert not missing, missing
assert text.count("Permission is hereby granted") > 10, text' "$scratch/licenses"; }
check "proxy lists what is linked into it, and has its licences" bill
# Whoever builds may have a variable that is empty.
without_a_revision() {
    local name=actionproxy-test/no-revision-$arch
    REVISION='' docker buildx bake --load --provenance=false --set "*.platform=$platform" \
        --set "proxy.tags=$name" --set "proxy.labels.${label%%=*}=${label#*=}" proxy || return 1
    expect unknown docker image inspect --platform "$platform" --format '{{ index .Config.Labels "org.opencontainers.image.revision" }}' "$name"
}
check "a revision is never empty" without_a_revision
check "docker run proxy --help" help proxy

[ "$kinds" = all ] || return 0

check "docker run skeleton --help" help skeleton
printf '#!/bin/sh\necho "{\\"given\\": $1}"\n' >"$scratch/given"
chmod 755 "$scratch/given"
# Copied, not mounted: an engine may see other files under this path.
run_file() {
    id=$(docker create --platform "$platform" --label "$label" "$images/skeleton:$tag" run /srv/given '{"n": 1}') || return 1
    docker cp --quiet "$scratch/given" "$id:/srv/given" && docker start --attach "$id"
}
check "docker run skeleton run FILE" expect '{"given": {"n": 1}}' run_file
run_own() { once "$images/example-c:$tag" run /action/exec '{"name": "file"}' 2>/dev/null | grep -q 'Hello, file!'; }
check "docker run example-c run its own executable" run_own
for image in skeleton example-c; do
    check "$image stands on the base image that its labels tell" stands_on_its_base $image
    has_all_licences $image
done

# ---- example-c ----------------------------------------------------------------------------------
check "example-c starts" start "$images/example-c:$tag"
check "example-c counts as initialised by an empty init" expect OK post /init '{"value":{}}'
check "example-c runs a C program of this architecture" \
    expect "{\"greeting\": \"Hello, OpenWhisk!\", \"machine\": \"$machine\", \"byte_order\": \"$order\", \"bits\": $bits}" \
    post /run '{"value":{"name":"OpenWhisk"}}'
docker cp --quiet "$id:/action/exec" "$scratch/exec" >/dev/null
# Its action is a static program: the file of it that `proxy` is given.
run_static() {
    id=$(docker create --platform "$platform" --label "$label" "$images/proxy:$tag" run /try '{"name": "file"}') || return 1
    docker cp --quiet "$scratch/exec" "$id:/try" && docker start --attach "$id" | grep 'Hello, file!'
}
check "docker run proxy run FILE" run_static
# What the image brings needs no place for the action.
brought() {
    start "$images/example-c:$tag" --user 1000680000:0 --read-only --cap-drop ALL --security-opt no-new-privileges || return 1
    expect OK post /init '{"value":{}}' && post /run '{"value":{"name":"user"}}' | grep 'Hello, user!'
}
check "example-c works as any user on a root that is read-only" brought

# ---- the same program, sent as an archive, to both other images ---------------------------------
mkdir -p "$scratch/zip/lib" "$scratch/body"
cp "$scratch/exec" "$scratch/zip/exec"
echo "an archive's data" >"$scratch/zip/lib/data"
ln -s lib/data "$scratch/zip/link"
# zip and base64 are the image's own.
body() {
    # shellcheck disable=SC2016
    tar -C "$scratch/zip" -c . | docker run --rm --interactive --platform "$platform" --label "$label" --entrypoint bash "$images/skeleton:$tag" -euc '
        mkdir /zip; cd /zip; tar -x; zip -qry ../action.zip .
        printf "{\"value\":{\"binary\":true,\"code\":\"%s\"}}" "$(base64 -w 0 ../action.zip)"' >"$scratch/body/zip"
}
check "skeleton's zip packs an archive" body
init_with() { curl --silent --max-time 60 --data-binary "@$1" "http://$address/init"; }
for image in proxy skeleton; do
    check "$image starts again" start "$images/$image:$tag"
    check "$image takes a zip" expect OK init_with "$scratch/body/zip"
    check "$image runs the program in it" \
        expect "{\"greeting\": \"Hello, zip!\", \"machine\": \"$machine\", \"byte_order\": \"$order\", \"bits\": $bits}" \
        post /run '{"value":{"name":"zip"}}'
done
check "the archive's symlink is one" expect "an archive's data" in_container cat /action/link

# ---- skeleton -----------------------------------------------------------------------------------
for tool in bash curl git jq openssl perl python3 sed ssh unzip wget zip; do
    option=--version
    case $tool in openssl) option=version ;; ssh) option=-V ;; unzip | zip) option=-v ;; esac
    check "skeleton has a $tool that runs" in_container $tool $option
done
check "skeleton has certificates" in_container test -s /etc/ssl/certs/ca-certificates.crt
check "the proxy is process 1" in_container bash -c 'tr "\0" "\n" </proc/1/cmdline | grep -qx /usr/local/bin/actionproxy'

# run_text CODE ARGUMENT: a fresh container initialised with a program, and its result.
run_text() {
    start "$images/skeleton:$tag" >/dev/null || return 1
    post /init "{\"value\":{\"code\":$1}}" >/dev/null
    post /run "{\"value\":$2}"
}
check "python tells $order endian" expect "{\"order\": \"$order\"}" \
    run_text '"#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps({\"order\": sys.byteorder}))"' '{}'
check "perl tells $order endian" expect "{\"order\":\"$order\"}" \
    run_text '"#!/usr/bin/perl\nprint unpack(\"h*\", pack(\"s\", 1)) =~ /^1/ ? \"{\\\"order\\\":\\\"little\\\"}\" : \"{\\\"order\\\":\\\"big\\\"}\""' '{}'

# ---- any user, and a root that cannot be written ------------------------------------------------
# as IMAGE OPTION...: a container that takes an archive and runs the program in it.
as() {
    local image=$1
    shift
    start "$images/$image:$tag" "$@" || return 1
    expect OK init_with "$scratch/body/zip" || { docker logs "$id"; return 1; }
    expect "{\"greeting\": \"Hello, user!\", \"machine\": \"$machine\", \"byte_order\": \"$order\", \"bits\": $bits}" \
        post /run '{"value":{"name":"user"}}'
}
volume=$(docker volume create --label "$label")
memory=/action:exec,mode=777
for image in proxy skeleton; do
    check "$image works as a user without a name" as $image --user 65534
    check "$image works as a user and a group" as $image --user 65534:65534
    check "$image works as OpenShift starts it" as $image --user 1000680000:0 --cap-drop ALL --security-opt no-new-privileges
    check "$image works on a root that is read-only" as $image --read-only --tmpfs $memory
    check "$image works as any user on a root that is read-only" as $image --user 1000680000:0 --read-only --tmpfs $memory
done
check "skeleton works as any user with its action on a volume" as skeleton --user 1000680000:0 --read-only --volume "$volume:/action"
user_of_action() { expect '1000680000' in_container stat -c %u /action/exec; }
check "the executable is that user's" user_of_action
# Without a place for the action it cannot work; it says why.
without_a_place() {
    docker run --rm --platform "$platform" --label "$label" --read-only --detach --publish 127.0.0.1::8080 "$images/skeleton:$tag" >"$scratch/id" || return 1
    id=$(cat "$scratch/id") address=$(docker port "$id" 8080/tcp | head -n 1)
    within 30 curl --silent --fail --max-time 5 --output /dev/null "http://$address/healthz"
    post /init '{"value":{"code":"#!/bin/sh\necho {}"}}' | grep -i 'read-only'
}
check "a read-only root without a place for the action is named in the answer" without_a_place

# ---- process 1 ----------------------------------------------------------------------------------
# Forty orphans, which end after the action and whose parent is process 1 then.
# shellcheck disable=SC2016
orphans='"#!/bin/bash\nfor n in $(seq 40); do (sleep 0.4 >/dev/null 2>&1 &); done\necho {\\\"left\\\":40}"'
orphans() {
    start "$images/skeleton:$tag" --env PROXY_ALLOW_REINIT=1 || return 1
    post /init "{\"value\":{\"code\":$orphans}}" && post /run '{}'
}
check "an action leaves forty orphans" orphans
# In the order of the fields: pid (name) state.
none_left() { in_container bash -c '! cat /proc/[0-9]*/stat 2>/dev/null | grep -E "\((sleep|[^)]*qemu[^)]*)\) Z|\(sleep\)"'; }
check "no zombie is left of them" within 20 none_left

stopped() {
    local began=$SECONDS
    docker stop --time 30 "$id" >/dev/null || return 1
    expect 0 docker wait "$id" || return 1
    # Docker would have killed it after 30.
    [ $((SECONDS - began)) -lt 20 ] || { echo "took $((SECONDS - began)) s"; return 1; }
}
check "docker stop ends an idle proxy with status 0" stopped

slow='"#!/bin/bash\necho started\nsleep 2\necho {\\\"finished\\\":true}"'
has_started() { docker logs "$id" 2>/dev/null | grep -q started; }
draining() {
    start "$images/skeleton:$tag" || return 1
    post /init "{\"value\":{\"code\":$slow}}" || return 1
    post /run '{}' >"$scratch/slow" &
    local run=$!
    within 20 has_started || return 1
    stopped || return 1
    wait $run
    expect '{"finished":true}' cat "$scratch/slow"
}
check "docker stop lets a run end, and its answer arrives" draining
sentinel='XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX'
logs() { docker logs "$id" 2>/dev/null; }
check "docker logs hold its lines and the sentinel" expect "$(printf 'started\n%s' $sentinel)" logs
errors() { docker logs "$id" 2>&1 >/dev/null | grep -c "$sentinel"; }
check "docker logs hold one sentinel on stderr" expect 1 errors

healthy() { [ "$(docker inspect --format '{{ .State.Health.Status }}' "$id")" = healthy ]; }
check "a container is started to watch its health" start "$images/skeleton:$tag" --health-interval 1s
check "it becomes healthy" within 30 healthy
# Health checks are children of Docker's, not of process 1, and must leave nothing behind either.
check "health checks leave no zombie" within 20 none_left

# ---- derived images, in three lines -------------------------------------------------------------
derive() {
    local name=actionproxy-test/$1-$arch
    printf 'FROM %s\nCOPY exec /action/exec\n' "$images/$1:$tag" >"$scratch/Dockerfile"
    docker build --quiet --label "$label" --platform "$platform" --tag "$name" --file "$scratch/Dockerfile" "$scratch" || return 1
    start "$name" || return 1
    post /run '{"value":{"name":"derived"}}' | grep -q 'Hello, derived!'
}
check "an image derived from skeleton runs its program" derive skeleton
check "an image derived from proxy runs a static program" derive proxy
