# shellcheck shell=bash
# Sourced by scripts that do the same for several architectures.

# two_at_a_time FUNCTION ARGUMENT...: the function with each argument, two at a time, where each keeps one
# processor busy or waits much. What it says is shown when it is done, and not in the midst of another's.
# Fails where one fails, after all have run.
two_at_a_time() {
    local function=$1 argument running=0 status=0 said
    shift
    said=$(mktemp -d)
    for argument in "$@"; do
        [ $running -lt 2 ] || { wait -n || status=1; running=$((running - 1)); }
        {
            # Not in a condition: there, a command that fails in the middle is passed over.
            set +e
            (set -e; "$function" "$argument") >"$said/$argument" 2>&1
            ended=$?
            flock "$said" cat "$said/$argument"
            exit $ended
        } &
        running=$((running + 1))
    done
    while [ $running -gt 0 ]; do
        wait -n || status=1
        running=$((running - 1))
    done
    rm -rf "$said"
    return $status
}
