// Inner loops, compiled once per instruction set (see cmake/simd.cmake). Include no standard header with inline
// functions here: the linker might keep the copy that older processors cannot run.
//
// Channels are worked on in pieces of 16, 8, 4 and 1, each a vector that stays in registers along a line in z.
#include "hexplane/hexplane_blocks.h"

#include "common/loops.h"
#include "hexplane/taps.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed to inlined functions only

namespace cdipipe::hexplane::CDIPIPE_SIMD_NAMESPACE {
namespace {

#define CDIPIPE_INLINE inline __attribute__((always_inline))

typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Sixteen __attribute__((vector_size(64)));

template <class Piece>
struct Kind {
  using type = Piece;
};

// Calls work(Kind<Piece>{}, first channel) for the pieces of all channels.
template <class Work>
CDIPIPE_INLINE void for_each_piece(int64_t channels, Work work) {
  int64_t k = 0;
  for (; k + 16 <= channels; k += 16) work(Kind<Sixteen>{}, k);
  if (k + 8 <= channels) work(Kind<Eight>{}, k), k += 8;
  if (k + 4 <= channels) work(Kind<Four>{}, k), k += 4;
  for (; k < channels; ++k) work(Kind<float>{}, k);
}

template <class Piece>
CDIPIPE_INLINE Piece load(const float* from) {
  Piece value;
  __builtin_memcpy(&value, from, sizeof(Piece));
  return value;
}

template <class Piece>
CDIPIPE_INLINE void store(float* to, Piece value) {
  __builtin_memcpy(to, &value, sizeof(Piece));
}

template <class Piece>
CDIPIPE_INLINE void add(float* to, Piece value) {
  store<Piece>(to, load<Piece>(to) + value);
}

CDIPIPE_INLINE void clear(float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = 0;
}

void sample_row(const float* plane, int64_t rows, int64_t columns, int64_t channels, float row, const float* column,
                int64_t count, float* out, int64_t stride) {
  const Tap r = locate(row, rows);
  const float *near_row = plane + r.near * columns * channels, *far_row = plane + r.far * columns * channels;
  for (int64_t i = 0; i < count; ++i) {
    const Tap c = locate(column[i], columns);
    const float nn = r.near_weight * c.near_weight, nf = r.near_weight * c.far_weight;
    const float fn = r.far_weight * c.near_weight, ff = r.far_weight * c.far_weight;
    const int64_t near = c.near * channels, far = c.far * channels;
    for_each_piece(channels, [&](auto kind, int64_t k) {
      using Piece = typename decltype(kind)::type;
      const Piece above = nn * load<Piece>(near_row + near + k) + nf * load<Piece>(near_row + far + k);
      const Piece below = fn * load<Piece>(far_row + near + k) + ff * load<Piece>(far_row + far + k);
      store<Piece>(out + i * stride + k, above + below);
    });
  }
}

CDIPIPE_INLINE void add_scaled(float* to, float weight, const float* from, int64_t channels) {
  for_each_piece(channels, [&](auto kind, int64_t k) {
    using Piece = typename decltype(kind)::type;
    add<Piece>(to + k, weight * load<Piece>(from + k));
  });
}

CDIPIPE_INLINE float weight_of_row(const Tap& tap, int64_t row) {
  return (tap.near == row ? tap.near_weight : 0) + (tap.far == row ? tap.far_weight : 0);
}

// Rows first, into lines of the block's columns, then columns: all rows of the band for one column, so that no sum
// waits for the one before.
void scatter_rows(float* plane, int64_t rows, int64_t columns, int64_t channels, int64_t begin, int64_t end,
                  const float* row, int64_t row_count, const float* column, int64_t column_count, const float* grad,
                  int64_t row_stride, int64_t column_stride, float* scratch) {
  const int64_t line = column_count * channels;
  clear(plane + begin * columns * channels, (end - begin) * columns * channels);
  clear(scratch, (end - begin) * line);
  for (int64_t i = 0; i < row_count; ++i) {
    const Tap r = locate(row[i], rows);
    for (int64_t target = r.near < begin ? begin : r.near; target <= r.far && target < end; ++target) {
      const float weight = weight_of_row(r, target);
      if (weight == 0) continue;
      float* to = scratch + (target - begin) * line;
      for (int64_t j = 0; j < column_count; ++j) {
        add_scaled(to + j * channels, weight, grad + i * row_stride + j * column_stride, channels);
      }
    }
  }
  for (int64_t j = 0; j < column_count; ++j) {
    const Tap c = locate(column[j], columns);
    for (int64_t target = begin; target < end; ++target) {
      const float* from = scratch + (target - begin) * line + j * channels;
      float* to = plane + target * columns * channels;
      add_scaled(to + c.near * channels, c.near_weight, from, channels);
      add_scaled(to + c.far * channels, c.far_weight, from, channels);
    }
  }
}

void scatter_points(float* plane, int64_t rows, int64_t columns, int64_t channels, int64_t begin, int64_t end,
                    const float* row, const float* column, int64_t point_stride, int64_t count, const float* grad,
                    int64_t grad_stride) {
  for (int64_t i = 0; i < count; ++i) {
    const Tap r = locate(row[i * point_stride], rows);
    if (r.far < begin || r.near >= end) continue;
    const Tap c = locate(column[i * point_stride], columns);
    const float* from = grad + i * grad_stride;
    for (int64_t target = r.near < begin ? begin : r.near; target <= r.far && target < end; ++target) {
      const float weight = weight_of_row(r, target);
      float* to = plane + target * columns * channels;
      add_scaled(to + c.near * channels, weight * c.near_weight, from, channels);
      add_scaled(to + c.far * channels, weight * c.far_weight, from, channels);
    }
  }
}

// One line along z for one piece of the channels: where its values begin. xz, yz and zt move with z.
struct Line {
  const float *xy, *xz, *yz, *xt, *yt, *zt;
  int64_t depth, channels;  // channels: floats from one z to the next
};

struct LineGrads {
  float *xy, *xz, *yz, *xt, *yt, *zt;
};

// The pointers of one line; `Pointer` is (const) float*, null where samples are not needed or there is no time.
template <class Result, class Pointer>
CDIPIPE_INLINE Result line_of(const Slab& slab, Pointer const* planes, int64_t y, int64_t k) {
  const int64_t channels = slab.channels;
  Result line{};
  if (planes[kXY] == nullptr) return line;
  line.xy = planes[kXY] + y * channels + k;
  line.xz = planes[kXZ] + k;
  line.yz = planes[kYZ] + y * slab.depth * channels + k;
  if (!slab.timed) return line;
  line.xt = planes[kXT] + k;
  line.yt = planes[kYT] + y * channels + k;
  line.zt = planes[kZT] + k;
  return line;
}

// The fusions. `forward` fills a line of `out`, whose voxels are `step` floats apart; `backward` adds to the gradients.

template <bool product, bool timed>
struct FuseAll {
  template <class Piece>
  static CDIPIPE_INLINE Piece combine(Piece a, Piece b) {
    if constexpr (product) return a * b;
    return a + b;
  }

  template <class Piece>
  static CDIPIPE_INLINE Piece along_z(const Line& line, int64_t z) {
    const Piece xz = load<Piece>(line.xz + z);
    if constexpr (timed) return combine(xz, load<Piece>(line.zt + z));
    return xz;
  }

  template <class Piece>
  static CDIPIPE_INLINE Piece base(const Line& line) {
    const Piece xy = load<Piece>(line.xy);
    if constexpr (timed) return combine(xy, combine(load<Piece>(line.xt), load<Piece>(line.yt)));
    return xy;
  }

  template <class Piece>
  static CDIPIPE_INLINE void forward(const Line& line, float* out, int64_t step) {
    const Piece first = base<Piece>(line);
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, out += step) {
      store<Piece>(out, combine(combine(along_z<Piece>(line, z), load<Piece>(line.yz + z)), first));
    }
  }

  template <class Piece>
  static CDIPIPE_INLINE void backward(const Line& line, const LineGrads& to, const float* grad, int64_t step) {
    const Piece first = product ? base<Piece>(line) : Piece{};
    Piece to_first{};
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, grad += step) {
      const Piece g = load<Piece>(grad);
      if constexpr (product) {
        const Piece yz = load<Piece>(line.yz + z), xz = load<Piece>(line.xz + z), via_yz = g * first * yz;
        to_first += g * along_z<Piece>(line, z) * yz;
        add<Piece>(to.yz + z, g * first * along_z<Piece>(line, z));
        add<Piece>(to.xz + z, timed ? via_yz * load<Piece>((timed ? line.zt : line.xz) + z) : via_yz);
        if constexpr (timed) add<Piece>(to.zt + z, via_yz * xz);
      } else {
        to_first += g;
        add<Piece>(to.yz + z, g);
        add<Piece>(to.xz + z, g);
        if constexpr (timed) add<Piece>(to.zt + z, g);
      }
    }
    share<Piece>(line, to, to_first);
  }

  // Hands the gradient of `base` on to its factors or terms.
  template <class Piece>
  static CDIPIPE_INLINE void share(const Line& line, const LineGrads& to, Piece g) {
    if constexpr (!timed) {
      add<Piece>(to.xy, g);
    } else if constexpr (product) {
      const Piece xy = load<Piece>(line.xy), xt = load<Piece>(line.xt), yt = load<Piece>(line.yt);
      add<Piece>(to.xy, g * xt * yt);
      add<Piece>(to.xt, g * xy * yt);
      add<Piece>(to.yt, g * xy * xt);
    } else {
      add<Piece>(to.xy, g);
      add<Piece>(to.xt, g);
      add<Piece>(to.yt, g);
    }
  }
};

template <bool timed>
struct Concatenate {
  template <class Piece>
  static CDIPIPE_INLINE void forward(const Line& line, float* out, int64_t step) {
    const int64_t next = line.channels;
    const Piece xy = load<Piece>(line.xy);
    Piece xt{}, yt{};
    if constexpr (timed) xt = load<Piece>(line.xt), yt = load<Piece>(line.yt);
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, out += step) {
      store<Piece>(out, xy);
      store<Piece>(out + next, load<Piece>(line.xz + z));
      store<Piece>(out + 2 * next, load<Piece>(line.yz + z));
      if constexpr (timed) {
        store<Piece>(out + 3 * next, xt);
        store<Piece>(out + 4 * next, yt);
        store<Piece>(out + 5 * next, load<Piece>(line.zt + z));
      }
    }
  }

  template <class Piece>
  static CDIPIPE_INLINE void backward(const Line& line, const LineGrads& to, const float* grad, int64_t step) {
    const int64_t next = line.channels;
    Piece to_xy{}, to_xt{}, to_yt{};
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, grad += step) {
      to_xy += load<Piece>(grad);
      add<Piece>(to.xz + z, load<Piece>(grad + next));
      add<Piece>(to.yz + z, load<Piece>(grad + 2 * next));
      if constexpr (timed) {
        to_xt += load<Piece>(grad + 3 * next);
        to_yt += load<Piece>(grad + 4 * next);
        add<Piece>(to.zt + z, load<Piece>(grad + 5 * next));
      }
    }
    add<Piece>(to.xy, to_xy);
    if constexpr (timed) add<Piece>(to.xt, to_xt), add<Piece>(to.yt, to_yt);
  }
};

// xy zt | xz yt | yz xt, side by side or summed.
template <bool summed>
struct Pair {
  template <class Piece>
  static CDIPIPE_INLINE void forward(const Line& line, float* out, int64_t step) {
    const Piece xy = load<Piece>(line.xy), xt = load<Piece>(line.xt), yt = load<Piece>(line.yt);
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, out += step) {
      const Piece first = xy * load<Piece>(line.zt + z), second = yt * load<Piece>(line.xz + z);
      const Piece third = xt * load<Piece>(line.yz + z);
      if constexpr (summed) {
        store<Piece>(out, first + second + third);
      } else {
        store<Piece>(out, first);
        store<Piece>(out + line.channels, second);
        store<Piece>(out + 2 * line.channels, third);
      }
    }
  }

  template <class Piece>
  static CDIPIPE_INLINE void backward(const Line& line, const LineGrads& to, const float* grad, int64_t step) {
    const int64_t next = summed ? 0 : line.channels;
    const Piece xy = load<Piece>(line.xy), xt = load<Piece>(line.xt), yt = load<Piece>(line.yt);
    Piece to_xy{}, to_xt{}, to_yt{};
    for (int64_t z = 0; z < line.depth * line.channels; z += line.channels, grad += step) {
      const Piece first = load<Piece>(grad), second = load<Piece>(grad + next), third = load<Piece>(grad + 2 * next);
      to_xy += first * load<Piece>(line.zt + z);
      to_yt += second * load<Piece>(line.xz + z);
      to_xt += third * load<Piece>(line.yz + z);
      add<Piece>(to.zt + z, first * xy);
      add<Piece>(to.xz + z, second * yt);
      add<Piece>(to.yz + z, third * xt);
    }
    add<Piece>(to.xy, to_xy);
    add<Piece>(to.xt, to_xt);
    add<Piece>(to.yt, to_yt);
  }
};

template <class Fuse>
void fuse_as(const Slab& slab, int64_t step, float* out) {
  for (int64_t y = 0; y < slab.height; ++y, out += slab.depth * step) {
    for_each_piece(slab.channels, [&](auto kind, int64_t k) {
      Line line = line_of<Line>(slab, slab.samples, y, k);
      line.depth = slab.depth, line.channels = slab.channels;
      Fuse::template forward<typename decltype(kind)::type>(line, out + k, step);
    });
  }
}

template <class Fuse>
void fuse_backward_as(const Slab& slab, int64_t step, const float* grad, const SlabGrads& grads) {
  for (int64_t y = 0; y < slab.height; ++y, grad += slab.depth * step) {
    for_each_piece(slab.channels, [&](auto kind, int64_t k) {
      Line line = line_of<Line>(slab, slab.samples, y, k);
      line.depth = slab.depth, line.channels = slab.channels;
      const LineGrads to = line_of<LineGrads>(slab, grads.samples, y, k);
      Fuse::template backward<typename decltype(kind)::type>(line, to, grad + k, step);
    });
  }
}

// Calls work(Kind<fusion>{}, floats per voxel).
template <class Work>
void with_fusion(const Slab& slab, Work work) {
  const int64_t channels = slab.channels;
  switch (slab.fusion) {
    case Fusion::product:
      return slab.timed ? work(Kind<FuseAll<true, true>>{}, channels) : work(Kind<FuseAll<true, false>>{}, channels);
    case Fusion::sum:
      return slab.timed ? work(Kind<FuseAll<false, true>>{}, channels) : work(Kind<FuseAll<false, false>>{}, channels);
    case Fusion::concatenation:
      return slab.timed ? work(Kind<Concatenate<true>>{}, 6 * channels)
                        : work(Kind<Concatenate<false>>{}, 3 * channels);
    case Fusion::pairs:
      return work(Kind<Pair<false>>{}, 3 * channels);
    case Fusion::pair_sum:
      return work(Kind<Pair<true>>{}, channels);
  }
}

void fuse(const Slab& slab, float* out) {
  with_fusion(slab, [&](auto kind, int64_t step) { fuse_as<typename decltype(kind)::type>(slab, step, out); });
}

void fuse_backward(const Slab& slab, const float* grad_out, const SlabGrads& grads) {
  with_fusion(slab, [&](auto kind, int64_t step) {
    fuse_backward_as<typename decltype(kind)::type>(slab, step, grad_out, grads);
  });
}

}  // namespace

const BlockKernels kernels = {sample_row, scatter_rows, scatter_points, fuse, fuse_backward};

}  // namespace cdipipe::hexplane::CDIPIPE_SIMD_NAMESPACE
