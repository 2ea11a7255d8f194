# shellcheck shell=sh disable=SC2089,SC2090 # nginx reads the quotes in the variables
# Sets the variables of nginx.conf.template that are derived from settings. Sourced by deploy/run, deploy/lib.sh and,
# in the container image, by the base image's entry point.

# Reports that nginx cannot be configured with the settings, and exits.
refuse_settings() {
    echo "error: $*" >&2
    exit 64
}

# The directives for TRUSTED_PROXIES.
NGINX_TRUSTED_PROXIES=
for network in $(printf '%s' "${TRUSTED_PROXIES:-}" | tr ',' ' '); do
    NGINX_TRUSTED_PROXIES="$NGINX_TRUSTED_PROXIES set_real_ip_from $network;"
done
export NGINX_TRUSTED_PROXIES

# The locations of the directories in RECORDINGS_DIRS, by their positions.
NGINX_RECORDINGS='' recordings_index=0
recordings_rest=${RECORDINGS_DIRS:-}
while [ -n "$recordings_rest" ]; do
    recordings_dir=${recordings_rest%%,*}
    case $recordings_rest in
        *,*) recordings_rest=${recordings_rest#*,} ;;
        *) recordings_rest= ;;
    esac
    recordings_dir=$(printf '%s' "$recordings_dir" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//; s|//*$||')
    [ -n "$recordings_dir" ] || continue
    case $recordings_dir in
        *[\"\$\\]*) refuse_settings "RECORDINGS_DIRS=$RECORDINGS_DIRS is invalid; a path cannot contain \", \$ or \\" ;;
        /*) ;;
        *) refuse_settings "RECORDINGS_DIRS=$RECORDINGS_DIRS is invalid; nginx needs absolute paths" ;;
    esac
    NGINX_RECORDINGS="$NGINX_RECORDINGS location /internal/recordings/$recordings_index/"
    NGINX_RECORDINGS="$NGINX_RECORDINGS { internal; alias \"$recordings_dir/\"; }"
    recordings_index=$((recordings_index + 1))
done
export NGINX_RECORDINGS

# Refuses values with which the origins would have no effect, or would change other directives of the
# Content-Security-Policy.
case "${CORS_ORIGINS:-} " in
    *,* | *"/ "*)
        refuse_settings "CORS_ORIGINS=$CORS_ORIGINS is invalid; allowed: * or origins without a slash at the end," \
            "separated by spaces, e.g. https://shop.example"
        ;;
esac
case ${FRAME_ANCESTORS:-} in
    *[,\;\"\$\\]*)
        refuse_settings "FRAME_ANCESTORS=$FRAME_ANCESTORS is invalid; allowed: origins, separated by spaces," \
            "e.g. https://shop.example"
        ;;
esac

# The sources of frame-ancestors: the page's own origin, and FRAME_ANCESTORS.
export NGINX_FRAME_ANCESTORS="'self'${FRAME_ANCESTORS:+ $FRAME_ANCESTORS}"

# The directives for the path of PUBLIC_URL, which a proxy in front of nginx can keep or remove.
base_path=${PUBLIC_URL:-}
base_path=${base_path#*://}
case $base_path in
    */*) base_path=/${base_path#*/} ;;
    *) base_path= ;;
esac
while [ "$base_path" != "${base_path%/}" ]; do base_path=${base_path%/}; done
case $base_path/ in
    */./* | */../*) refuse_settings "PUBLIC_URL=$PUBLIC_URL is invalid; its path cannot contain . or .." ;;
esac
NGINX_BASE_PATH=
if [ -n "$base_path" ]; then
    # After the rewrite below, nginx would accept requests for locations that are marked `internal`. So nginx rejects
    # such requests before the rewrite.
    NGINX_BASE_PATH="if (\$uri ~ \"^$base_path/(internal|problem)/\") { return 404; }"
    NGINX_BASE_PATH="$NGINX_BASE_PATH rewrite ^$base_path\$ $base_path/ permanent; rewrite ^$base_path(/.*)\$ \$1;"
fi
export NGINX_BASE_PATH

# The files of the certificate and its key. Either the operator provides these files, or the manager creates them.
case ${TLS:-off} in
    off) NGINX_TLS_CERT=${TLS_CERT:-} NGINX_TLS_KEY=${TLS_KEY:-} ;;
    self-signed)
        [ -z "${TLS_CERT:-}${TLS_KEY:-}" ] || refuse_settings "TLS must be off if TLS_CERT or TLS_KEY is set"
        case ${TLS_DIR:-} in
            /*) NGINX_TLS_CERT=$TLS_DIR/cert.pem NGINX_TLS_KEY=$TLS_DIR/key.pem ;;
            *) refuse_settings "TLS_DIR=${TLS_DIR:-} must be an absolute path if TLS is self-signed" ;;
        esac
        # A browser that has received Strict-Transport-Security does not let its user accept a self-signed certificate.
        [ -z "${HSTS_SECONDS:-}" ] || refuse_settings "HSTS_SECONDS must be unset if TLS is self-signed"
        ;;
    *) refuse_settings "TLS=$TLS is invalid; allowed: off or self-signed" ;;
esac
case $NGINX_TLS_CERT:$NGINX_TLS_KEY in
    : | /*:/*) ;;
    *) refuse_settings "TLS_CERT=$NGINX_TLS_CERT and TLS_KEY=$NGINX_TLS_KEY must both be absolute paths, or unset" ;;
esac
export NGINX_TLS_CERT NGINX_TLS_KEY

# Prints the address $1 for a `listen` directive whose parameters are $2. A port without an address means all IPv4
# addresses, and also all IPv6 addresses if the system supports IPv6.
listen_on() {
    case $1 in
        '' | *[!0-9]*) printf '%s' "$1" ;;
        *)
            printf '%s' "$1"
            if [ -e /proc/net/if_inet6 ]; then printf '%s' " $2; listen [::]:$1"; fi
            ;;
    esac
}

# The directives for TLS, and the server that only redirects to HTTPS.
NGINX_TLS_LISTEN='' NGINX_TLS='' NGINX_REDIRECT=''
if [ -n "$NGINX_TLS_CERT" ]; then
    # Before nginx 1.25.1, HTTP/2 is a parameter of `listen`.
    nginx_version=$(nginx -v 2>&1 | sed -n 's|^.*/\([0-9.]*\).*$|\1|p')
    oldest=$(printf '%s\n' 1.25.1 "$nginx_version" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)
    NGINX_TLS_LISTEN=ssl
    if [ "$oldest" = 1.25.1 ]; then NGINX_TLS='http2 on;'; else NGINX_TLS_LISTEN='ssl http2'; fi
    NGINX_TLS="$NGINX_TLS ssl_certificate \"$NGINX_TLS_CERT\"; ssl_certificate_key \"$NGINX_TLS_KEY\";"
    NGINX_TLS="$NGINX_TLS ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m; ssl_session_timeout 1d;"
    # nginx responds with this redirect to plain HTTP requests that arrive at a port for TLS.
    # shellcheck disable=SC2016 # the variables are nginx's
    NGINX_TLS="$NGINX_TLS"' error_page 497 =308 https://$http_host$request_uri;'
    if [ -n "${NGINX_HTTP_LISTEN:-}" ]; then
        public_host=${PUBLIC_URL:-}
        public_host=${public_host#*://}
        public_host=${public_host%%/*}
        # Certbot writes files into WEB_DIR, and a certificate authority requests them without TLS.
        NGINX_REDIRECT="location ^~ /.well-known/acme-challenge/ { root \"${WEB_DIR:-}\"; }"
        NGINX_REDIRECT="$NGINX_REDIRECT location / { return 308 https://${public_host:-\$host}\$request_uri; }"
        NGINX_REDIRECT="server { listen $(listen_on "$NGINX_HTTP_LISTEN" ''); server_name _; $NGINX_REDIRECT }"
    fi
fi
NGINX_LISTEN=$(listen_on "${NGINX_LISTEN:-}" "$NGINX_TLS_LISTEN")
export NGINX_LISTEN NGINX_TLS_LISTEN NGINX_TLS NGINX_REDIRECT

# The header Strict-Transport-Security, which browsers use only if they have received it over TLS.
NGINX_HSTS=
case ${HSTS_SECONDS:-} in
    '') ;;
    *[!0-9]*) refuse_settings "HSTS_SECONDS=$HSTS_SECONDS is invalid; allowed: a number of seconds" ;;
    *)
        case $NGINX_TLS_CERT${PUBLIC_URL:-} in
            /* | https://*) NGINX_HSTS=max-age=$HSTS_SECONDS ;;
            *) refuse_settings "HSTS_SECONDS requires TLS_CERT, or a PUBLIC_URL that begins with https" ;;
        esac
        ;;
esac
export NGINX_HSTS
