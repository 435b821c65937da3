# mxnetseg on NVIDIA GPUs of compute capability 5.0 to 8.9 (Maxwell to Ada); the CUDA libraries come from pip, the
# driver from the host through the NVIDIA container toolkit:
#   docker build -f docker/cuda.Dockerfile -t mxnetseg-cuda .
#   docker run --rm --gpus all --shm-size=2g -v "$PWD:/work" mxnetseg-cuda doctor
FROM python:3.11.13-slim-bookworm

# What MXNet, OpenCV and SciPy load; the tag of the image fixes the release that they come from.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libgomp1 libgfortran5 libquadmath0 \
    && rm -rf /var/lib/apt/lists/*

ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility

WORKDIR /opt/mxnetseg
COPY requirements.txt requirements-gpu.txt ./
RUN pip install --no-cache-dir -r requirements-gpu.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY configs configs
COPY weights/manifest.yaml weights/*.params weights/
COPY mxnetseg mxnetseg
RUN pip install --no-cache-dir --no-deps . && useradd --create-home --uid 1000 mxnetseg

USER 1000
WORKDIR /work
ENTRYPOINT ["mxnetseg"]
CMD ["--help"]
