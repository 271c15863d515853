# modgate in an image: `docker build -t modgate:0.1.0 .`, then
#   docker run --rm -p 50051:50051 modgate:0.1.0
# Any base with Python 3.11 to 3.13 and its venv module will do, e.g. --build-arg BASE=registry.example/python:3.12-slim.
# To build behind a proxy or a package mirror, give pip its settings as a build secret or mount, never as a layer.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# ---- What is installed, and the weights, checked by their digests.
# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python3 -m venv /opt/modgate
COPY requirements/run.txt requirements/run.txt
RUN /opt/modgate/bin/python -m pip install --quiet --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY server server
RUN /opt/modgate/bin/python -m pip install --quiet --no-deps .
ARG BUNDLES="open-nsfw swiftformer-s"
COPY models/bundles /usr/share/modgate/bundles
# Shipped bundles have their weights; of the others, those that are wanted are fetched and the rest is left out.
# shellcheck is right that BUNDLES is split into words: it is a list.
# hadolint ignore=SC2086
RUN /opt/modgate/bin/modgate models fetch ${BUNDLES} --bundles /usr/share/modgate/bundles \
 && find /usr/share/modgate/bundles -mindepth 1 -maxdepth 1 -type d \
      -exec sh -c 'ls "$1"/*.onnx >/dev/null 2>&1 || rm -r "$1"' sh {} \; \
 && /opt/modgate/bin/python -m pip uninstall --quiet --yes pip \
 && rm -rf /opt/modgate/lib/python3.*/site-packages/setuptools* \
 && install -d -o 65532 -g 65532 /out/var/lib/modgate /out/run/modgate /out/etc/modgate

# ---- What runs: no compiler, no pip in its environment, no root.
# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="modgate" \
      org.opencontainers.image.description="An inline moderation gate for chat" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/modgate /opt/modgate
COPY --from=build /usr/share/modgate /usr/share/modgate
COPY --from=build --chown=65532:65532 /out/ /
ENV PATH=/opt/modgate/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    MODGATE_LISTEN='["0.0.0.0:50051"]' \
    MODGATE_METRICS_LISTEN=0.0.0.0:9464 \
    MODGATE_STORAGE__FOLDER=/var/lib/modgate
WORKDIR /var/lib/modgate
USER 65532:65532
VOLUME ["/var/lib/modgate"]
EXPOSE 50051 9464
# Signals reach the server itself: it is process 1 and drains on SIGTERM.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["modgate", "healthcheck", "127.0.0.1:50051"]
ENTRYPOINT ["modgate"]
CMD ["serve"]
