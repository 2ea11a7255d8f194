# Shared by deploy/run, deploy/test and .ci/run; sourced, not run. Expects bash and `set -eu`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# What the demo camera needs besides the manager's own needs.
camera_packages=(python3 python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav)
# What the manager and its nginx need, and these scripts.
service_packages=(ffmpeg nginx-light gettext-base curl ca-certificates procps)
# What the tests need on top.
test_packages=(chromium iproute2 libfaketime openssl php-cli php-curl prometheus python3-cryptography)

# Installs those of the named Debian packages that are missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            missing+=("$package")
    done
    # Another nginx package serves as well.
    if command -v nginx >/dev/null; then missing=("${missing[@]/nginx-light}"); fi
    # shellcheck disable=SC2206 # drops the empty word that the line above leaves
    missing=(${missing[@]+${missing[@]}})
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them with your system's package manager"
    [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; run: sudo apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    # A policy that keeps apt from starting services: nginx is run from here, on other ports.
    local policy=/usr/sbin/policy-rc.d is_ours=false status=0
    if [ ! -e "$policy" ]; then
        is_ours=true
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; } || status=$?
    if $is_ours; then rm -f "$policy"; fi
    [ "$status" = 0 ] || die "the packages could not be installed: ${missing[*]}"
}

require_cargo() {
    command -v cargo >/dev/null || die "Rust is missing; install it from https://rustup.rs (1.94 or newer)"
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

# Installs the locked npm packages of a folder, unless they are there already.
npm_packages() {
    command -v npm >/dev/null || install_packages nodejs npm
    local folder=$1
    cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock" && return
    say "installing the npm packages of ${folder#"$root"/}"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >&2)
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock"
}

# What the page is made of, as one line: changes when it has to be built anew.
web_sources() {
    (cd "$root/nginx/web" && find index.html package.json package-lock.json tsconfig.json vite.config.js src -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
}

# Builds the page into nginx/web/dist, unless that is of the present sources.
web_build() {
    local folder=$root/nginx/web sources
    sources=$(web_sources)
    [ "$sources" = "$(cat "$folder/dist/.sources" 2>/dev/null)" ] && return
    npm_packages "$folder"
    say "building the page"
    (cd "$folder" && npm run --silent build >&2)
    printf '%s\n' "$sources" >"$folder/dist/.sources"
}

# Sets the variables of .env that the environment does not set.
load_dotenv() {
    [ -f "$root/.env" ] || return 0
    local line name value
    while IFS= read -r line || [ -n "$line" ]; do
        [[ $line =~ ^[A-Z_]+= ]] || continue
        name=${line%%=*}
        value=${line#*=}
        # Quotes around a value are none of it.
        [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]] && value=${BASH_REMATCH[1]}
        [ -n "${!name+set}" ] || export "$name=$value"
    done <"$root/.env"
}

# Writes the nginx configuration. Arguments: file, then the template's variables as NAME=value.
render_nginx() {
    local file=$1 names
    shift
    names=$(printf '${%s} ' "${@%%=*}")
    env "$@" envsubst "$names" <"$root/nginx/nginx.conf.template" >"$file"
}
