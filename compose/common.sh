# What `up`, `down`, `images/build` and `tests/bench` share. Sourced, never run.
# shellcheck shell=bash

# fail WHAT [REMEDY]
fail() {
    [ -z "${begun-}" ] || { echo "failed"; begun=; }
    echo "error: $1" >&2
    [ -z "${2-}" ] || echo "  $2" >&2
    exit 1
}

# fail_with FILE WHAT [REMEDY]: with the end of a log.
fail_with() {
    local file=$1
    shift
    [ -z "${begun-}" ] || { echo "failed"; begun=; }
    tail -n 25 "$file" | sed 's/\x1b\[[0-9;]*m//g; s/^/  | /' >&2
    fail "$@"
}

# usage FLAG: prints the comment that the script begins with.
usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
}

# begin WHAT ... done_in: one line for something that takes a while, and how long it took.
begin() { printf '%s ... ' "$1"; begun=$SECONDS; }
done_in() { echo "$((SECONDS - begun)) s"; begun=; }

# link_statically: has cargo link everything in when it builds for $triple, which it sets: a scratch image has no
# libraries. A target that is named, though it is the host's, keeps this from build scripts and macros, and what is built
# from the folders of everyday builds. Of cargo's sources of flags only one counts, so the user's go in here too.
link_statically() {
    triple=$(rustc -vV | sed -n 's/^host: //p')
    case $triple in
    *-linux-*) ;;
    *) fail "the image needs a Linux binary, and this host makes ones for $triple." "Build on Linux." ;;
    esac
    export "CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUSTFLAGS=${RUSTFLAGS-} -C target-feature=+crt-static"
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
}

need_engine() {
    command -v docker >/dev/null || fail "there is no docker command." "Install Docker: https://docs.docker.com/engine/install/"
    local said
    said=$(docker version --format '{{.Server.Version}}' 2>&1) \
        || fail "the Docker engine does not answer: $(tail -n 1 <<<"$said")" \
            "Is it running, and may $(id -un) use it? Try: docker version"
}

# lock NAME: waits until no other script of ours that holds NAME runs. The lock is file descriptor 9, and ends with us.
lock() {
    lock_file=${XDG_RUNTIME_DIR:-/tmp}/quaymaster-$1-$(id -u).lock
    exec 9>>"$lock_file"
    flock -n 9 || { echo "waiting for another run to end"; flock 9; }
}

# choose_stack NAME: sets $name, its folder $stack, $project, the name under which its containers are known, and
# $usual, what that is unless somebody says otherwise.
choose_stack() {
    local here
    here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
    name=$1
    stack=$here/$name
    [ -f "$stack/docker-compose.yml" ] \
        || fail "there is no stack '$name'." "There are: $(cd "$here" && echo */docker-compose.yml | sed 's,/docker-compose.yml,,g')"
    # A stack may be in the folder of another one.
    usual=quaymaster-${name//\//-}
    project=${QUAYMASTER_EXAMPLE_PROJECT:-$usual}
    [[ $project =~ ^[a-z0-9][a-z0-9_-]*$ ]] \
        || fail "QUAYMASTER_EXAMPLE_PROJECT is '$project'; it can have a-z 0-9 - _ only, and begins with one of the first two."
    ours=label=com.docker.compose.project=$project
    # What `up` tells people to start beside the stack carries this. Not under our label prefix: quaymaster reads that.
    # shellcheck disable=SC2034 # for those who source this
    guests=label=quaymaster-example.stack=$project
}

# container SERVICE [running]: its id, or nothing.
container() {
    docker ps --all --quiet --filter "$ours" --filter "label=com.docker.compose.service=$1" \
        --filter label=com.docker.compose.oneoff=False ${2:+--filter status="$2"} | head -n 1
}

# Containers and volumes of the stack. The network stays, since guests may be on it.
remove_containers_and_volumes() {
    local found
    found=$(docker ps --all --quiet --filter "$ours")
    # shellcheck disable=SC2086 # ids
    [ -z "$found" ] || docker rm --force --volumes $found >/dev/null
    found=$(docker volume ls --quiet --filter "$ours")
    # shellcheck disable=SC2086
    [ -z "$found" ] || docker volume rm --force $found >/dev/null
}
