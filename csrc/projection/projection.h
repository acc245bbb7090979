// Projections of phase retrieval on complex64 arrays, in place or into another array, on CPU and CUDA.
//
// Layouts, all contiguous: wavefront (batch, modes, pixels), objects (batch, pixels), complex interleaved. A grid of
// two or three axes is flattened to `pixels`. modulus and measured are (pixels), shared by the batch (stride 0), or
// (batch, pixels) (stride = pixels); support is (pixels). Masks are bytes, 0 or 1.
#pragma once

#include <cstdint>

namespace cdipipe::projection {

// Partial sums are formed over blocks of this many pixels and added in order, so that a sum does not depend on the
// number of threads.
constexpr int64_t kBlockPixels = 4096;

inline int64_t block_count(int64_t pixels) {
  return (pixels + kBlockPixels - 1) / kBlockPixels;
}

// A = sqrt(sum over modes |z|^2). Measured: z * modulus / A, or modulus / sqrt(modes) where A = 0. Others: z.
struct ModulusArrays {
  const float* wavefront;
  float* projected;         // may be `wavefront`
  const float* modulus;     // not negative
  const uint8_t* measured;  // null: every pixel is trusted
  double* error;            // (batch), sum of |A - modulus| over measured pixels; null: not wanted
  int64_t modulus_stride, measured_stride;
  int64_t batch, modes, pixels;
};

// Gradient of the above with respect to the wavefront; gradients are dL/dRe + i dL/dIm.
struct ModulusBackwardArrays {
  const float* wavefront;
  const float* modulus;
  const uint8_t* measured;
  const float* grad_projected;  // like wavefront
  const double* grad_error;     // (batch); null: zero
  float* grad_wavefront;
  int64_t modulus_stride, measured_stride;
  int64_t batch, modes, pixels;
};

enum class Constraint : int { support, real_nonneg, re_nonneg, quadrant, phase_range };

// out = P where t = P + g (P - u) lies in the object set, a u + b P + c P_S(t) elsewhere.
struct ObjectRule {
  Constraint constraint;
  float a, b, c, g;
  float edge_min_re, edge_min_im, edge_max_re, edge_max_im;  // unit vectors along the edges of the phase range
  bool wide;                                                 // the phase range is wider than pi
};

struct ObjectArrays {
  const float* exit_wave;  // u; null when a = g = 0
  const float* projected;  // P
  const uint8_t* support;
  float* out;  // may be `exit_wave` or `projected`
  int64_t batch, pixels;
};

struct ObjectBackwardArrays {
  const float* exit_wave;
  const float* projected;
  const uint8_t* support;
  const float* grad_out;
  float* grad_exit_wave;
  float* grad_projected;
  int64_t batch, pixels;
};

namespace cpu {
// `threads` is given with every call: OpenMP's own setting differs between the threads of a process.
void project_modulus(const ModulusArrays& arrays, int threads);
void project_modulus_backward(const ModulusBackwardArrays& arrays, int threads);
void update_object(const ObjectArrays& arrays, const ObjectRule& rule, int threads);
void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int threads);
}  // namespace cpu

namespace cuda {
// `stream` is a cudaStream_t; `partials` holds batch * block_count(pixels) doubles when an error is wanted.
void project_modulus(const ModulusArrays& arrays, double* partials, void* stream);
void project_modulus_backward(const ModulusBackwardArrays& arrays, void* stream);
void update_object(const ObjectArrays& arrays, const ObjectRule& rule, void* stream);
void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, void* stream);
}  // namespace cuda

}  // namespace cdipipe::projection
