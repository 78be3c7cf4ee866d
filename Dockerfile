# One image; the command names the process: services.l2, services.gateway, simulator, …
# Locked in container/images.lock; `make lock` writes both.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
RUN python -m venv /opt/bookrunner
ENV PATH=/opt/bookrunner/bin:$PATH
COPY install/locks/build.lock install/locks/services.lock ./
# What builds comes first: faust-streaming has no wheel for arm64.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r build.lock \
 && pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r services.lock

# The libraries of the page, from Maven Central; what `make setup` brought into the folder is fetched no more.
FROM packages AS page
COPY install/locks/native.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r native.lock
COPY broker broker
COPY install install
COPY libs libs
COPY services/gateway/page services/gateway/page
# Whom pip trusts, as behind a proxy that inspects TLS, is trusted here too.
RUN REQUESTS_CA_BUNDLE=${REQUESTS_CA_BUNDLE:-$PIP_CERT} python -m install.webjars

FROM packages AS build
COPY pyproject.toml README.md LICENSE ./
COPY backtest backtest
COPY bookrunner bookrunner
COPY broker broker
COPY install install
COPY libs libs
COPY services services
COPY simulator simulator
COPY --from=page /build/services/gateway/page/vendor services/gateway/page/vendor
# The packages' own tests, what builds and pip itself serve nobody in a container.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && find /opt/bookrunner -type d -name tests -prune -exec rm -rf {} + \
 && pip uninstall --yes --quiet setuptools setuptools-scm vcs-versioning wheel cython pip

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/bookrunner /opt/bookrunner
COPY container/run container/healthy /opt/bookrunner/bin/
ENV PATH=/opt/bookrunner/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["run"]
