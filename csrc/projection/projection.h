// Projections of phase retrieval on complex64 arrays, in place or into another array, on CPU and CUDA.
//
// Layouts, all contiguous: wavefront (batch, modes, pixels), objects (batch, pixels), complex interleaved. A grid of
// two or three axes is flattened to `pixels`. modulus and measured are (pixels), shared by the batch (stride 0), or
// (batch, pixels) (stride = pixels); support is (pixels). Masks are bytes, 0 or 1.
#pragma once

#include <cstdint>

namespace cdipipe::fourier {
struct Layout;
}

namespace cdipipe::projection {

// Partial sums are formed over blocks of this many pixels and added in order, so that a sum does not depend on the
// number of threads.
constexpr int64_t kBlockPixels = 4096;

inline int64_t block_count(int64_t pixels) {
  return (pixels + kBlockPixels - 1) / kBlockPixels;
}

// scale P(scale wavefront), with P of z = scale wavefront and A = sqrt(sum over modes |z|^2): measured z * modulus / A,
// or modulus / sqrt(modes) where A = 0; others z. With 1 / sqrt(pixels) the transforms on both sides need no scaling.
struct ModulusArrays {
  const float* wavefront;
  float* projected;         // may be `wavefront`
  const float* modulus;     // not negative
  const uint8_t* measured;  // null: every pixel is trusted
  double* error;            // (batch), sum of |A - modulus| over measured pixels; null: not wanted
  int64_t modulus_stride, measured_stride;
  int64_t batch, modes, pixels;
  float scale;
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

// Primal-dual step on wavefronts, in place. With y = filter * dual and h = z - t y the modulus is pulled towards the
// measured one: z' = h + pull (b / A - 1) (h + reference) on measured pixels, z' = h on others, A = |h + reference|
// over all modes (A = 0: z' = h + pull b / sqrt(modes)). Then dual = keep y + s (2 z' - z) and z = z'. The dual is
// multiplied by `scale` as it is read and as it is written, so that transforms on both sides need no scaling.
struct RelaxArrays {
  float* wavefront;        // z, (batch, modes, pixels)
  float* dual;             // like wavefront
  const float* filter;     // (pixels); null: 1
  const float* reference;  // (modes, pixels); null: 0
  const float* modulus;    // b
  const uint8_t* measured;
  double* error;  // (batch), sum of |A - b| over measured pixels; null: not wanted
  int64_t modulus_stride, measured_stride;
  int64_t batch, modes, pixels;
};

struct RelaxRule {
  float t, s, pull, keep, scale;
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

// out = v - P_S(v), the distance to the nearest point of the object set, in place. For real_nonneg the imaginary part
// stays, as it is all distance. The rule's coefficients do not matter.
struct ResidualArrays {
  float* object;  // v
  const uint8_t* support;
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
void relax_modulus(const RelaxArrays& arrays, const RelaxRule& rule, int threads);
void update_object(const ObjectArrays& arrays, const ObjectRule& rule, int threads);
void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int threads);
void subtract_projection(const ResidualArrays& arrays, const ObjectRule& rule, int threads);

// A whole iteration: transform, project_modulus, back, update_object. `modulus` is in place in the memory that the
// projected objects get, of one mode; `object` is in place in the exit waves, and its support is (pixels) or (batch,
// pixels). Items go through one after another, or one to a thread, while they are in the cache.
void iterate(const fourier::Layout& layout, const ModulusArrays& modulus, const ObjectArrays& object,
             int64_t support_stride, const ObjectRule& rule);
}  // namespace cpu

namespace cuda {
// `stream` is a cudaStream_t; `partials` holds batch * block_count(pixels) doubles when an error is wanted.
void project_modulus(const ModulusArrays& arrays, double* partials, void* stream);
void project_modulus_backward(const ModulusBackwardArrays& arrays, void* stream);
void relax_modulus(const RelaxArrays& arrays, const RelaxRule& rule, double* partials, void* stream);
void update_object(const ObjectArrays& arrays, const ObjectRule& rule, void* stream);
void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, void* stream);
void subtract_projection(const ResidualArrays& arrays, const ObjectRule& rule, void* stream);
}  // namespace cuda

}  // namespace cdipipe::projection
