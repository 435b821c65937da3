# mxnetseg on a CPU:
#   docker build -f docker/cpu.Dockerfile -t mxnetseg .
#   docker run --rm --shm-size=2g -v "$PWD:/work" mxnetseg quickstart
FROM python:3.11.13-slim-bookworm

# What MXNet, OpenCV and SciPy load; the tag of the image fixes the release that they come from.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libgomp1 libgfortran5 libquadmath0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/mxnetseg
COPY requirements.txt requirements-sweeps.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-sweeps.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY configs configs
COPY weights/manifest.yaml weights/*.params weights/
COPY mxnetseg mxnetseg
RUN pip install --no-cache-dir --no-deps . && useradd --create-home --uid 1000 mxnetseg

USER 1000
WORKDIR /work
ENTRYPOINT ["mxnetseg"]
CMD ["--help"]
