# The service, the simulated provider and every other command: one image. All that is installed is pinned by hash.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
WORKDIR /src
# first what seldom changes
COPY requirements-run.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/monitor \
    && python -m pip --python /opt/monitor/bin/python install --require-hashes -r requirements-run.lock \
    && python -m pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/monitor/bin/python install --no-deps dist/generation_monitor-*.whl

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="generation-monitor" org.opencontainers.image.licenses="Apache-2.0"
# a number, so that an orchestrator can see that it is not root
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/monitor monitor
COPY --from=build /opt/monitor /opt/monitor
ARG REVISION=""
ENV PATH=/opt/monitor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MONITOR_CONFIG=/etc/monitor/monitor.toml \
    MONITOR_REVISION=${REVISION}
WORKDIR /var/lib/monitor
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# alive, not ready: with its store in trouble it still delivers, and must not be restarted for that
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/-/healthy'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["monitor"]
CMD ["serve"]
