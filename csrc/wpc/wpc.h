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

// First layer of a network, CPU only: convolution of a one-channel image and all that follows it in one pass,
// out = max(ratio * (kernels * image) + bias[channel], 0), and 0 where ratio is 0. The image comes with its border:
// (batch, height + size - 1, width + size - 1). out is (batch, height, width, channels) with gaps after rows and
// images; channels are a multiple of 16.
struct FirstLayerArrays {
  const float* image;
  const float* kernels;  // (size, size, channels)
  const float* ratio;    // (height, width), shared by the batch (stride 0), or (batch, height, width)
  const float* bias;     // (channels)
  float* out;
  int64_t ratio_stride, row_stride, image_stride;
  int64_t batch, height, width, channels;
  int size;
};

namespace cpu {
// `threads` is given with every call: OpenMP's own setting differs between the threads of a process.
void window_ratio(const WindowArrays& arrays, int threads);
void renormalise(const RenormaliseArrays& arrays, int threads);
void first_layer(const FirstLayerArrays& arrays, int threads);
}  // namespace cpu

namespace cuda {
void window_ratio(const WindowArrays& arrays, void* stream);
void renormalise(const RenormaliseArrays& arrays, void* stream);
}  // namespace cuda

}  // namespace cdipipe::wpc
