// Inner loops, compiled once per instruction set (see cmake/simd.cmake). Include no standard header with inline
// functions here: the linker might keep the copy that older processors cannot run.
#include "projection/projection_blocks.h"

#include "common/loops.h"
#include "projection/object_sets.h"

namespace cdipipe::projection::CDIPIPE_SIMD_NAMESPACE {
namespace {

// Sums run in float within a run of this many pixels and in double above it.
constexpr int64_t kRunPixels = 512;

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

inline int64_t block_offset(int64_t stride, int64_t item, int64_t begin) {
  return stride * item + begin;
}

// One mode: everything in one pass. Returns the sum of |A - b| over the measured pixels of the run.
template <bool masked>
float project_run(const float* wavefront, float* projected, const float* modulus, const uint8_t* measured,
                  int64_t count, float scale) {
  float error = 0;
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const float re = scale * wavefront[2 * i], im = scale * wavefront[2 * i + 1];
    const float amplitude = __builtin_sqrtf(re * re + im * im);
    const bool trusted = masked ? measured[i] != 0 : true;
    const float b = modulus[i];
    const float target = trusted ? b : amplitude;  // where nothing was measured b may be NaN
    const float factor = trusted ? b / amplitude : 1;
    const float fill = trusted ? b : re;
    const bool dark = amplitude == 0;
    error += __builtin_fabsf(amplitude - target);
    projected[2 * i] = scale * (dark ? fill : re * factor);
    projected[2 * i + 1] = scale * (dark ? im : im * factor);
  }
  return error;
}

// Several modes: amplitude of the run first, then every mode with the same factor.
template <bool masked>
float project_modes_run(const float* wavefront, float* projected, const float* modulus, const uint8_t* measured,
                        int64_t count, int64_t modes, int64_t mode_stride, float scale) {
  float power[kRunPixels], factor[kRunPixels], fill[kRunPixels];
  for (int64_t i = 0; i < count; ++i) power[i] = 0;
  for (int64_t m = 0; m < modes; ++m) {
    const float* z = wavefront + m * mode_stride;
    for (int64_t i = 0; i < count; ++i) {
      const float re = scale * z[2 * i], im = scale * z[2 * i + 1];
      power[i] += re * re + im * im;
    }
  }
  const float share = 1 / __builtin_sqrtf(static_cast<float>(modes));
  float error = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float amplitude = __builtin_sqrtf(power[i]), b = modulus[i];
    const bool trusted = masked ? measured[i] != 0 : true;
    const float target = trusted ? b : amplitude;
    const bool lit = trusted & (amplitude == 0);
    factor[i] = (trusted & !lit) ? b / amplitude : 1;
    fill[i] = lit ? b * share : -1;
    error += __builtin_fabsf(amplitude - target);
  }
  for (int64_t m = 0; m < modes; ++m) {
    const float* z = wavefront + m * mode_stride;
    float* out = projected + m * mode_stride;
    CDIPIPE_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
      const float re = scale * z[2 * i] * factor[i], im = scale * z[2 * i + 1] * factor[i];
      out[2 * i] = scale * (fill[i] >= 0 ? fill[i] : re);
      out[2 * i + 1] = scale * im;
    }
  }
  return error;
}

double project_modulus(const ModulusArrays& arrays, int64_t item, int64_t begin, int64_t count) {
  const int64_t mode_stride = 2 * arrays.pixels;
  const int64_t offset = item * arrays.modes * mode_stride + 2 * begin;
  const float* modulus = arrays.modulus + block_offset(arrays.modulus_stride, item, begin);
  const uint8_t* measured =
      arrays.measured ? arrays.measured + block_offset(arrays.measured_stride, item, begin) : nullptr;
  double error = 0;
  for (int64_t i = 0; i < count; i += kRunPixels) {
    const int64_t run = smaller(kRunPixels, count - i);
    const float *z = arrays.wavefront + offset + 2 * i, *b = modulus + i, scale = arrays.scale;
    float* out = arrays.projected + offset + 2 * i;
    if (arrays.modes == 1) {
      error += measured ? project_run<true>(z, out, b, measured + i, run, scale)
                        : project_run<false>(z, out, b, nullptr, run, scale);
    } else {
      error += measured ? project_modes_run<true>(z, out, b, measured + i, run, arrays.modes, mode_stride, scale)
                        : project_modes_run<false>(z, out, b, nullptr, run, arrays.modes, mode_stride, scale);
    }
  }
  return error;
}

// grad_m = (b / A) (g_m - z_m / A^2 Re sum_n conj(z_n) g_n) + grad_error sign(A - b) z_m / A on measured pixels.
void project_modulus_backward_run(const float* wavefront, const float* modulus, const uint8_t* measured,
                                  const float* grad, float grad_error, float* out, int64_t count, int64_t modes,
                                  int64_t mode_stride) {
  float power[kRunPixels], inner[kRunPixels], on_grad[kRunPixels], on_wave[kRunPixels];
  for (int64_t i = 0; i < count; ++i) power[i] = inner[i] = 0;
  for (int64_t m = 0; m < modes; ++m) {
    const float *z = wavefront + m * mode_stride, *g = grad + m * mode_stride;
    for (int64_t i = 0; i < count; ++i) {
      power[i] += z[2 * i] * z[2 * i] + z[2 * i + 1] * z[2 * i + 1];
      inner[i] += z[2 * i] * g[2 * i] + z[2 * i + 1] * g[2 * i + 1];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const float amplitude = __builtin_sqrtf(power[i]), b = modulus[i];
    const float inverse = amplitude > 0 ? 1 / amplitude : 0;
    const float sign = amplitude > b ? 1.0f : (amplitude < b ? -1.0f : 0.0f);
    const bool trusted = measured ? measured[i] != 0 : true;
    const float factor = b * inverse;
    on_grad[i] = trusted ? factor : 1;
    on_wave[i] = trusted ? inverse * (grad_error * sign - factor * inverse * inner[i]) : 0;
  }
  for (int64_t m = 0; m < modes; ++m) {
    const float *z = wavefront + m * mode_stride, *g = grad + m * mode_stride;
    float* o = out + m * mode_stride;
    CDIPIPE_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
      o[2 * i] = on_grad[i] * g[2 * i] + on_wave[i] * z[2 * i];
      o[2 * i + 1] = on_grad[i] * g[2 * i + 1] + on_wave[i] * z[2 * i + 1];
    }
  }
}

void project_modulus_backward(const ModulusBackwardArrays& arrays, int64_t item, int64_t begin, int64_t count) {
  const int64_t mode_stride = 2 * arrays.pixels;
  const int64_t offset = item * arrays.modes * mode_stride + 2 * begin;
  const float* modulus = arrays.modulus + block_offset(arrays.modulus_stride, item, begin);
  const uint8_t* measured =
      arrays.measured ? arrays.measured + block_offset(arrays.measured_stride, item, begin) : nullptr;
  const float grad_error = arrays.grad_error ? static_cast<float>(arrays.grad_error[item]) : 0;
  for (int64_t i = 0; i < count; i += kRunPixels) {
    const int64_t at = offset + 2 * i;
    project_modulus_backward_run(arrays.wavefront + at, modulus + i, measured ? measured + i : nullptr,
                                 arrays.grad_projected + at, grad_error, arrays.grad_wavefront + at,
                                 smaller(kRunPixels, count - i), arrays.modes, mode_stride);
  }
}

// Pointers of one run of pixels; the next mode is `mode_stride` floats further.
struct RelaxRun {
  float *wavefront, *dual;
  const float *filter, *reference, *modulus;
  const uint8_t* measured;
  int64_t count, modes, mode_stride;
};

template <bool filtered, bool referenced>
float relax_run(const RelaxRun& run, const RelaxRule& rule) {
  float *z = run.wavefront, *dual = run.dual;
  const float *filter = run.filter, *reference = run.reference, *modulus = run.modulus;
  const uint8_t* measured = run.measured;
  const RelaxRule r = rule;
  float error = 0;
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < run.count; ++i) {
    const float gain = filtered ? filter[i] * r.scale : r.scale;
    const float y_re = gain * dual[2 * i], y_im = gain * dual[2 * i + 1];
    const float z_re = z[2 * i], z_im = z[2 * i + 1];
    const float h_re = z_re - r.t * y_re, h_im = z_im - r.t * y_im;
    const float w_re = referenced ? h_re + reference[2 * i] : h_re;
    const float w_im = referenced ? h_im + reference[2 * i + 1] : h_im;
    const float amplitude = __builtin_sqrtf(w_re * w_re + w_im * w_im), b = modulus[i];
    const bool trusted = measured[i] != 0, dark = amplitude == 0;
    const float target = trusted ? b : amplitude;  // where nothing was measured b may be NaN
    const float pull = (trusted & !dark) ? r.pull * (b / amplitude - 1) : 0;
    const float fill = (trusted & dark) ? r.pull * b : 0;
    const float next_re = h_re + pull * w_re + fill, next_im = h_im + pull * w_im;
    error += __builtin_fabsf(amplitude - target);
    z[2 * i] = next_re;
    z[2 * i + 1] = next_im;
    dual[2 * i] = r.scale * (r.keep * y_re + r.s * (2 * next_re - z_re));
    dual[2 * i + 1] = r.scale * (r.keep * y_im + r.s * (2 * next_im - z_im));
  }
  return error;
}

// Several modes: their common amplitude first, then every mode with the same pull.
float relax_modes_run(const RelaxRun& run, const RelaxRule& r) {
  float power[kRunPixels], pull[kRunPixels], fill[kRunPixels], gain[kRunPixels];
  for (int64_t i = 0; i < run.count; ++i) power[i] = 0, gain[i] = run.filter ? run.filter[i] * r.scale : r.scale;
  for (int64_t m = 0; m < run.modes; ++m) {
    const float *z = run.wavefront + m * run.mode_stride, *dual = run.dual + m * run.mode_stride;
    const float* reference = run.reference ? run.reference + m * run.mode_stride : nullptr;
    for (int64_t i = 0; i < run.count; ++i) {
      const float w_re = z[2 * i] - r.t * gain[i] * dual[2 * i] + (reference ? reference[2 * i] : 0);
      const float w_im = z[2 * i + 1] - r.t * gain[i] * dual[2 * i + 1] + (reference ? reference[2 * i + 1] : 0);
      power[i] += w_re * w_re + w_im * w_im;
    }
  }
  const float share = 1 / __builtin_sqrtf(static_cast<float>(run.modes));
  float error = 0;
  for (int64_t i = 0; i < run.count; ++i) {
    const float amplitude = __builtin_sqrtf(power[i]), b = run.modulus[i];
    const bool trusted = run.measured[i] != 0, dark = amplitude == 0;
    const float target = trusted ? b : amplitude;
    pull[i] = (trusted & !dark) ? r.pull * (b / amplitude - 1) : 0;
    fill[i] = (trusted & dark) ? r.pull * b * share : 0;
    error += __builtin_fabsf(amplitude - target);
  }
  for (int64_t m = 0; m < run.modes; ++m) {
    float *z = run.wavefront + m * run.mode_stride, *dual = run.dual + m * run.mode_stride;
    const float* reference = run.reference ? run.reference + m * run.mode_stride : nullptr;
    CDIPIPE_INDEPENDENT
    for (int64_t i = 0; i < 2 * run.count; ++i) {
      const float y = gain[i / 2] * dual[i], h = z[i] - r.t * y;
      const float w = reference ? h + reference[i] : h;
      const float next = h + pull[i / 2] * w + (i % 2 == 0 ? fill[i / 2] : 0);
      dual[i] = r.scale * (r.keep * y + r.s * (2 * next - z[i]));
      z[i] = next;
    }
  }
  return error;
}

double relax_modulus(const RelaxArrays& arrays, const RelaxRule& rule, int64_t item, int64_t begin, int64_t count) {
  const int64_t mode_stride = 2 * arrays.pixels;
  const int64_t offset = item * arrays.modes * mode_stride + 2 * begin;
  const float* modulus = arrays.modulus + block_offset(arrays.modulus_stride, item, begin);
  const uint8_t* measured = arrays.measured + block_offset(arrays.measured_stride, item, begin);
  double error = 0;
  for (int64_t i = 0; i < count; i += kRunPixels) {
    const RelaxRun run = {arrays.wavefront + offset + 2 * i,
                          arrays.dual + offset + 2 * i,
                          arrays.filter ? arrays.filter + begin + i : nullptr,
                          arrays.reference ? arrays.reference + 2 * (begin + i) : nullptr,
                          modulus + i,
                          measured + i,
                          smaller(kRunPixels, count - i),
                          arrays.modes,
                          mode_stride};
    if (arrays.modes > 1) {
      error += relax_modes_run(run, rule);
    } else if (run.filter) {
      error += run.reference ? relax_run<true, true>(run, rule) : relax_run<true, false>(run, rule);
    } else {
      error += run.reference ? relax_run<false, true>(run, rule) : relax_run<false, false>(run, rule);
    }
  }
  return error;
}

template <class Set, bool uses_exit_wave>
void update_object_as(const ObjectArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin, int64_t count) {
  const int64_t offset = 2 * (item * arrays.pixels + begin);
  const float* exit_wave = uses_exit_wave ? arrays.exit_wave + offset : nullptr;
  const float* projected = arrays.projected + offset;
  float* out = arrays.out + offset;
  const uint8_t* support = arrays.support + begin;
  const Set set(rule);
  const ObjectRule r = rule;
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const Pair p = {projected[2 * i], projected[2 * i + 1]};
    const Pair u = uses_exit_wave ? Pair{exit_wave[2 * i], exit_wave[2 * i + 1]} : p;
    const Pair result = update_pixel<Set, uses_exit_wave>(set, r, u, p, support[i] != 0);
    out[2 * i] = result.re;
    out[2 * i + 1] = result.im;
  }
}

template <class Set>
void update_object_with(const ObjectArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin,
                        int64_t count) {
  if (rule.a == 0 && rule.g == 0) {
    update_object_as<Set, false>(arrays, rule, item, begin, count);
  } else {
    update_object_as<Set, true>(arrays, rule, item, begin, count);
  }
}

template <class Set>
void update_object_backward_with(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int64_t item,
                                 int64_t begin, int64_t count) {
  const int64_t offset = 2 * (item * arrays.pixels + begin);
  const float *exit_wave = arrays.exit_wave + offset, *projected = arrays.projected + offset;
  const float* grad_out = arrays.grad_out + offset;
  float *grad_exit_wave = arrays.grad_exit_wave + offset, *grad_projected = arrays.grad_projected + offset;
  const uint8_t* support = arrays.support + begin;
  const Set set(rule);
  const ObjectRule r = rule;
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const Pair u = {exit_wave[2 * i], exit_wave[2 * i + 1]}, p = {projected[2 * i], projected[2 * i + 1]};
    const Pair grad = {grad_out[2 * i], grad_out[2 * i + 1]};
    const ObjectGradients result = update_pixel_backward(set, r, u, p, support[i] != 0, grad);
    grad_exit_wave[2 * i] = result.exit_wave.re;
    grad_exit_wave[2 * i + 1] = result.exit_wave.im;
    grad_projected[2 * i] = result.projected.re;
    grad_projected[2 * i + 1] = result.projected.im;
  }
}

template <class Set>
void subtract_projection_with(const ResidualArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin,
                              int64_t count) {
  float* object = arrays.object + 2 * (item * arrays.pixels + begin);
  const uint8_t* support = arrays.support + begin;
  const Set set(rule);
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const Pair result = residual_pixel(set, {object[2 * i], object[2 * i + 1]}, support[i] != 0);
    object[2 * i] = result.re;
    object[2 * i + 1] = result.im;
  }
}

// Calls work(set) with the object set that the rule names.
template <class Work>
void with_set(const ObjectRule& rule, Work work) {
  switch (rule.constraint) {
    case Constraint::support:
      return work(Support(rule));
    case Constraint::real_nonneg:
      return work(RealNonneg(rule));
    case Constraint::re_nonneg:
      return work(ReNonneg(rule));
    case Constraint::quadrant:
      return work(Quadrant(rule));
    case Constraint::phase_range:
      return work(PhaseRange(rule));
  }
}

void update_object(const ObjectArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin, int64_t count) {
  with_set(rule, [&](auto set) { update_object_with<decltype(set)>(arrays, rule, item, begin, count); });
}

void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin,
                            int64_t count) {
  with_set(rule, [&](auto set) { update_object_backward_with<decltype(set)>(arrays, rule, item, begin, count); });
}

void subtract_projection(const ResidualArrays& arrays, const ObjectRule& rule, int64_t item, int64_t begin,
                         int64_t count) {
  with_set(rule, [&](auto set) { subtract_projection_with<decltype(set)>(arrays, rule, item, begin, count); });
}

}  // namespace

const BlockKernels kernels = {project_modulus, project_modulus_backward, relax_modulus,
                              update_object,   update_object_backward,   subtract_projection};

}  // namespace cdipipe::projection::CDIPIPE_SIMD_NAMESPACE
