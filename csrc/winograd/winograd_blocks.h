// Inner loops of the CPU kernels; each works on one tile and all of its channels.
#pragma once

#include "winograd/winograd.h"

namespace cdipipe::winograd {

struct BlockKernels {
  void (*input_tile)(const InputArrays& arrays, int64_t tile);
  void (*output_tile)(const OutputArrays& arrays, int64_t tile);
};

struct TilePlace {
  int64_t item, top, left;  // first output pixel
};

inline TilePlace tile_place(int64_t tile, int64_t height, int64_t width) {
  const int64_t columns = width / kTile, per_item = height / kTile * columns, within = tile % per_item;
  return {tile / per_item, within / columns * kTile, within % columns * kTile};
}

// A border pixel is the mirror image about the edge pixel, which is not repeated.
inline int64_t reflect(int64_t index, int64_t size) {
  if (index < 0) return -index;
  return index < size ? index : 2 * size - 2 - index;
}

namespace baseline {
extern const BlockKernels kernels;
}
namespace avx2 {
extern const BlockKernels kernels;
}
namespace avx512 {
extern const BlockKernels kernels;
}

}  // namespace cdipipe::winograd
