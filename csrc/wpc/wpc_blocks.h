// Inner loops of the CPU kernels.
#pragma once

#include "wpc/wpc.h"

namespace cdipipe::wpc {

struct BlockKernels {
  // One row of the output; `scratch` holds scratch_floats(width, padding) floats.
  void (*window_row)(const WindowArrays& arrays, int64_t item, int64_t row, float* scratch);
  // `count` pixels from `begin`: of one channel, or of all channels if channels_last.
  void (*renormalise)(const RenormaliseArrays& arrays, int64_t item, int64_t channel, int64_t begin, int64_t count);
  // One row of the first layer's output.
  void (*first_layer_row)(const FirstLayerArrays& arrays, int64_t item, int64_t row);
};

// Two column sums, each with zeros for the padding on both sides, and a last float that is read and not used.
inline int64_t scratch_floats(int64_t width, int padding) {
  return 2 * (width + 2 * padding + 1);
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

}  // namespace cdipipe::wpc
