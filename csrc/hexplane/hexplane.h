// Features factorised into planes: bilinear samples of three planes (xy, xz, yz) or six (and xt, yt, zt), fused, at
// single points and on regular blocks, on CPU and CUDA.
//
// Layouts, all contiguous float, channels last: a plane is (batch, rows, columns, channels), where its first letter
// runs along the rows; points are (count, 3 or 4); a block is (batch, [times], x, y, z, fused channels).
// Coordinates are in [-1, 1]; the ends are the centres of the first and the last cell, and what lies outside takes the
// value of the border.
#pragma once

#include <cstdint>

namespace cdipipe::hexplane {

constexpr int kMaxPlanes = 6;
enum Plane : int { kXY, kXZ, kYZ, kXT, kYT, kZT };
enum Axis : int { kX, kY, kZ, kT };
constexpr Axis kRowAxis[kMaxPlanes] = {kX, kX, kY, kX, kY, kZ};
constexpr Axis kColumnAxis[kMaxPlanes] = {kY, kZ, kZ, kT, kT, kT};

// product and sum of all planes; all planes side by side; xy zt | xz yt | yz xt side by side, or their sum.
enum class Fusion : int { product, sum, concatenation, pairs, pair_sum };

struct Planes {
  int count;  // 3 or 6
  const float* values[kMaxPlanes];
  int64_t rows[kMaxPlanes], columns[kMaxPlanes];
  int64_t batch, channels;
  Fusion fusion;
};

inline int64_t fused_channels(const Planes& planes) {
  if (planes.fusion == Fusion::concatenation) return planes.count * planes.channels;
  return planes.fusion == Fusion::pairs ? 3 * planes.channels : planes.channels;
}

// One coordinate array per axis; without time sizes[kT] = 1.
struct BlockAxes {
  const float* coordinates[4];
  int64_t sizes[4];
};

struct Points {
  const float* coordinates;
  int64_t count;
};

// Gradients are written, not added; planes.values are not read where the fusion is linear.
struct PlaneGrads {
  float* values[kMaxPlanes];
};

// Samples of a plane on the block's grid: (rows' axis, columns' axis, channels), time planes (time, space, channels).
inline int64_t sample_offset(const BlockAxes& axes, int plane, int64_t row, int64_t column) {
  return plane < kXT ? row * axes.sizes[kColumnAxis[plane]] + column : column * axes.sizes[kRowAxis[plane]] + row;
}

inline int64_t sample_count(const BlockAxes& axes, int plane) {
  return axes.sizes[kRowAxis[plane]] * axes.sizes[kColumnAxis[plane]];
}

namespace cpu {
void sample_block(const Planes& planes, const BlockAxes& axes, float* out, int threads);
void sample_block_backward(const Planes& planes, const BlockAxes& axes, const float* grad_out, const PlaneGrads& grads,
                           int threads);
void sample_points(const Planes& planes, const Points& points, float* out, int threads);
void sample_points_backward(const Planes& planes, const Points& points, const float* grad_out, const PlaneGrads& grads,
                            int threads);
}  // namespace cpu

namespace cuda {
// Floats of scratch memory that the block functions need.
int64_t block_workspace(const Planes& planes, const BlockAxes& axes, bool backward);

// `stream` is a cudaStream_t.
void sample_block(const Planes& planes, const BlockAxes& axes, float* out, float* workspace, void* stream);
void sample_block_backward(const Planes& planes, const BlockAxes& axes, const float* grad_out, const PlaneGrads& grads,
                           float* workspace, void* stream);
void sample_points(const Planes& planes, const Points& points, float* out, void* stream);
}  // namespace cuda

}  // namespace cdipipe::hexplane
