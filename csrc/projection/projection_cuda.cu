// CUDA kernels; one thread block per kBlockPixels pixels of one batch item, neighbouring threads on neighbouring
// pixels. Nothing here depends on scheduling order: same input, same bits.
#include "common/cuda_check.h"
#include "projection/object_sets.h"
#include "projection/projection.h"

namespace cdipipe::projection::cuda {
namespace {

using cdipipe::cuda::check;

constexpr int kThreads = 256;

struct BlockRange {
  int64_t item, begin, end;
};

__device__ BlockRange block_range(int64_t pixels) {
  const int64_t blocks = (pixels + kBlockPixels - 1) / kBlockPixels;
  const int64_t item = blockIdx.x / blocks, begin = (blockIdx.x % blocks) * kBlockPixels;
  return {item, begin, begin + kBlockPixels < pixels ? begin + kBlockPixels : pixels};
}

__device__ Pair load(const float* base, int64_t pixel) {
  const float2 value = reinterpret_cast<const float2*>(base)[pixel];
  return {value.x, value.y};
}

__device__ Pair scaled(float factor, Pair z) {
  return {factor * z.re, factor * z.im};
}

__device__ void store(float* base, int64_t pixel, Pair value) {
  reinterpret_cast<float2*>(base)[pixel] = make_float2(value.re, value.im);
}

// Fixed-order sum over the thread block; the result is in thread 0.
__device__ double block_sum(double value) {
  __shared__ double shared[kThreads];
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

__device__ float amplitude_of(const float* wavefront, int64_t first, int64_t modes, int64_t pixels, float scale) {
  float power = 0;
  for (int64_t m = 0; m < modes; ++m) {
    const Pair z = scaled(scale, load(wavefront, first + m * pixels));
    power += z.re * z.re + z.im * z.im;
  }
  return sqrtf(power);
}

__device__ bool is_trusted(const uint8_t* measured, int64_t stride, int64_t item, int64_t pixel) {
  return measured == nullptr || measured[stride * item + pixel] != 0;
}

__global__ void __launch_bounds__(kThreads) project_modulus_kernel(ModulusArrays arrays, double* partials) {
  const BlockRange range = block_range(arrays.pixels);
  const bool stays = arrays.wavefront == arrays.projected && arrays.scale == 1;
  const float share = 1 / sqrtf(static_cast<float>(arrays.modes));
  double error = 0;
#pragma unroll 4
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t first = range.item * arrays.modes * arrays.pixels + pixel;
    const bool trusted = is_trusted(arrays.measured, arrays.measured_stride, range.item, pixel);
    if (!trusted && stays) continue;
    const float b = arrays.modulus[arrays.modulus_stride * range.item + pixel];
    const float amplitude =
        trusted ? amplitude_of(arrays.wavefront, first, arrays.modes, arrays.pixels, arrays.scale) : 0;
    const float factor = b / amplitude;
    if (trusted) error += fabsf(amplitude - b);
    for (int64_t m = 0; m < arrays.modes; ++m) {
      Pair z = scaled(arrays.scale, load(arrays.wavefront, first + m * arrays.pixels));
      if (trusted) z = amplitude == 0 ? Pair{b * share, 0} : scaled(factor, z);
      store(arrays.projected, first + m * arrays.pixels, scaled(arrays.scale, z));
    }
  }
  if (partials == nullptr) return;
  error = block_sum(error);
  if (threadIdx.x == 0) partials[blockIdx.x] = error;
}

__device__ Pair relaxed_start(const RelaxArrays& arrays, const RelaxRule& rule, int64_t at, int64_t pixel, Pair& y) {
  const float gain = arrays.filter ? arrays.filter[pixel] : 1;
  const Pair z = load(arrays.wavefront, at), dual = scaled(rule.scale, load(arrays.dual, at));
  y = {gain * dual.re, gain * dual.im};
  return {z.re - rule.t * y.re, z.im - rule.t * y.im};
}

__device__ Pair with_reference(const RelaxArrays& arrays, int64_t at, Pair h) {
  if (!arrays.reference) return h;
  const Pair d = load(arrays.reference, at);
  return {h.re + d.re, h.im + d.im};
}

__global__ void __launch_bounds__(kThreads) relax_modulus_kernel(RelaxArrays arrays, RelaxRule rule, double* partials) {
  const BlockRange range = block_range(arrays.pixels);
  const float share = 1 / sqrtf(static_cast<float>(arrays.modes));
  double error = 0;
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t first = range.item * arrays.modes * arrays.pixels + pixel;
    const bool trusted = is_trusted(arrays.measured, arrays.measured_stride, range.item, pixel);
    float power = 0;
    Pair y;
    for (int64_t m = 0; m < arrays.modes; ++m) {
      const Pair h = relaxed_start(arrays, rule, first + m * arrays.pixels, pixel, y);
      const Pair w = with_reference(arrays, pixel + m * arrays.pixels, h);
      power += w.re * w.re + w.im * w.im;
    }
    const float amplitude = sqrtf(power);
    const float b = arrays.modulus[arrays.modulus_stride * range.item + pixel];
    if (trusted) error += fabsf(amplitude - b);
    const float pull = trusted && amplitude != 0 ? rule.pull * (b / amplitude - 1) : 0;
    const float fill = trusted && amplitude == 0 ? rule.pull * b * share : 0;
    for (int64_t m = 0; m < arrays.modes; ++m) {
      const int64_t at = first + m * arrays.pixels;
      const Pair z = load(arrays.wavefront, at), h = relaxed_start(arrays, rule, at, pixel, y);
      const Pair w = with_reference(arrays, pixel + m * arrays.pixels, h);
      const Pair next = {h.re + pull * w.re + fill, h.im + pull * w.im};
      const Pair moved = {rule.keep * y.re + rule.s * (2 * next.re - z.re),
                          rule.keep * y.im + rule.s * (2 * next.im - z.im)};
      store(arrays.dual, at, scaled(rule.scale, moved));
      store(arrays.wavefront, at, next);
    }
  }
  if (partials == nullptr) return;
  error = block_sum(error);
  if (threadIdx.x == 0) partials[blockIdx.x] = error;
}

__global__ void __launch_bounds__(kThreads) sum_partials_kernel(const double* partials, double* error, int64_t blocks) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) sum += partials[blockIdx.x * blocks + i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) error[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) project_modulus_backward_kernel(ModulusBackwardArrays arrays) {
  const BlockRange range = block_range(arrays.pixels);
  const float grad_error = arrays.grad_error ? static_cast<float>(arrays.grad_error[range.item]) : 0;
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t first = range.item * arrays.modes * arrays.pixels + pixel;
    const bool trusted = is_trusted(arrays.measured, arrays.measured_stride, range.item, pixel);
    const float b = arrays.modulus[arrays.modulus_stride * range.item + pixel];
    float power = 0, inner = 0;
    for (int64_t m = 0; m < arrays.modes; ++m) {
      const Pair z = load(arrays.wavefront, first + m * arrays.pixels);
      const Pair g = load(arrays.grad_projected, first + m * arrays.pixels);
      power += z.re * z.re + z.im * z.im;
      inner += z.re * g.re + z.im * g.im;
    }
    const float amplitude = sqrtf(power), inverse = amplitude > 0 ? 1 / amplitude : 0;
    const float sign = amplitude > b ? 1.f : (amplitude < b ? -1.f : 0.f);
    const float on_grad = trusted ? b * inverse : 1;
    const float on_wave = trusted ? inverse * (grad_error * sign - on_grad * inverse * inner) : 0;
    for (int64_t m = 0; m < arrays.modes; ++m) {
      const Pair z = load(arrays.wavefront, first + m * arrays.pixels);
      const Pair g = load(arrays.grad_projected, first + m * arrays.pixels);
      store(arrays.grad_wavefront, first + m * arrays.pixels,
            {on_grad * g.re + on_wave * z.re, on_grad * g.im + on_wave * z.im});
    }
  }
}

template <class Set, bool uses_exit_wave>
__global__ void __launch_bounds__(kThreads) update_object_kernel(ObjectArrays arrays, ObjectRule rule) {
  const BlockRange range = block_range(arrays.pixels);
  const Set set(rule);
#pragma unroll 4
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t at = range.item * arrays.pixels + pixel;
    const Pair p = load(arrays.projected, at);
    const Pair u = uses_exit_wave ? load(arrays.exit_wave, at) : p;
    const bool inside = arrays.support[pixel] != 0;
    store(arrays.out, at, update_pixel<Set, uses_exit_wave>(set, rule, u, p, inside));
  }
}

template <class Set>
__global__ void __launch_bounds__(kThreads)
    update_object_backward_kernel(ObjectBackwardArrays arrays, ObjectRule rule) {
  const BlockRange range = block_range(arrays.pixels);
  const Set set(rule);
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t at = range.item * arrays.pixels + pixel;
    const bool inside = arrays.support[pixel] != 0;
    const ObjectGradients grads = update_pixel_backward(set, rule, load(arrays.exit_wave, at),
                                                        load(arrays.projected, at), inside, load(arrays.grad_out, at));
    store(arrays.grad_exit_wave, at, grads.exit_wave);
    store(arrays.grad_projected, at, grads.projected);
  }
}

template <class Set>
__global__ void __launch_bounds__(kThreads) subtract_projection_kernel(ResidualArrays arrays, ObjectRule rule) {
  const BlockRange range = block_range(arrays.pixels);
  const Set set(rule);
  for (int64_t pixel = range.begin + threadIdx.x; pixel < range.end; pixel += kThreads) {
    const int64_t at = range.item * arrays.pixels + pixel;
    store(arrays.object, at, residual_pixel(set, load(arrays.object, at), arrays.support[pixel] != 0));
  }
}

// Calls launch(Set{}) with the object set that the rule names.
template <class Launch>
void with_set(const ObjectRule& rule, Launch launch) {
  switch (rule.constraint) {
    case Constraint::support:
      return launch(Support(rule));
    case Constraint::real_nonneg:
      return launch(RealNonneg(rule));
    case Constraint::re_nonneg:
      return launch(ReNonneg(rule));
    case Constraint::quadrant:
      return launch(Quadrant(rule));
    case Constraint::phase_range:
      return launch(PhaseRange(rule));
  }
}

unsigned grid_size(int64_t batch, int64_t pixels) {
  const int64_t blocks = batch * block_count(pixels);
  if (blocks > 2147483647) throw std::invalid_argument("CUDA kernels: more than 2^31 blocks of pixels in one call");
  return static_cast<unsigned>(blocks);
}

// Calls launch(grid, queue, partials), and adds the partial sums up into arrays.error where that is wanted.
template <class Arrays, class Launch>
void with_error_sums(const Arrays& arrays, double* partials, void* stream, const char* name, Launch launch) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const unsigned grid = grid_size(arrays.batch, arrays.pixels);
  if (grid == 0) {
    if (arrays.error && arrays.batch) {
      check(cudaMemsetAsync(arrays.error, 0, arrays.batch * sizeof(double), queue), name);
    }
    return;
  }
  launch(grid, queue, arrays.error ? partials : nullptr);
  check(cudaGetLastError(), name);
  if (!arrays.error) return;
  sum_partials_kernel<<<static_cast<unsigned>(arrays.batch), kThreads, 0, queue>>>(partials, arrays.error,
                                                                                   block_count(arrays.pixels));
  check(cudaGetLastError(), name);
}

}  // namespace

void project_modulus(const ModulusArrays& arrays, double* partials, void* stream) {
  with_error_sums(arrays, partials, stream, "project_modulus", [&](unsigned grid, cudaStream_t queue, double* sums) {
    project_modulus_kernel<<<grid, kThreads, 0, queue>>>(arrays, sums);
  });
}

void relax_modulus(const RelaxArrays& arrays, const RelaxRule& rule, double* partials, void* stream) {
  with_error_sums(arrays, partials, stream, "relax_modulus", [&](unsigned grid, cudaStream_t queue, double* sums) {
    relax_modulus_kernel<<<grid, kThreads, 0, queue>>>(arrays, rule, sums);
  });
}

void project_modulus_backward(const ModulusBackwardArrays& arrays, void* stream) {
  const unsigned grid = grid_size(arrays.batch, arrays.pixels);
  if (grid == 0) return;
  project_modulus_backward_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(arrays);
  check(cudaGetLastError(), "project_modulus_backward");
}

void update_object(const ObjectArrays& arrays, const ObjectRule& rule, void* stream) {
  const unsigned grid = grid_size(arrays.batch, arrays.pixels);
  if (grid == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  with_set(rule, [&](auto set) {
    using Set = decltype(set);
    if (rule.a == 0 && rule.g == 0) {
      update_object_kernel<Set, false><<<grid, kThreads, 0, queue>>>(arrays, rule);
    } else {
      update_object_kernel<Set, true><<<grid, kThreads, 0, queue>>>(arrays, rule);
    }
  });
  check(cudaGetLastError(), "update_object");
}

void update_object_backward(const ObjectBackwardArrays& arrays, const ObjectRule& rule, void* stream) {
  const unsigned grid = grid_size(arrays.batch, arrays.pixels);
  if (grid == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  with_set(rule,
           [&](auto set) { update_object_backward_kernel<decltype(set)><<<grid, kThreads, 0, queue>>>(arrays, rule); });
  check(cudaGetLastError(), "update_object_backward");
}

void subtract_projection(const ResidualArrays& arrays, const ObjectRule& rule, void* stream) {
  const unsigned grid = grid_size(arrays.batch, arrays.pixels);
  if (grid == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  with_set(rule,
           [&](auto set) { subtract_projection_kernel<decltype(set)><<<grid, kThreads, 0, queue>>>(arrays, rule); });
  check(cudaGetLastError(), "subtract_projection");
}

}  // namespace cdipipe::projection::cuda
