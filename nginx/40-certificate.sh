#!/bin/sh
# Checks nginx's certificate, and starts a process that makes nginx load the certificate again when it changes. The
# entry point of the base image runs this file. If this file fails, the entry point does not start nginx.
set -eu
if [ -n "$NGINX_TLS_CERT" ]; then
    check-certificate "$NGINX_TLS_CERT" "$NGINX_TLS_KEY"
    watch-certificate "$NGINX_RUN_DIR/nginx.pid" "$NGINX_TLS_CERT" "$NGINX_TLS_KEY" &
fi
