# shellcheck shell=sh
# Sets the variables of nginx.conf.template that are derived from settings. Sourced by deploy/lib.sh and, in the
# container image, by the base image's entry point.

# A port without an address means all addresses: those of IPv4, and those of IPv6 if the system has it.
case ${NGINX_LISTEN:-} in
    '' | *[!0-9]*) ;;
    *)
        if [ -e /proc/net/if_inet6 ]; then NGINX_LISTEN="$NGINX_LISTEN; listen [::]:$NGINX_LISTEN"; fi
        export NGINX_LISTEN
        ;;
esac

# The directives for TRUSTED_PROXIES.
NGINX_TRUSTED_PROXIES=
for network in $(printf '%s' "${TRUSTED_PROXIES:-}" | tr ',' ' '); do
    NGINX_TRUSTED_PROXIES="$NGINX_TRUSTED_PROXIES set_real_ip_from $network;"
done
export NGINX_TRUSTED_PROXIES

# The sources of frame-ancestors: the page's own origin, and FRAME_ANCESTORS.
export NGINX_FRAME_ANCESTORS="'self'${FRAME_ANCESTORS:+ $FRAME_ANCESTORS}"

# The directives for the path of PUBLIC_URL, which a proxy in front of nginx may keep or remove.
base_path=${PUBLIC_URL:-}
base_path=${base_path#*://}
case $base_path in
    */*) base_path=/${base_path#*/} ;;
    *) base_path= ;;
esac
while [ "$base_path" != "${base_path%/}" ]; do base_path=${base_path%/}; done
NGINX_BASE_PATH=
if [ -n "$base_path" ]; then
    NGINX_BASE_PATH="rewrite ^$base_path\$ $base_path/ permanent; rewrite ^$base_path(/.*)\$ \$1;"
fi
export NGINX_BASE_PATH
