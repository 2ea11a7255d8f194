# Builds three images: `manager` (the manager with the lean FFmpeg), `nginx` (nginx with the page, in front of
# the manager), and `demo-camera`.
#
#   docker build --target manager -t stream-manager .
#   docker build --target nginx -t stream-manager-nginx .
#
# docker-compose.yml builds and runs them; `demo-camera` only with the profile `demo`. The build needs BuildKit,
# the default since Docker 23.

# ---- build: the manager's binary
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# The cache mounts keep the crates and their build results between builds. The project itself is always
# built again: cargo compares the modification times of files, so it could mistake the build result of
# another checkout for a current one. The binary is copied because a cache mount is not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch src/lib.rs src/main.rs \
    && cargo build --release --locked \
    && cp target/release/stream-manager /usr/local/bin/

# ---- ffmpeg: the lean FFmpeg, built on the same Debian release as the manager's image, because it uses that
# release's C library
FROM debian:bookworm-slim AS ffmpeg
WORKDIR /src
COPY deploy/lib.sh deploy/
COPY deploy/ffmpeg deploy/ffmpeg
RUN ./deploy/ffmpeg/build /usr/local/bin/ffmpeg \
    && rm -rf /var/lib/apt/lists/*

# ---- manager
FROM debian:bookworm-slim AS manager
LABEL org.opencontainers.image.title="stream-manager" \
      org.opencontainers.image.description="Turns IP cameras (RTSP) into video that a browser plays, on demand" \
      org.opencontainers.image.licenses="MIT AND GPL-3.0-or-later"
# The GPL applies to FFmpeg, which contains libx264. If you distribute the image, you must also provide the
# source code: deploy/ffmpeg/, and Debian's source packages of FFmpeg, libx264, libopus and OpenSSL in the
# versions that the stage `ffmpeg` prints.
# tini is process 1. The kernel does not deliver a signal to process 1 unless that process handles it, so
# the manager as process 1 would miss a SIGTERM early in its start. tini also reaps the processes that
# `docker exec` and timed-out health checks leave behind.
# The versions of packages are not pinned: Debian's stable release changes only for security fixes, and Debian's servers
# delete replaced versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 stream-manager \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin stream-manager \
    && install -d -o 10001 -g 10001 -m 0755 /streams \
    && install -d -o 10001 -g 10001 -m 0700 /data \
    && install -d -o 10001 -g 10001 -m 0750 /recordings \
    && install -d -o 10001 -g 10001 -m 0750 /tls
COPY --from=build /usr/local/bin/stream-manager /usr/local/bin/
COPY --from=ffmpeg /usr/local/bin/ffmpeg /usr/local/bin/
RUN ffmpeg -version >/dev/null

# At STREAM_DIR, mount a tmpfs to which user 10001 can write; at /data, mount a persistent volume. If cameras are to be
# recorded, mount a persistent volume at /recordings and set RECORDINGS_DIRS=/recordings. If TLS is
# self-signed, mount a second persistent volume at TLS_DIR, which the group 10001 can read. nginx reaches the manager
# through BIND_SOCKET, a socket on that tmpfs. The manager listens on all addresses of the container (BIND_ADDR), for
# back ends and Prometheus servers that use the API without nginx. Do not attach the container to a network with
# other containers unless you trust them.
ENV BIND_ADDR=:: \
    PORT=8088 \
    BIND_SOCKET=/streams/.socket \
    STREAM_DIR=/streams \
    DATABASE_URL=sqlite:/data/cameras.db \
    TLS_DIR=/tls
EXPOSE 8088 8189/udp 8189/tcp
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=7s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "{ exec 3<>/dev/tcp/127.0.0.1/$PORT || exec 3<>/dev/tcp/::1/$PORT; } 2>/dev/null && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tini", "--", "stream-manager"]

# ---- demo-camera: an RTSP camera whose picture shows a clock, for the compose profile `demo`
FROM debian:bookworm-slim AS demo-camera
WORKDIR /demo
COPY deploy/lib.sh deploy/demo-camera deploy/
RUN bash -euc '. deploy/lib.sh; install_packages "${camera_packages[@]}"' \
    && rm -rf /var/lib/apt/lists/*
COPY tests/camera/*.py tests/camera/
# GStreamer writes its list of plugins to /tmp, so the root file system can be read-only.
ENV GST_REGISTRY=/tmp/gstreamer-registry.bin \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["deploy/demo-camera"]

# ---- web: the page
FROM node:24-bookworm-slim AS web
WORKDIR /src/nginx/web
COPY nginx/web/package.json nginx/web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --no-audit --no-fund
COPY nginx/web ./
COPY clients/web /src/clients/web
COPY LICENSE /src/
RUN npm run build \
    && for name in hls.js preact @preact/signals @preact/signals-core; do \
        printf '%s\n\n' "$name" && cat "node_modules/$name/LICENSE"; \
    done >dist/LICENSES.txt

# ---- nginx
FROM nginx:1.30-trixie AS nginx
LABEL org.opencontainers.image.title="stream-manager-nginx" \
      org.opencontainers.image.description="nginx in front of stream-manager" \
      org.opencontainers.image.licenses="MIT AND BSD-2-Clause AND Apache-2.0"
COPY nginx/nginx.conf.template /etc/nginx/templates/
# The base image's entry point sources this file before it renders the template.
COPY --chmod=0755 nginx/variables.sh /docker-entrypoint.d/16-variables.envsh
COPY --chmod=0755 nginx/check-certificate nginx/watch-certificate /usr/local/bin/
COPY --chmod=0755 nginx/40-certificate.sh /docker-entrypoint.d/
COPY --from=web /src/nginx/web/dist /srv/web
RUN chmod -R a+rX /etc/nginx/templates /srv/web \
    && install -d -o 101 -g 101 -m 0755 /run/nginx

# The base image's entry point renders the template into NGINX_RUN_DIR, the only directory that must
# be writable; the rest of the file system can be read-only. START_WAIT_SECONDS exceeds the longest start
# with any valid settings: at most 120 s of START_TIMEOUT_SECONDS, 60 s of STOP_GRACE_SECONDS, 20 s in the start
# queue, and 26 s for the trial of a changed link.
ENV NGINX_USER=nginx \
    NGINX_LISTEN=8080 \
    NGINX_RUN_DIR=/run/nginx \
    MANAGER_ADDR=unix:/streams/.socket \
    STREAM_DIR=/streams \
    WEB_DIR=/srv/web \
    NGINX_ACCESS_LOG=/dev/stdout \
    NGINX_ERROR_LOG=stderr \
    START_WAIT_SECONDS=240 \
    CORS_ORIGINS=* \
    TLS_DIR=/tls \
    NGINX_ENVSUBST_OUTPUT_DIR=/run/nginx \
    NGINX_ENVSUBST_FILTER='^(NGINX_USER|NGINX_LISTEN|NGINX_RUN_DIR|MANAGER_ADDR|STREAM_DIR|WEB_DIR|NGINX_ACCESS_LOG|NGINX_ERROR_LOG|START_WAIT_SECONDS|CORS_ORIGINS|NGINX_BASE_PATH|NGINX_FRAME_ANCESTORS|NGINX_HSTS|NGINX_RECORDINGS|NGINX_REDIRECT|NGINX_TLS|NGINX_TLS_LISTEN|NGINX_TRUSTED_PROXIES)$'
EXPOSE 8080
# The user `nginx` of the base image.
USER 101:101
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["sh", "-c", "curl -fsS -o /dev/null http://localhost:${NGINX_LISTEN##*:}/"]
CMD ["nginx", "-e", "stderr", "-c", "/run/nginx/nginx.conf", "-g", "daemon off;"]
