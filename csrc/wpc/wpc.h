// Weighted partial convolution: the algebra of its mask, and what the mask does to features, on CPU and CUDA.
//
// Masks are bytes, 0 or 1. Everything is a pure function of the arguments: no state is kept between calls.
#pragma once

#include <cstdint>

namespace cdipipe::wpc {

// ratio = sum W / sum_M W over the window of each output pixel, 0 and valid = 0 where no pixel under it is measured.
// Pixels outside the array count for neither sum. Contiguous: measured (batch, height, width), weights (height, width),
// ratio and valid (batch, out_height, out_width).
struct WindowArrays {
  const uint8_t* measured;
  const float* weights;  // positive
  float* ratio;
  uint8_t* valid;
  int64_t batch, height, width, out_height, out_width;
  int kernel, stride, padding;
};

// out = features * ratio + bias[channel], and 0 where ratio is 0 if `zero_invalid`; then max(., 0) if `relu`.
// features and out are (batch, channels, pixels), or (batch, pixels, channels) if `channels_last`.
struct RenormaliseArrays {
  const float* features;
  const float* ratio;    // (pixels), shared by the batch (stride 0), or (batch, pixels)
  const float* bias;     // (channels); null: 0
  float* out;            // may be `features`
  int64_t ratio_stride;  // 0 or pixels
  int64_t batch, channels, pixels;
  bool channels_last, relu, zero_invalid;
};

namespace cpu {
// `threads` is given with every call: OpenMP's own setting differs between the threads of a process.
void window_ratio(const WindowArrays& arrays, int threads);
void renormalise(const RenormaliseArrays& arrays, int threads);
}  // namespace cpu

namespace cuda {
void window_ratio(const WindowArrays& arrays, void* stream);
void renormalise(const RenormaliseArrays& arrays, void* stream);
}  // namespace cuda

}  // namespace cdipipe::wpc
