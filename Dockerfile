# The image of all services: server, workers and the commands of `tuner`.
#
#   docker build -t bnn-tuner .
#   docker run --rm -v tuner-data:/data -v tuner-cache:/cache bnn-tuner demo
#
# pip's own torch runs on CPUs and on NVIDIA GPUs, and is large. PyTorch's installation page names
# the indices of smaller builds for CPUs, and of builds for a certain version of CUDA:
#
#   docker build -t bnn-tuner --build-arg TORCH_INDEX=ADDRESS .

FROM python:3.11-slim AS builder
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY studies studies
COPY tests/baselines/plain_optuna.py tests/baselines/
COPY tuner tuner
COPY api api
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# Compiles the kernels when they are first used, for the processor that is there; on Kubernetes
# KubeRay asks by wget whether Ray is up.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ wget \
    && rm -rf /var/lib/apt/lists/*

# Before the wheel, so that a change of the code does not install torch again.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
      "torch>=2.9" "torchvision>=0.24"

# For clusters: --build-arg EXTRAS=ray,s3
ARG EXTRAS=""
COPY --from=builder /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)${EXTRAS:+[$EXTRAS]}"

# The folders belong to the user before they become volumes: a new volume takes over the owner.
RUN useradd --uid 10001 --create-home tuner \
    && install --directory --owner=tuner --group=tuner /data /checkpoints /cache
ENV TUNER_DATA_DIR=/data \
    TUNER_ARTIFACT_DIR=/data/artifacts \
    TUNER_CHECKPOINT_DIR=/checkpoints \
    TUNER_CACHE_DIR=/cache \
    MPLCONFIGDIR=/cache/matplotlib \
    PYTHONUNBUFFERED=1
VOLUME ["/data", "/checkpoints", "/cache"]
WORKDIR /data
USER tuner
EXPOSE 8000
ENTRYPOINT ["tuner"]
CMD ["--help"]
