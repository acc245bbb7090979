// CUDA kernels. A block: sample every plane on its own grid, then one thread per fused value. Backward: one thread
// block sums the gradient of one sample over the axes that its plane lacks, then the adjoint of the sampling gathers
// along columns and along rows. Nothing is added atomically: same input, same bits.
#include <algorithm>
#include <stdexcept>

#include "common/cuda_check.h"
#include "common/divisor.h"
#include "hexplane/hexplane.h"
#include "hexplane/taps.h"

namespace cdipipe::hexplane::cuda {
namespace {

using cdipipe::cuda::check;
using cdipipe::cuda::Divisor;

constexpr int kThreads = 256;

unsigned grid_size(int64_t total) {
  const int64_t blocks = (total + kThreads - 1) / kThreads;
  if (blocks > 2147483647) throw std::invalid_argument("CUDA kernels: more than 2^31 thread blocks in one call");
  return static_cast<unsigned>(blocks);
}

__device__ int64_t thread_index() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

// Where samples and their gradients lie in the workspace, in floats: (batch, planes one after the other).
struct Layout {
  int64_t begin[kMaxPlanes], item;
  int64_t y, z, t, x;

  Layout(const Planes& planes, const BlockAxes& axes)
      : item(0), y(axes.sizes[kY]), z(axes.sizes[kZ]), t(axes.sizes[kT]), x(axes.sizes[kX]) {
    for (int plane = 0; plane < planes.count; ++plane) {
      begin[plane] = item;
      item += sample_count(axes, plane) * planes.channels;
    }
  }
};

struct Position {
  int64_t axis[4];
};

// Index of the sample that a voxel takes from a plane; the order of sample_offset.
__device__ int64_t sample_index(const Layout& layout, int plane, const Position& at) {
  switch (plane) {
    case kXY:
      return at.axis[kX] * layout.y + at.axis[kY];
    case kXZ:
      return at.axis[kX] * layout.z + at.axis[kZ];
    case kYZ:
      return at.axis[kY] * layout.z + at.axis[kZ];
    case kXT:
      return at.axis[kT] * layout.x + at.axis[kX];
    case kYT:
      return at.axis[kT] * layout.y + at.axis[kY];
    default:
      return at.axis[kT] * layout.z + at.axis[kZ];
  }
}

__device__ float bilinear(const float* plane, int64_t columns, int64_t channels, const Tap& r, const Tap& c,
                          int64_t k) {
  const float* values = plane + k;
  return r.near_weight * (c.near_weight * values[(r.near * columns + c.near) * channels] +
                          c.far_weight * values[(r.near * columns + c.far) * channels]) +
         r.far_weight * (c.near_weight * values[(r.far * columns + c.near) * channels] +
                         c.far_weight * values[(r.far * columns + c.far) * channels]);
}

struct PlaneSampling {
  int64_t rows, columns, channels;  // of the plane
  const float *row_coordinates, *column_coordinates;
  int64_t row_count, column_count;         // of its samples
  int64_t row_stride, column_stride;       // of its samples, in samples
  int64_t plane_item, sample_item, first;  // floats per batch item, where the samples begin
};

__global__ void __launch_bounds__(kThreads)
    sample_plane_kernel(PlaneSampling s, const float* plane, float* samples, int64_t total) {
  const int64_t index = thread_index();
  if (index >= total) return;
  const int64_t k = index % s.channels, column = index / s.channels % s.column_count;
  const int64_t row = index / s.channels / s.column_count % s.row_count;
  const int64_t item = index / s.channels / s.column_count / s.row_count;
  const Tap r = locate(s.row_coordinates[row], s.rows), c = locate(s.column_coordinates[column], s.columns);
  const int64_t to = (row * s.row_stride + column * s.column_stride) * s.channels + k;
  samples[item * s.sample_item + s.first + to] = bilinear(plane + item * s.plane_item, s.columns, s.channels, r, c, k);
}

// Value `part` of the fusion for one channel; parts > 0 exist where values stand side by side.
__device__ float fuse(Fusion fusion, int count, int part, const float* v) {
  switch (fusion) {
    case Fusion::product: {
      float product = v[kXY] * v[kXZ] * v[kYZ];
      return count == kMaxPlanes ? product * v[kXT] * v[kYT] * v[kZT] : product;
    }
    case Fusion::sum: {
      float sum = v[kXY] + v[kXZ] + v[kYZ];
      return count == kMaxPlanes ? sum + v[kXT] + v[kYT] + v[kZT] : sum;
    }
    case Fusion::concatenation:
      return v[part];
    case Fusion::pairs:
      return v[part] * v[kZT - part];
    default:
      return v[kXY] * v[kZT] + v[kXZ] * v[kYT] + v[kYZ] * v[kXT];
  }
}

// dL / d(sample of `plane`) at one voxel, from the gradient of its fused values (`parts` apart by `step`).
__device__ float fuse_backward(Fusion fusion, int count, int plane, const float* v, const float* grad, int64_t step) {
  switch (fusion) {
    case Fusion::product: {
      float others = grad[0];
      for (int other = 0; other < count; ++other) others *= other == plane ? 1.0f : v[other];
      return others;
    }
    case Fusion::sum:
      return grad[0];
    case Fusion::concatenation:
      return grad[plane * step];
    case Fusion::pairs:
      return grad[(plane < kXT ? plane : kZT - plane) * step] * v[kZT - plane];
    default:
      return grad[0] * v[kZT - plane];
  }
}

__device__ void load_samples(const Layout& layout, const float* item, int count, int64_t channels, const Position& at,
                             int64_t k, float* values) {
#pragma unroll
  for (int plane = 0; plane < kMaxPlanes; ++plane) {
    if (plane >= count) break;
    values[plane] = item[layout.begin[plane] + sample_index(layout, plane, at) * channels + k];
  }
}

// Lengths of the axes of the fused block, from the last one on.
struct FusedAxes {
  Divisor channels, parts, z, y, x, t;
};

__global__ void __launch_bounds__(kThreads)
    fuse_kernel(Planes planes, Layout layout, FusedAxes axes, const float* samples, float* out, int64_t total) {
  const int64_t index = thread_index();
  if (index >= total) return;
  auto rest = static_cast<uint64_t>(index);
  const int64_t k = axes.channels.take_from(rest);
  const int part = static_cast<int>(axes.parts.take_from(rest));
  Position at;
  at.axis[kZ] = axes.z.take_from(rest);
  at.axis[kY] = axes.y.take_from(rest);
  at.axis[kX] = axes.x.take_from(rest);
  at.axis[kT] = axes.t.take_from(rest);
  float values[kMaxPlanes];
  load_samples(layout, samples + static_cast<int64_t>(rest) * layout.item, planes.count, planes.channels, at, k,
               values);
  out[index] = fuse(planes.fusion, planes.count, part, values);
}

// One thread block per sample and group of channels: threads (channel, worker), workers share the other two axes.
struct Reduction {
  Axis row, column, first, second;  // the plane's axes, the axes to sum over
  int64_t row_count, column_count, first_count, second_count;
};

__global__ void __launch_bounds__(kThreads)
    sample_gradient_kernel(Planes planes, Layout layout, int plane, Reduction sum, int parts, const float* samples,
                           const float* grad_out, float* sample_grads) {
  __shared__ float shared[kThreads];
  const int64_t groups = (planes.channels + blockDim.x - 1) / blockDim.x;
  const int64_t k = blockIdx.x % groups * blockDim.x + threadIdx.x, sample = blockIdx.x / groups;
  const int64_t item = sample / sum.column_count / sum.row_count;
  Position at{};
  at.axis[sum.column] = sample % sum.column_count;
  at.axis[sum.row] = sample / sum.column_count % sum.row_count;
  float total = 0;
  if (k < planes.channels) {
    for (int64_t other = threadIdx.y; other < sum.first_count * sum.second_count; other += blockDim.y) {
      at.axis[sum.first] = other / sum.second_count;
      at.axis[sum.second] = other % sum.second_count;
      const int64_t voxel =
          (((item * layout.t + at.axis[kT]) * layout.x + at.axis[kX]) * layout.y + at.axis[kY]) * layout.z +
          at.axis[kZ];
      float values[kMaxPlanes];
      load_samples(layout, samples + item * layout.item, planes.count, planes.channels, at, k, values);
      total += fuse_backward(planes.fusion, planes.count, plane, values, grad_out + voxel * parts * planes.channels + k,
                             planes.channels);
    }
  }
  shared[threadIdx.y * blockDim.x + threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y != 0 || k >= planes.channels) return;
  for (unsigned worker = 1; worker < blockDim.y; ++worker) total += shared[worker * blockDim.x + threadIdx.x];
  const int64_t to = layout.begin[plane] + sample_index(layout, plane, at) * planes.channels + k;
  sample_grads[item * layout.item + to] = total;
}

__device__ float weight_on(const Tap& tap, int64_t cell) {
  return (tap.near == cell ? tap.near_weight : 0) + (tap.far == cell ? tap.far_weight : 0);
}

// (batch, sample rows, plane columns, channels) from sample gradients.
__global__ void __launch_bounds__(kThreads)
    gather_columns_kernel(PlaneSampling s, const float* sample_grads, float* gathered, int64_t total) {
  const int64_t index = thread_index();
  if (index >= total) return;
  const int64_t k = index % s.channels, cell = index / s.channels % s.columns;
  const int64_t row = index / s.channels / s.columns % s.row_count;
  const int64_t item = index / s.channels / s.columns / s.row_count;
  const float* grads = sample_grads + item * s.sample_item + s.first + row * s.row_stride * s.channels + k;
  float sum = 0;
  for (int64_t column = 0; column < s.column_count; ++column) {
    const float weight = weight_on(locate(s.column_coordinates[column], s.columns), cell);
    if (weight != 0) sum += weight * grads[column * s.column_stride * s.channels];
  }
  gathered[index] = sum;
}

// (batch, plane rows, plane columns, channels) from the above.
__global__ void __launch_bounds__(kThreads)
    gather_rows_kernel(PlaneSampling s, const float* gathered, float* plane_grad, int64_t total) {
  const int64_t index = thread_index();
  if (index >= total) return;
  const int64_t line = s.columns * s.channels, within = index % line;
  const int64_t cell = index / line % s.rows, item = index / line / s.rows;
  float sum = 0;
  for (int64_t row = 0; row < s.row_count; ++row) {
    const float weight = weight_on(locate(s.row_coordinates[row], s.rows), cell);
    if (weight != 0) sum += weight * gathered[(item * s.row_count + row) * line + within];
  }
  plane_grad[index] = sum;
}

__global__ void __launch_bounds__(kThreads)
    sample_points_kernel(Planes planes, Points points, int parts, float* out, int64_t total) {
  const int64_t index = thread_index();
  if (index >= total) return;
  const int64_t k = index % planes.channels;
  const int part = static_cast<int>(index / planes.channels % parts);
  const int64_t point = index / planes.channels / parts % points.count;
  const int64_t item = index / planes.channels / parts / points.count;
  const Axis row_axis[kMaxPlanes] = {kX, kX, kY, kX, kY, kZ}, column_axis[kMaxPlanes] = {kY, kZ, kZ, kT, kT, kT};
  const float* coordinates = points.coordinates + point * (planes.count == kMaxPlanes ? 4 : 3);
  float values[kMaxPlanes];
#pragma unroll
  for (int plane = 0; plane < kMaxPlanes; ++plane) {
    if (plane >= planes.count) break;
    const int64_t rows = planes.rows[plane], columns = planes.columns[plane];
    const Tap r = locate(coordinates[row_axis[plane]], rows), c = locate(coordinates[column_axis[plane]], columns);
    const float* values_of_item = planes.values[plane] + item * rows * columns * planes.channels;
    values[plane] = bilinear(values_of_item, columns, planes.channels, r, c, k);
  }
  out[index] = fuse(planes.fusion, planes.count, part, values);
}

PlaneSampling plane_sampling(const Planes& planes, const BlockAxes& axes, const Layout& layout, int plane) {
  const Axis row = kRowAxis[plane], column = kColumnAxis[plane];
  return {planes.rows[plane],
          planes.columns[plane],
          planes.channels,
          axes.coordinates[row],
          axes.coordinates[column],
          axes.sizes[row],
          axes.sizes[column],
          sample_offset(axes, plane, 1, 0),
          sample_offset(axes, plane, 0, 1),
          planes.rows[plane] * planes.columns[plane] * planes.channels,
          layout.item,
          layout.begin[plane]};
}

int parts_of(const Planes& planes) {
  return static_cast<int>(fused_channels(planes) / planes.channels);
}

void sample_planes(const Planes& planes, const BlockAxes& axes, const Layout& layout, float* samples,
                   cudaStream_t queue) {
  for (int plane = 0; plane < planes.count; ++plane) {
    const int64_t total = planes.batch * sample_count(axes, plane) * planes.channels;
    sample_plane_kernel<<<grid_size(total), kThreads, 0, queue>>>(plane_sampling(planes, axes, layout, plane),
                                                                  planes.values[plane], samples, total);
    check(cudaGetLastError(), "hexplane sample_plane");
  }
}

Reduction reduction_of(const BlockAxes& axes, int plane) {
  const Axis row = kRowAxis[plane], column = kColumnAxis[plane];
  Axis others[2];
  int found = 0;
  for (const Axis axis : {kT, kX, kY, kZ}) {
    if (axis != row && axis != column) others[found++] = axis;
  }
  return {row,
          column,
          others[0],
          others[1],
          axes.sizes[row],
          axes.sizes[column],
          axes.sizes[others[0]],
          axes.sizes[others[1]]};
}

void sum_sample_gradients(const Planes& planes, const BlockAxes& axes, const Layout& layout, const float* samples,
                          const float* grad_out, float* sample_grads, cudaStream_t queue) {
  unsigned lanes = 1;
  while (lanes < planes.channels && lanes < 64) lanes *= 2;
  const int64_t groups = (planes.channels + lanes - 1) / lanes;
  for (int plane = 0; plane < planes.count; ++plane) {
    const int64_t blocks = planes.batch * sample_count(axes, plane) * groups;
    if (blocks > 2147483647) throw std::invalid_argument("CUDA kernels: more than 2^31 thread blocks in one call");
    sample_gradient_kernel<<<static_cast<unsigned>(blocks), dim3(lanes, kThreads / lanes), 0, queue>>>(
        planes, layout, plane, reduction_of(axes, plane), parts_of(planes), samples, grad_out, sample_grads);
    check(cudaGetLastError(), "hexplane sample_gradient");
  }
}

// The largest (sample rows, plane columns) intermediate of the adjoint sampling.
int64_t gathered_floats(const Planes& planes, const BlockAxes& axes) {
  int64_t largest = 0;
  for (int plane = 0; plane < planes.count; ++plane) {
    largest = std::max(largest, axes.sizes[kRowAxis[plane]] * planes.columns[plane]);
  }
  return planes.batch * largest * planes.channels;
}

}  // namespace

int64_t block_workspace(const Planes& planes, const BlockAxes& axes, bool backward) {
  const int64_t samples = planes.batch * Layout(planes, axes).item;
  return backward ? 2 * samples + gathered_floats(planes, axes) : samples;
}

void sample_block(const Planes& planes, const BlockAxes& axes, float* out, float* workspace, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const Layout layout(planes, axes);
  sample_planes(planes, axes, layout, workspace, queue);
  const int64_t voxels = axes.sizes[kX] * axes.sizes[kY] * axes.sizes[kZ] * axes.sizes[kT];
  const int64_t total = planes.batch * voxels * fused_channels(planes);
  const FusedAxes fused{Divisor(planes.channels), Divisor(parts_of(planes)), Divisor(axes.sizes[kZ]),
                        Divisor(axes.sizes[kY]),  Divisor(axes.sizes[kX]),   Divisor(axes.sizes[kT])};
  fuse_kernel<<<grid_size(total), kThreads, 0, queue>>>(planes, layout, fused, workspace, out, total);
  check(cudaGetLastError(), "hexplane fuse");
}

void sample_block_backward(const Planes& planes, const BlockAxes& axes, const float* grad_out, const PlaneGrads& grads,
                           float* workspace, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const Layout layout(planes, axes);
  float* samples = workspace;
  float* sample_grads = samples + planes.batch * layout.item;
  float* gathered = sample_grads + planes.batch * layout.item;
  sample_planes(planes, axes, layout, samples, queue);
  sum_sample_gradients(planes, axes, layout, samples, grad_out, sample_grads, queue);
  for (int plane = 0; plane < planes.count; ++plane) {
    const PlaneSampling sampling = plane_sampling(planes, axes, layout, plane);
    const int64_t line = planes.batch * planes.columns[plane] * planes.channels;
    const int64_t half = line * sampling.row_count, whole = line * planes.rows[plane];
    gather_columns_kernel<<<grid_size(half), kThreads, 0, queue>>>(sampling, sample_grads, gathered, half);
    check(cudaGetLastError(), "hexplane gather_columns");
    gather_rows_kernel<<<grid_size(whole), kThreads, 0, queue>>>(sampling, gathered, grads.values[plane], whole);
    check(cudaGetLastError(), "hexplane gather_rows");
  }
}

void sample_points(const Planes& planes, const Points& points, float* out, void* stream) {
  const int64_t total = planes.batch * points.count * fused_channels(planes);
  sample_points_kernel<<<grid_size(total), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      planes, points, parts_of(planes), out, total);
  check(cudaGetLastError(), "hexplane sample_points");
}

}  // namespace cdipipe::hexplane::cuda
