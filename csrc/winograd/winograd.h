// 3 x 3 convolution with reflected borders by Winograd's minimal filtering F(4 x 4, 3 x 3), on the CPU: the two
// transforms. Between them stand 36 matrix products, which the caller leaves to a BLAS.
//
// An output tile of 4 x 4 pixels comes from 6 x 6 input pixels and 36 products instead of 144. Images are
// (batch, height, width, channels), one pixel's channels next to each other and pixels `pixel_stride` floats apart;
// height and width are multiples of 4, channels of 16. Tiles are numbered row by row, image by image.
#pragma once

#include <cstdint>

namespace cdipipe::winograd {

constexpr int kTile = 4, kPatch = 6, kProducts = kPatch * kPatch;

struct InputArrays {
  const float* image;
  float* products;  // (36, tiles, channels)
  int64_t pixel_stride;
  int64_t batch, height, width, channels;
};

// image = relu(A^T products A + bias + add) + residual; what is null is left out.
struct OutputArrays {
  const float* products;  // (36, tiles, channels)
  const float* bias;      // (channels)
  const float* add;       // (batch, height, width, channels), dense
  const float* residual;  // like `image`, with its pixel stride
  float* image;
  int64_t pixel_stride;
  int64_t batch, height, width, channels;
};

namespace cpu {
void transform_input(const InputArrays& arrays, int threads);
void transform_output(const OutputArrays& arrays, int threads);
}  // namespace cpu

}  // namespace cdipipe::winograd
