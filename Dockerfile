# Two images: `manager` (the service with its FFmpeg) and `nginx` (in front of it).
#
#   docker build --target manager -t stream-manager .
#   docker build --target nginx -t stream-manager-nginx .
#
# docker-compose.yml builds and runs both. Needs BuildKit, the default since Docker 23.

# ---- build: the manager's binary
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Crates and what was built of them stay in caches between builds. The project itself is always
# built: cargo goes by the age of files, and would take another checkout's result for this one's.
# The binary is copied out because the cache is no part of the layer.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    touch src/lib.rs src/main.rs \
    && cargo build --release --locked \
    && cp target/release/stream-manager /usr/local/bin/

# ---- ffmpeg: one with just what the manager needs. Same Debian as below, whose C library it uses.
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
# The GPL is that of FFmpeg with libx264. Who hands the image on owes its sources: Debian's, at the
# versions that the build stage names.
# tini is process 1: the kernel withholds from process 1 every signal that it has no handler for,
# so a SIGTERM early in the manager's start would be lost; and nobody else reaps what `docker exec`
# and a health check that timed out leave behind.
# Versions are not pinned: Debian's stable release moves for security fixes only, and takes the
# versions before from its servers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 stream-manager \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin stream-manager \
    && install -d -o 10001 -g 10001 -m 0755 /streams \
    && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /usr/local/bin/stream-manager /usr/local/bin/
COPY --from=ffmpeg /usr/local/bin/ffmpeg /usr/local/bin/
RUN ffmpeg -version >/dev/null

# Mount a tmpfs that user 10001 can write at STREAM_DIR, and a volume that lasts at /data. nginx reaches the manager by
# BIND_SOCKET, on that tmpfs. BIND_ADDR is every address of the container, for a back end or a Prometheus that may use the
# API without nginx: give no network to it that others are on.
ENV BIND_ADDR=0.0.0.0 \
    PORT=8088 \
    BIND_SOCKET=/streams/.socket \
    STREAM_DIR=/streams \
    DATABASE_URL=sqlite:/data/cameras.db
EXPOSE 8088
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=7s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tini", "--", "stream-manager"]

# ---- web: the page
FROM node:24-bookworm-slim AS web
WORKDIR /web
COPY nginx/web/package.json nginx/web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci --no-audit --no-fund
COPY nginx/web ./
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
COPY --from=web /web/dist /srv/web
RUN chmod -R a+rX /etc/nginx/templates /srv/web \
    && install -d -o 101 -g 101 -m 0755 /run/nginx

# The base image's entry point fills in the template. It writes to NGINX_RUN_DIR, the one
# directory that must be writable, so that the rest of the file system can be read-only.
# START_WAIT_SECONDS suits every setting the manager allows: START_TIMEOUT_SECONDS is 120 at most,
# STOP_GRACE_SECONDS 60, and the wait for a start's turn 20.
ENV NGINX_USER=nginx \
    NGINX_LISTEN=8080 \
    NGINX_RUN_DIR=/run/nginx \
    MANAGER_ADDR=unix:/streams/.socket \
    STREAM_DIR=/streams \
    WEB_DIR=/srv/web \
    START_WAIT_SECONDS=230 \
    CORS_ORIGINS=* \
    NGINX_ENVSUBST_OUTPUT_DIR=/run/nginx \
    NGINX_ENVSUBST_FILTER='^(NGINX_USER|NGINX_LISTEN|NGINX_RUN_DIR|MANAGER_ADDR|STREAM_DIR|WEB_DIR|START_WAIT_SECONDS|CORS_ORIGINS)$'
EXPOSE 8080
# The base image's user nginx.
USER 101:101
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["sh", "-c", "curl -fsS -o /dev/null http://127.0.0.1:${NGINX_LISTEN##*:}/"]
CMD ["nginx", "-e", "stderr", "-c", "/run/nginx/nginx.conf", "-g", "daemon off;"]
