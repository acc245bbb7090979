# syntax=docker/dockerfile:1
# cdipipe with its kernels and Snakemake, from pinned versions. In the folder of the repository, for a CPU:
#
#   docker build -f containers/cdipipe.Dockerfile -t cdipipe:cpu .
#
# and for NVIDIA GPUs (sm_75 and later, driver R580 or later):
#
#   docker build -f containers/cdipipe.Dockerfile -t cdipipe:cuda \
#     --build-arg BUILD_IMAGE=nvidia/cuda:13.0.1-devel-ubuntu24.04 --build-arg CDIPIPE_CUDA=ON \
#     --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
ARG BUILD_IMAGE=ubuntu:24.04
ARG RUN_IMAGE=ubuntu:24.04

FROM ${BUILD_IMAGE} AS build
ARG CDIPIPE_CUDA=OFF
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY . .
RUN containers/build.sh

FROM ${RUN_IMAGE}
COPY --from=build /opt/cdipipe /opt/cdipipe
# torch brings CUDA itself; the driver comes from the host
ENV PATH=/opt/cdipipe/bin:$PATH \
    PYTHONNOUSERSITE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY containers/runtime.sh /opt/cdipipe/share/
RUN /opt/cdipipe/share/runtime.sh
WORKDIR /study
CMD ["cdipipe", "--help"]
