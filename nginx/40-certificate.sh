#!/bin/sh
# The base image's entry point runs this file before it starts nginx, and fails if this file fails. Checks the
# certificate, and starts a process that makes nginx load it again when it changes.
set -eu
if [ -n "$NGINX_TLS_CERT" ]; then
    check-certificate "$NGINX_TLS_CERT" "$NGINX_TLS_KEY"
    watch-certificate "$NGINX_RUN_DIR/nginx.pid" "$NGINX_TLS_CERT" "$NGINX_TLS_KEY" &
fi
