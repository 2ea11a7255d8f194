# shellcheck shell=sh
# Sets the variables of nginx.conf.template that are derived from settings. Sourced by deploy/lib.sh and, in the
# container image, by the base image's entry point.

# The directives for TRUSTED_PROXIES.
NGINX_TRUSTED_PROXIES=
for network in $(printf '%s' "${TRUSTED_PROXIES:-}" | tr ',' ' '); do
    NGINX_TRUSTED_PROXIES="$NGINX_TRUSTED_PROXIES set_real_ip_from $network;"
done
export NGINX_TRUSTED_PROXIES

# The sources of frame-ancestors: the page's own origin, and FRAME_ANCESTORS.
export NGINX_FRAME_ANCESTORS="'self'${FRAME_ANCESTORS:+ $FRAME_ANCESTORS}"
