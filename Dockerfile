# Trackers in a container, on a CPU or an NVIDIA GPU. docs/docker.md says how to run it.
#
#     docker build -t ebm .                                 # PyTorch for the CPU alone
#     docker build -t ebm:cuda --build-arg DEVICE=cuda .    # for GPUs; it runs on a CPU too
#
# Both are built in an Ubuntu of one version, so that the environment can be copied into the last stage, which has
# neither compilers nor CUDA's toolkit: PyTorch brings the libraries of CUDA.
ARG DEVICE=cpu
ARG UBUNTU=24.04
ARG CUDA=13.0.1

FROM ubuntu:${UBUNTU} AS build-cpu
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

FROM nvidia/cuda:${CUDA}-devel-ubuntu${UBUNTU} AS build-cuda

# hadolint ignore=DL3006
FROM build-${DEVICE} AS build
# hadolint ignore=DL3008
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++ python3 python3-venv && \
    rm -rf /var/lib/apt/lists/* && \
    python3 -m venv /opt/ebm
ENV PATH=/opt/ebm/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# What the package needs, in a layer that stays while only its sources change. OpenCV without windows: there is no
# libGL here, and install_opencv.py sees that.
COPY pyproject.toml README.md install_opencv.py ./
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install ".[compare,demo]" && \
    python install_opencv.py
COPY ebm_common ebm_common
COPY ltr ltr
COPY pytracking pytracking
RUN pip install --no-cache-dir --no-deps --force-reinstall .
WORKDIR /
RUN python -m ltr.ops.build

FROM ubuntu:${UBUNTU}
# hadolint ignore=DL3008
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libgomp1 libturbojpeg python3 && \
    rm -rf /var/lib/apt/lists/* && \
    userdel --remove ubuntu && \
    useradd --uid 1000 --create-home ebm && \
    install -d -o ebm -m 777 /data /results
COPY --from=build /opt/ebm /opt/ebm
# Also for a user of another number (docker run --user), whose home is not there: caches in /tmp.
ENV PATH=/opt/ebm/bin:$PATH \
    EBM_OTB=/data/otb \
    EBM_NFS=/data/nfs \
    EBM_RESULTS=/results \
    EBM_WORKSPACE=/results/workspace \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /results
VOLUME ["/data", "/results"]
# An image in which OpenCV, TurboJPEG or the kernels do not load is not built.
RUN python -c "import cv2, jpeg4py; cv2.TrackerCSRT" && \
    python -m ltr.ops.prroi_pool && \
    ebm-track --help >/dev/null
CMD ["ebm-track", "--help"]
