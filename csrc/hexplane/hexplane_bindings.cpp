#include <pybind11/stl.h>

#include <vector>

#include "common/bindings.h"
#include "hexplane/hexplane.h"

namespace cdipipe {
namespace {

using namespace hexplane;
using Extent = std::pair<int64_t, int64_t>;

Planes make_planes(const std::vector<Address>& values, const std::vector<Extent>& sizes, int64_t batch,
                   int64_t channels, int fusion) {
  Planes planes{};
  planes.count = static_cast<int>(sizes.size());
  planes.batch = batch, planes.channels = channels, planes.fusion = static_cast<Fusion>(fusion);
  for (int plane = 0; plane < planes.count; ++plane) {
    planes.values[plane] = at<float>(values[plane]);
    planes.rows[plane] = sizes[plane].first, planes.columns[plane] = sizes[plane].second;
  }
  return planes;
}

BlockAxes make_axes(const std::vector<Address>& coordinates, const std::vector<int64_t>& sizes) {
  BlockAxes axes{};
  axes.sizes[kT] = 1;
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    axes.coordinates[axis] = at<float>(coordinates[axis]), axes.sizes[axis] = sizes[axis];
  }
  return axes;
}

PlaneGrads make_grads(const std::vector<Address>& values) {
  PlaneGrads grads{};
  for (size_t plane = 0; plane < values.size(); ++plane) grads.values[plane] = at<float>(values[plane]);
  return grads;
}

int64_t block_workspace(const Planes& planes, const BlockAxes& axes, bool backward) {
  if constexpr (kHasCuda) {
    return hexplane::cuda::block_workspace(planes, axes, backward);
  } else {
    no_cuda();
  }
}

void sample_block(int device, const Planes& planes, const BlockAxes& axes, Address out, Address workspace,
                  Address queue) {
  if (device == kCpu) return hexplane::cpu::sample_block(planes, axes, at<float>(out), static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cdipipe::cuda::set_device(device);
    hexplane::cuda::sample_block(planes, axes, at<float>(out), at<float>(workspace), at<void>(queue));
  } else {
    no_cuda();
  }
}

void sample_block_backward(int device, const Planes& planes, const BlockAxes& axes, Address grad_out,
                           const std::vector<Address>& grads, Address workspace, Address queue) {
  const PlaneGrads to = make_grads(grads);
  if (device == kCpu) {
    return hexplane::cpu::sample_block_backward(planes, axes, at<float>(grad_out), to, static_cast<int>(queue));
  }
  if constexpr (kHasCuda) {
    cdipipe::cuda::set_device(device);
    hexplane::cuda::sample_block_backward(planes, axes, at<float>(grad_out), to, at<float>(workspace), at<void>(queue));
  } else {
    no_cuda();
  }
}

void sample_points(int device, const Planes& planes, Address coordinates, int64_t count, Address out, Address queue) {
  const Points points{at<float>(coordinates), count};
  if (device == kCpu) return hexplane::cpu::sample_points(planes, points, at<float>(out), static_cast<int>(queue));
  if constexpr (kHasCuda) {
    cdipipe::cuda::set_device(device);
    hexplane::cuda::sample_points(planes, points, at<float>(out), at<void>(queue));
  } else {
    no_cuda();
  }
}

void sample_points_backward(const Planes& planes, Address coordinates, int64_t count, Address grad_out,
                            const std::vector<Address>& grads, int threads) {
  const Points points{at<float>(coordinates), count};
  hexplane::cpu::sample_points_backward(planes, points, at<float>(grad_out), make_grads(grads), threads);
}

const Bindings bindings([](pybind11::module_& module) {
  pybind11::class_<Planes>(module, "HexplanePlanes").def(pybind11::init(&make_planes));
  pybind11::class_<BlockAxes>(module, "HexplaneAxes").def(pybind11::init(&make_axes));
  module.def("hexplane_block_workspace", &block_workspace);
  module.def("hexplane_block", &sample_block, NoGil());
  module.def("hexplane_block_backward", &sample_block_backward, NoGil());
  module.def("hexplane_points", &sample_points, NoGil());
  module.def("hexplane_points_backward", &sample_points_backward, NoGil());
});

}  // namespace
}  // namespace cdipipe
