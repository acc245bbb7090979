// Inner loops of the CPU kernels; each works on `count` pixels from `begin` of one batch item.
#pragma once

#include "projection/projection.h"

namespace cdipipe::projection {

struct BlockKernels {
  // Returns the block's part of the error sum.
  double (*project_modulus)(const ModulusArrays& arrays, int64_t item, int64_t begin, int64_t count);
  void (*project_modulus_backward)(const ModulusBackwardArrays& arrays, int64_t item, int64_t begin, int64_t count);
  // Returns the block's part of the error sum.
  double (*relax_modulus)(const RelaxArrays& arrays, const RelaxRule& rule, int64_t item, int64_t begin, int64_t count);
  void (*update_object)(const ObjectArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin, int64_t count);
  void (*update_object_backward)(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int64_t item,
                                 int64_t begin, int64_t count);
  void (*subtract_projection)(const ResidualArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin,
                              int64_t count);
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

}  // namespace cdipipe::projection
