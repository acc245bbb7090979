// Inner loops, compiled once per instruction set (see cmake/simd.cmake). Include no standard header with inline
// functions here: the linker might keep the copy that older processors cannot run.
#include "winograd/winograd_blocks.h"

#include "common/lanes.h"

namespace cdipipe::winograd::CDIPIPE_SIMD_NAMESPACE {
namespace {

using namespace cdipipe::CDIPIPE_SIMD_NAMESPACE;

// One column of B^T d, interpolation points 0, 1, -1, 2, -2 and infinity.
inline void to_points(const Lanes* d, Lanes* out, int step) {
  const Lanes even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
  const Lanes far = d[4] - d[2], skew = 2 * (d[3] - d[1]);
  out[0] = 4 * d[0] - 5 * d[2] + d[4];
  out[step] = even + odd;
  out[2 * step] = even - odd;
  out[3 * step] = far + skew;
  out[4 * step] = far - skew;
  out[5 * step] = 4 * d[1] - 5 * d[3] + d[5];
}

// One column of A^T m.
inline void from_points(const Lanes* m, Lanes* out, int step) {
  const Lanes sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  out[0] = m[0] + sum1 + sum2;
  out[step] = difference1 + 2 * difference2;
  out[2 * step] = sum1 + 4 * sum2;
  out[3 * step] = difference1 + 8 * difference2 + m[5];
}

void input_tile(const InputArrays& arrays, int64_t tile) {
  const TilePlace place = tile_place(tile, arrays.height, arrays.width);
  const int64_t tiles = arrays.batch * (arrays.height / kTile) * (arrays.width / kTile);
  const float* pixels[kProducts];
  for (int i = 0; i < kPatch; ++i) {
    const int64_t row = place.item * arrays.height + reflect(place.top + i - 1, arrays.height);
    for (int j = 0; j < kPatch; ++j) {
      const int64_t column = reflect(place.left + j - 1, arrays.width);
      pixels[i * kPatch + j] = arrays.image + (row * arrays.width + column) * arrays.pixel_stride;
    }
  }
  float* out = arrays.products + tile * arrays.channels;
  const int64_t step = tiles * arrays.channels;
  for (int64_t c = 0; c < arrays.channels; c += kLanes) {
    Lanes columns[kProducts], row[kPatch];
    for (int j = 0; j < kPatch; ++j) {
      Lanes d[kPatch];
      for (int i = 0; i < kPatch; ++i) d[i] = load_lanes(pixels[i * kPatch + j] + c);
      to_points(d, columns + j, kPatch);
    }
    for (int i = 0; i < kPatch; ++i) {
      to_points(columns + i * kPatch, row, 1);
      for (int j = 0; j < kPatch; ++j) store_lanes(out + (i * kPatch + j) * step + c, row[j]);
    }
  }
}

void output_tile(const OutputArrays& arrays, int64_t tile) {
  const TilePlace place = tile_place(tile, arrays.height, arrays.width);
  const int64_t tiles = arrays.batch * (arrays.height / kTile) * (arrays.width / kTile);
  const int64_t step = tiles * arrays.channels;
  const float* products = arrays.products + tile * arrays.channels;
  for (int64_t c = 0; c < arrays.channels; c += kLanes) {
    Lanes columns[kTile * kPatch], row[kTile];
    for (int j = 0; j < kPatch; ++j) {
      Lanes m[kPatch];
      for (int i = 0; i < kPatch; ++i) m[i] = load_lanes(products + (i * kPatch + j) * step + c);
      from_points(m, columns + j, kPatch);
    }
    const Lanes bias = arrays.bias ? load_lanes(arrays.bias + c) : Lanes{};
    for (int i = 0; i < kTile; ++i) {
      from_points(columns + i * kPatch, row, 1);
      const int64_t first = (place.item * arrays.height + place.top + i) * arrays.width + place.left;
      for (int j = 0; j < kTile; ++j) {
        Lanes value = row[j] + bias;
        if (arrays.add) value += load_lanes(arrays.add + (first + j) * arrays.channels + c);
        value = relu(value);
        const int64_t at = (first + j) * arrays.pixel_stride + c;
        if (arrays.residual) value += load_lanes(arrays.residual + at);
        store_lanes(arrays.image + at, value);
      }
    }
  }
}

}  // namespace

const BlockKernels kernels = {input_tile, output_tile};

}  // namespace cdipipe::winograd::CDIPIPE_SIMD_NAMESPACE
