# One image; the command names the process: services.l2, services.gateway, simulator, …
# Locked in container/images.lock; `make lock` writes both.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv /opt/bookrunner
ENV PATH=/opt/bookrunner/bin:$PATH
COPY install/locks/build.lock install/locks/services.lock ./
# What builds comes first: faust-streaming has no wheel for arm64.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r build.lock \
 && pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r services.lock
COPY pyproject.toml README.md LICENSE ./
COPY backtest backtest
COPY bookrunner bookrunner
COPY broker broker
COPY install install
COPY libs libs
COPY services services
COPY simulator simulator
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
