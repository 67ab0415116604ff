# shellcheck shell=bash disable=SC2034,SC2086,SC2153,SC2154
# A Docker engine with buildx: the one that is there, or our own in a root of its own. Part of
# scripts/ground.

engine_root() {
    root "$ENGINE" ca-certificates,docker.io,docker-cli,docker-buildx,iptables,qemu-user,git
}

# Of its own: another engine's images can be pushed there too.
registry() {
    root "$CACHE/registry" docker-registry >&2
    echo "$CACHE/registry/usr/bin/docker-registry"
}

# A Docker that answers, knows buildx and keeps images for several platforms. Our own, where the
# environment points at it already, is none that was there.
there_is_docker() {
    [ "${DOCKER_HOST:-}" != "unix://$RUN/docker.sock" ] || return 1
    docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1
}

own_engine_environment() {
    export DOCKER_HOST=unix://$RUN/docker.sock DOCKER_CONFIG=$CACHE/docker
    export PATH=$CACHE/bin:$PATH
}

engine_answers() { DOCKER_HOST=unix://$RUN/docker.sock "$ENGINE/usr/bin/docker" version >/dev/null 2>&1; }

engine_process() {
    local process
    process=$(cat "$RUN/engine.pid" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$process/cmdline" | grep -q '^dockerd.*--data-root /srv/data' || return 1
    echo "$process"
}

engine() {
    if [ "${ACTIONPROXY_ENGINE:-}" = docker ] || { [ "${ACTIONPROXY_ENGINE:-}" != own ] && there_is_docker; }; then
        there_is_docker || die "docker with buildx does not answer"
        echo docker >"$RUN/kind"
        return
    fi
    require_machine
    engine_root
    mkdir -p "$CACHE/bin" "$CACHE/docker/cli-plugins"
    ln -sf "$ENGINE/usr/bin/docker" "$CACHE/bin/docker"
    ln -sf "$ENGINE/usr/libexec/docker/cli-plugins/docker-buildx" "$CACHE/docker/cli-plugins/docker-buildx"
    "$CACHE/bin/docker" --version >/dev/null 2>&1 || die "Debian $SUITE's docker does not run on this machine's C library"
    if engine_process >/dev/null && engine_answers; then echo own >"$RUN/kind"; return; fi
    say "starting the engine"
    # Left alone it would keep what it built until three quarters of the disk are full.
    mkdir -p "$ENGINE/etc/docker"
    echo '{"builder": {"gc": {"enabled": true, "policy": [{"all": true, "maxUsedSpace": "20GB"}]}}}' \
        >"$ENGINE/etc/docker/daemon.json"
    # It gives its containerd 15 s to start, which on a busy disk may be too few the first time.
    local attempt
    for attempt in 1 2 3; do
        [ $attempt = 1 ] || say "again"
        start_engine
        ! wait_for_engine || return 0
        tail -n 15 "$RUN/engine.log" >&2
        stop_engine
    done
    die "the Docker engine did not start"
}

start_engine() {
    echo own >"$RUN/kind"
    # A root of its own (pivot_root, for runc refuses to work in a chroot), in a mount namespace
    # that ends with it: no mount is left behind however it ends.
    # shellcheck disable=SC2016
    ROOT=$ENGINE RUN=$RUN CACHE=$CACHE setsid unshare --mount --propagation private bash -euc '
        cp --remove-destination /etc/resolv.conf "$ROOT/etc/resolv.conf"
        mkdir -p "$ROOT/.old" "$ROOT/srv/run" "$ROOT/srv/data" "$CACHE/images"
        mount --bind "$ROOT" "$ROOT"
        for directory in proc sys dev; do mount --rbind /$directory "$ROOT/$directory"; done
        mount -t tmpfs tmpfs "$ROOT/run"
        mount -t tmpfs tmpfs "$ROOT/tmp"
        mount --bind "$RUN" "$ROOT/srv/run"
        mount --bind "$CACHE/images" "$ROOT/srv/data"
        cd "$ROOT"
        pivot_root . .old
        exec chroot . /bin/sh -euc "
            umount -l /.old
            iptables -nL >/dev/null 2>&1 || update-alternatives --set iptables /usr/sbin/iptables-legacy
            echo \$\$ >/srv/run/engine.pid
            exec dockerd --host unix:///srv/run/docker.sock --data-root /srv/data --exec-root /run/docker \
                --pidfile /run/dockerd.pid --feature containerd-snapshotter=true --log-level warn"
    ' </dev/null >"$RUN/engine.log" 2>&1 9>&- &
}

# Fails where it ends instead, or does not answer within a minute.
wait_for_engine() {
    local tries
    for tries in $(seq 120); do
        if engine_answers; then say "the engine answers"; return; fi
        # Not before it had the time to write its process id.
        [ "$tries" -lt 20 ] || engine_process >/dev/null || return 1
        sleep 0.5
    done
    return 1
}

stop_engine() {
    local process
    if process=$(engine_process); then
        kill -TERM "$process"
        for _ in $(seq 60); do [ -e "/proc/$process" ] || break; sleep 0.5; done
        [ ! -e "/proc/$process" ] || kill -KILL "$process"
    fi
    rm -f "$RUN/engine.pid" "$RUN/kind"
}

# Shell lines for whoever calls docker.
print_environment() {
    [ "$(cat "$RUN/kind" 2>/dev/null)" = own ] || return 0
    own_engine_environment
    printf 'export %s=%q\n' DOCKER_HOST "$DOCKER_HOST" DOCKER_CONFIG "$DOCKER_CONFIG" PATH "$PATH" \
        RUST_IMAGE $RUST_BASE DEBIAN_IMAGE $DEBIAN_BASE BASE_NAME localhost/$DEBIAN_BASE
}
