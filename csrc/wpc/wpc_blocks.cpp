// Inner loops, compiled once per instruction set (see cmake/simd.cmake). Include no standard header with inline
// functions here: the linker might keep the copy that older processors cannot run.
#include "wpc/wpc_blocks.h"

#include "common/lanes.h"
#include "common/loops.h"

namespace cdipipe::wpc::CDIPIPE_SIMD_NAMESPACE {
namespace {

using namespace cdipipe::CDIPIPE_SIMD_NAMESPACE;

// Sums over `rows` rows. Sums of positive numbers, never differences of running sums: weights span eight orders of
// magnitude, and a window that leaves the centre must not keep its rounding errors. A number of rows known to the
// compiler (not 0) keeps the sums in registers.
template <int fixed_rows>
void sum_rows(const float* weights, const uint8_t* measured, int64_t rows, int64_t width, float* all, float* seen) {
  const int64_t count = fixed_rows ? fixed_rows : rows;
  CDIPIPE_INDEPENDENT
  for (int64_t x = 0; x < width; ++x) {
    float every = 0, trusted = 0;
    for (int64_t y = 0; y < count; ++y) {
      const float weight = weights[y * width + x];
      every += weight;
      trusted += measured[y * width + x] != 0 ? weight : 0.0f;
    }
    all[x] = every;
    seen[x] = trusted;
  }
}

void sum_columns(const WindowArrays& arrays, int64_t item, int64_t row, float* all, float* seen) {
  const int64_t width = arrays.width, top = row * arrays.stride - arrays.padding;
  const int64_t first = top < 0 ? 0 : top;
  const int64_t last = top + arrays.kernel > arrays.height ? arrays.height : top + arrays.kernel;
  const float* weights = arrays.weights + first * width;
  const uint8_t* measured = arrays.measured + (item * arrays.height + first) * width;
  if (last - first == 3) return sum_rows<3>(weights, measured, 3, width, all, seen);
  if (last - first == 7) return sum_rows<7>(weights, measured, 7, width, all, seen);
  sum_rows<0>(weights, measured, last - first, width, all, seen);
}

typedef uint8_t LaneBytes __attribute__((vector_size(kLanes), aligned(1), may_alias));

inline void store_ratios(const Lanes& top, const Lanes& bottom, float* ratio, uint8_t* valid) {
  const Lanes zero = {};
  const auto any = bottom > zero;  // integers, all bits of them or none
  store_lanes(ratio, any ? top / bottom : zero);
  *reinterpret_cast<LaneBytes*>(valid) = __builtin_convertvector(any & 1, LaneBytes);
}

// Ratios of one row from padded column sums, sixteen at once with their sums in registers; stride 1 or 2. The last
// ones may be written twice.
template <int stride>
void sum_windows(const WindowArrays& arrays, const float* all, const float* seen, float* ratio, uint8_t* valid) {
  const int64_t kernel = arrays.kernel, last = arrays.out_width - kLanes;
  for (int64_t next = 0; next < arrays.out_width; next += kLanes) {
    const int64_t begin = next < last ? next : last;
    Lanes top = {}, bottom = {};
    for (int64_t dx = 0; dx < kernel; ++dx) {
      top += load_strided<stride>(all + begin * stride + dx);
      bottom += load_strided<stride>(seen + begin * stride + dx);
    }
    store_ratios(top, bottom, ratio + begin, valid + begin);
  }
}

// The same for any width and stride.
void sum_windows_one_by_one(const WindowArrays& arrays, const float* all, const float* seen, float* ratio,
                            uint8_t* valid) {
  for (int64_t i = 0; i < arrays.out_width; ++i) {
    float top = 0, bottom = 0;
    for (int64_t at = i * arrays.stride; at < i * arrays.stride + arrays.kernel; ++at) {
      top += all[at];
      bottom += seen[at];
    }
    valid[i] = bottom > 0;
    ratio[i] = valid[i] ? top / bottom : 0.0f;
  }
}

void window_row(const WindowArrays& arrays, int64_t item, int64_t row, float* scratch) {
  const int64_t padded = arrays.width + 2 * arrays.padding;
  float *all = scratch, *seen = scratch + padded + 1;
  for (int i = 0; i < arrays.padding; ++i) {
    all[i] = seen[i] = all[padded - 1 - i] = seen[padded - 1 - i] = 0;
  }
  sum_columns(arrays, item, row, all + arrays.padding, seen + arrays.padding);
  const int64_t at = (item * arrays.out_height + row) * arrays.out_width;
  float* ratio = arrays.ratio + at;
  uint8_t* valid = arrays.valid + at;
  const bool wide = arrays.out_width >= kLanes;
  if (wide && arrays.stride == 1) return sum_windows<1>(arrays, all, seen, ratio, valid);
  if (wide && arrays.stride == 2) return sum_windows<2>(arrays, all, seen, ratio, valid);
  sum_windows_one_by_one(arrays, all, seen, ratio, valid);
}

inline float finish(float value, bool relu) {
  return relu && value < 0 ? 0.0f : value;  // keeps a NaN
}

// Pixels of one channel, one after the other.
template <bool relu>
void renormalise_plane(const float* features, const float* ratio, float bias, bool zero_invalid, float* out,
                       int64_t count) {
  CDIPIPE_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) {
    const float r = ratio[i];
    const float value = finish(features[i] * r + bias, relu);
    out[i] = (zero_invalid & (r == 0)) ? 0.0f : value;
  }
}

// All channels of one pixel after the other.
template <bool relu, bool biased>
void renormalise_pixels(const float* features, const float* ratio, const float* bias, bool zero_invalid, float* out,
                        int64_t count, int64_t channels) {
  for (int64_t i = 0; i < count; ++i) {
    const float r = ratio[i];
    const float* f = features + i * channels;
    float* o = out + i * channels;
    if (zero_invalid && r == 0) {
      for (int64_t c = 0; c < channels; ++c) o[c] = 0;
      continue;
    }
    CDIPIPE_INDEPENDENT
    for (int64_t c = 0; c < channels; ++c) o[c] = finish(f[c] * r + (biased ? bias[c] : 0.0f), relu);
  }
}

template <bool relu>
void renormalise_with(const RenormaliseArrays& arrays, int64_t item, int64_t channel, int64_t begin, int64_t count) {
  const float* ratio = arrays.ratio + item * arrays.ratio_stride + begin;
  if (arrays.channels_last) {
    const int64_t at = (item * arrays.pixels + begin) * arrays.channels;
    const auto run = arrays.bias ? renormalise_pixels<relu, true> : renormalise_pixels<relu, false>;
    return run(arrays.features + at, ratio, arrays.bias, arrays.zero_invalid, arrays.out + at, count, arrays.channels);
  }
  const int64_t at = (item * arrays.channels + channel) * arrays.pixels + begin;
  const float bias = arrays.bias ? arrays.bias[channel] : 0.0f;
  renormalise_plane<relu>(arrays.features + at, ratio, bias, arrays.zero_invalid, arrays.out + at, count);
}

void renormalise(const RenormaliseArrays& arrays, int64_t item, int64_t channel, int64_t begin, int64_t count) {
  if (arrays.relu) return renormalise_with<true>(arrays, item, channel, begin, count);
  renormalise_with<false>(arrays, item, channel, begin, count);
}

// `pixels` neighbouring outputs and 16 `groups` channels at once: all sums stay in registers.
template <int pixels, int groups>
inline void first_layer_patch(const FirstLayerArrays& arrays, const float* image, const float* kernels,
                              const float* ratio, const float* bias, float* out) {
  const int64_t image_width = arrays.width + arrays.size - 1;
  Lanes sum[pixels][groups] = {};
  for (int dy = 0; dy < arrays.size; ++dy) {
    for (int dx = 0; dx < arrays.size; ++dx) {
      const float* weights = kernels + (dy * arrays.size + dx) * arrays.channels;
      const float* values = image + dy * image_width + dx;
      for (int g = 0; g < groups; ++g) {
        const Lanes weight = load_lanes(weights + g * kLanes);
        for (int p = 0; p < pixels; ++p) sum[p][g] += values[p] * weight;
      }
    }
  }
  for (int p = 0; p < pixels; ++p) {
    for (int g = 0; g < groups; ++g) {
      Lanes value = relu(sum[p][g] * ratio[p] + load_lanes(bias + g * kLanes));
      if (ratio[p] == 0) value = Lanes{};
      store_lanes(out + p * arrays.channels + g * kLanes, value);
    }
  }
}

template <int pixels, int groups>
void first_layer_channels(const FirstLayerArrays& arrays, int64_t item, int64_t row, int64_t channel) {
  const int64_t image_width = arrays.width + arrays.size - 1, image_height = arrays.height + arrays.size - 1;
  const float* image = arrays.image + (item * image_height + row) * image_width;
  const float* ratio = arrays.ratio + item * arrays.ratio_stride + row * arrays.width;
  const float *kernels = arrays.kernels + channel, *bias = arrays.bias + channel;
  float* out = arrays.out + item * arrays.image_stride + row * arrays.row_stride + channel;
  int64_t x = 0;
  for (; x + pixels <= arrays.width; x += pixels) {
    first_layer_patch<pixels, groups>(arrays, image + x, kernels, ratio + x, bias, out + x * arrays.channels);
  }
  for (; x < arrays.width; ++x) {
    first_layer_patch<1, groups>(arrays, image + x, kernels, ratio + x, bias, out + x * arrays.channels);
  }
}

void first_layer_row(const FirstLayerArrays& arrays, int64_t item, int64_t row) {
  int64_t channel = 0;
  for (; channel + 4 * kLanes <= arrays.channels; channel += 4 * kLanes) {
    first_layer_channels<6, 4>(arrays, item, row, channel);
  }
  for (; channel < arrays.channels; channel += kLanes) first_layer_channels<12, 1>(arrays, item, row, channel);
}

}  // namespace

const BlockKernels kernels = {window_row, renormalise, first_layer_row};

}  // namespace cdipipe::wpc::CDIPIPE_SIMD_NAMESPACE
