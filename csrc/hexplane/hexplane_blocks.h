// Inner loops of the CPU kernels.
#pragma once

#include "hexplane/hexplane.h"

namespace cdipipe::hexplane {

// The (height, depth) part of a block at one x and one time; a single point is a slab of height and depth 1.
struct Slab {
  Fusion fusion;
  bool timed;
  int64_t height, depth, channels;
  // xy (height, C), xz (depth, C), yz (height, depth, C); with time xt (C), yt (height, C), zt (depth, C)
  const float* samples[kMaxPlanes];
};

struct SlabGrads {
  float* samples[kMaxPlanes];  // like Slab::samples; added to
};

struct BlockKernels {
  // One row of a block's samples of one plane: (columns, C) at a distance of `stride` floats.
  void (*sample_row)(const float* plane, int64_t rows, int64_t columns, int64_t channels, float row,
                     const float* column, int64_t count, float* out, int64_t stride);
  // The adjoint of the whole plane's sampling for the plane's rows [begin, end), which are set to zero first; scratch
  // holds (end - begin) * column_count * channels floats.
  void (*scatter_rows)(float* plane, int64_t rows, int64_t columns, int64_t channels, int64_t begin, int64_t end,
                       const float* row, int64_t row_count, const float* column, int64_t column_count,
                       const float* grad, int64_t row_stride, int64_t column_stride, float* scratch);
  // The same for points, whose coordinates stand `point_stride` floats apart and gradients `grad_stride`.
  void (*scatter_points)(float* plane, int64_t rows, int64_t columns, int64_t channels, int64_t begin, int64_t end,
                         const float* row, const float* column, int64_t point_stride, int64_t count, const float* grad,
                         int64_t grad_stride);
  void (*fuse)(const Slab& slab, float* out);
  void (*fuse_backward)(const Slab& slab, const float* grad_out, const SlabGrads& grads);
};

namespace baseline {
extern const BlockKernels kernels;
}
namespace avx2 {
extern const BlockKernels kernels;
}
namespace avx512 {
extern const BlockKernels kernels;
}

}  // namespace cdipipe::hexplane
