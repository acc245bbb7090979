// Threads, scratch memory and the choice of the instruction set; the arithmetic is in hexplane_blocks.cpp.
//
// A block is worked on in runs of x. What a run alone writes (gradients of planes with an x axis) goes to its place;
// what all runs write (yz, yt, zt) is kept per run and added in order, so that no bit depends on the thread count.
#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "common/simd.h"
#include "hexplane/hexplane_blocks.h"

namespace cdipipe::hexplane::cpu {
namespace {

constexpr int64_t kRunRows = 8, kMaxRuns = 32;  // x rows of a run; runs of one batch item
constexpr int64_t kBandRows = 4;                // plane rows that a scatter task owns
constexpr int64_t kReduceFloats = 4096;
constexpr int64_t kTaskPoints = 256, kChunkPoints = 16384;

const BlockKernels& active_kernels() {
  return CDIPIPE_ACTIVE_KERNELS;
}

int64_t divide_up(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

struct AlignedDelete {
  void operator()(float* floats) const { ::operator delete[](floats, std::align_val_t{64}); }
};
using Floats = std::unique_ptr<float[], AlignedDelete>;

// Not set to zero. A vector of 16 floats that crosses a cache line costs twice.
Floats allocate(int64_t count) {
  return Floats(static_cast<float*>(::operator new[](count * sizeof(float), std::align_val_t{64})));
}

// Calls work(index, scratch) for every index, in parallel; each thread has its own scratch floats.
template <class Work>
void for_each(int64_t total, [[maybe_unused]] int threads, int64_t scratch_floats, Work work) {
#pragma omp parallel num_threads(threads) if (total > 1)
  {
    const Floats scratch = allocate(scratch_floats);
#pragma omp for schedule(dynamic)
    for (int64_t index = 0; index < total; ++index) work(index, scratch.get());
  }
}

// Everything that stays the same during one call on a block.
struct BlockPlan {
  const Planes& planes;
  const BlockAxes& axes;
  int64_t channels, slab_floats;              // slab_floats: one (x, t) of the output
  int64_t sample_begin[kMaxPlanes], samples;  // where a plane's samples begin within a batch item, floats in all

  BlockPlan(const Planes& all_planes, const BlockAxes& all_axes)
      : planes(all_planes), axes(all_axes), channels(all_planes.channels), samples(0) {
    slab_floats = axes.sizes[kY] * axes.sizes[kZ] * fused_channels(planes);
    for (int plane = 0; plane < planes.count; ++plane) {
      sample_begin[plane] = samples;
      samples += sample_count(axes, plane) * channels;
    }
  }

  bool timed() const { return planes.count == kMaxPlanes; }
  int64_t size(Axis axis) const { return axes.sizes[axis]; }
  int64_t plane_floats(int plane) const { return planes.rows[plane] * planes.columns[plane] * channels; }
  int64_t longest_rows() const { return std::max({size(kX), size(kY), size(kZ)}); }
  bool linear() const { return planes.fusion == Fusion::sum || planes.fusion == Fusion::concatenation; }

  // Address of a plane's samples for one x and one t; planes without x or t do not move with it.
  template <class T>
  T* slab_samples(T* item, int plane, int64_t x, int64_t t) const {
    const bool has_x = kRowAxis[plane] == kX, has_t = plane >= kXT;
    const int64_t row = has_x ? x : 0, column = has_t ? t : 0;
    return item + sample_begin[plane] + sample_offset(axes, plane, row, column) * channels;
  }

  Slab slab(const float* item_samples, int64_t x, int64_t t) const {
    Slab slab{planes.fusion, timed(), size(kY), size(kZ), channels, {}};
    for (int plane = 0; plane < planes.count; ++plane) {
      slab.samples[plane] = item_samples ? slab_samples(item_samples, plane, x, t) : nullptr;
    }
    return slab;
  }

  int64_t slab_index(int64_t item, int64_t x, int64_t t) const { return (item * size(kT) + t) * size(kX) + x; }
};

Floats sample_planes(const BlockPlan& plan, int threads) {
  const BlockKernels& kernels = active_kernels();
  const Planes& planes = plan.planes;
  Floats samples = allocate(planes.batch * plan.samples);
  const int64_t rows = plan.longest_rows();
  for_each(divide_up(planes.batch * rows, kRunRows), threads, 0, [&](int64_t task, float*) {
    const int64_t end = std::min((task + 1) * kRunRows, planes.batch * rows);
    for (int64_t index = task * kRunRows; index < end; ++index) {
      const int64_t item = index / rows, row = index % rows;
      for (int plane = 0; plane < planes.count; ++plane) {
        const Axis along_rows = kRowAxis[plane], along_columns = kColumnAxis[plane];
        if (row >= plan.size(along_rows)) continue;
        float* begin = samples.get() + item * plan.samples + plan.sample_begin[plane];
        const int64_t first = sample_offset(plan.axes, plane, row, 0);
        const int64_t stride = sample_offset(plan.axes, plane, row, 1) - first;
        kernels.sample_row(planes.values[plane] + item * plan.plane_floats(plane), planes.rows[plane],
                           planes.columns[plane], plan.channels, plan.axes.coordinates[along_rows][row],
                           plan.axes.coordinates[along_columns], plan.size(along_columns),
                           begin + first * plan.channels, stride * plan.channels);
      }
    }
  });
  return samples;
}

// Gradients of a block's samples. `shared` has one copy of yz, yt and zt per run.
struct SampleGrads {
  const BlockPlan& plan;
  int64_t runs, run_rows, shared_begin[kMaxPlanes], shared;
  Floats own, copies;

  explicit SampleGrads(const BlockPlan& block) : plan(block), shared(0) {
    run_rows = std::max(kRunRows, divide_up(plan.size(kX), kMaxRuns));
    runs = divide_up(plan.size(kX), run_rows);
    for (int plane = 0; plane < plan.planes.count; ++plane) {
      if (kRowAxis[plane] == kX) continue;
      shared_begin[plane] = shared;
      shared += sample_count(plan.axes, plane) * plan.channels;
    }
    own = allocate(plan.planes.batch * plan.samples);
    copies = allocate(plan.planes.batch * runs * shared);
  }

  float* copy(int64_t item, int64_t run) const { return copies.get() + (item * runs + run) * shared; }

  SlabGrads slab(int64_t item, int64_t run, int64_t x, int64_t t) const {
    SlabGrads grads{};
    for (int plane = 0; plane < plan.planes.count; ++plane) {
      const int64_t begin = kRowAxis[plane] == kX ? 0 : shared_begin[plane] - plan.sample_begin[plane];
      float* base = kRowAxis[plane] == kX ? own.get() + item * plan.samples : copy(item, run) + begin;
      grads.samples[plane] = plan.slab_samples(base, plane, x, t);
    }
    return grads;
  }

  void clear_run(int64_t item, int64_t run) const {
    std::fill_n(copy(item, run), shared, 0.0f);
    const int64_t begin = run * run_rows, rows = std::min(run_rows, plan.size(kX) - begin);
    for (const int plane : {kXY, kXZ}) {
      float* first = plan.slab_samples(own.get() + item * plan.samples, plane, begin, 0);
      std::fill_n(first, rows * plan.size(kColumnAxis[plane]) * plan.channels, 0.0f);
    }
    if (!plan.timed()) return;
    for (int64_t t = 0; t < plan.size(kT); ++t) {
      std::fill_n(plan.slab_samples(own.get() + item * plan.samples, kXT, begin, t), rows * plan.channels, 0.0f);
    }
  }

  // Adds the copies of all runs up in the first one.
  void add_copies(int threads) const {
    const int64_t pieces = divide_up(shared, kReduceFloats);
    for_each(plan.planes.batch * pieces, threads, 0, [&](int64_t task, float*) {
      const int64_t item = task / pieces, begin = (task % pieces) * kReduceFloats;
      const int64_t count = std::min(kReduceFloats, shared - begin);
      float* to = copy(item, 0) + begin;
      for (int64_t run = 1; run < runs; ++run) {
        const float* from = copy(item, run) + begin;
        for (int64_t i = 0; i < count; ++i) to[i] += from[i];
      }
    });
  }

  const float* of_plane(int64_t item, int plane) const {
    return kRowAxis[plane] == kX ? own.get() + item * plan.samples + plan.sample_begin[plane]
                                 : copy(item, 0) + shared_begin[plane];
  }
};

// Calls work(item, plane, begin, end, scratch) for bands of rows of all planes, in parallel.
template <class Work>
void for_each_band(const Planes& planes, int threads, int64_t scratch_floats, Work work) {
  const int64_t rows = *std::max_element(planes.rows, planes.rows + planes.count);
  const int64_t bands = divide_up(rows, kBandRows);
  for_each(planes.batch * bands * planes.count, threads, scratch_floats, [&](int64_t task, float* mine) {
    const int plane = static_cast<int>(task % planes.count);
    const int64_t item = task / planes.count / bands, begin = (task / planes.count % bands) * kBandRows;
    const int64_t end = std::min(begin + kBandRows, planes.rows[plane]);
    if (begin < end) work(item, plane, begin, end, mine);
  });
}

void scatter_block(const BlockPlan& plan, const SampleGrads& sample_grads, const PlaneGrads& grads, int threads) {
  const BlockKernels& kernels = active_kernels();
  const int64_t longest = std::max({plan.size(kY), plan.size(kZ), plan.size(kT)});
  const int64_t scratch = kBandRows * longest * plan.channels;
  for_each_band(plan.planes, threads, scratch, [&](int64_t item, int plane, int64_t begin, int64_t end, float* mine) {
    const int64_t row_stride = sample_offset(plan.axes, plane, 1, 0) * plan.channels;
    const int64_t column_stride = sample_offset(plan.axes, plane, 0, 1) * plan.channels;
    const Axis rows = kRowAxis[plane], columns = kColumnAxis[plane];
    kernels.scatter_rows(grads.values[plane] + item * plan.plane_floats(plane), plan.planes.rows[plane],
                         plan.planes.columns[plane], plan.channels, begin, end, plan.axes.coordinates[rows],
                         plan.size(rows), plan.axes.coordinates[columns], plan.size(columns),
                         sample_grads.of_plane(item, plane), row_stride, column_stride, mine);
  });
}

// A point is a slab of height and depth 1 whose samples stand one after the other.
Slab point_slab(const Planes& planes, const float* samples) {
  Slab slab{planes.fusion, planes.count == kMaxPlanes, 1, 1, planes.channels, {}};
  for (int plane = 0; plane < planes.count; ++plane) slab.samples[plane] = samples + plane * planes.channels;
  return slab;
}

struct PointTasks {
  const Planes& planes;
  const Points& points;
  int axes = planes.count == kMaxPlanes ? 4 : 3;

  const float* coordinate(int64_t point, Axis axis) const { return points.coordinates + point * axes + axis; }

  void sample(int64_t item, int64_t point, float* samples) const {
    const BlockKernels& kernels = active_kernels();
    for (int plane = 0; plane < planes.count; ++plane) {
      const int64_t plane_floats = planes.rows[plane] * planes.columns[plane] * planes.channels;
      kernels.sample_row(planes.values[plane] + item * plane_floats, planes.rows[plane], planes.columns[plane],
                         planes.channels, *coordinate(point, kRowAxis[plane]), coordinate(point, kColumnAxis[plane]), 1,
                         samples + plane * planes.channels, 0);
    }
  }
};

}  // namespace

void sample_block(const Planes& planes, const BlockAxes& axes, float* out, int threads) {
  const BlockPlan plan(planes, axes);
  const auto samples = sample_planes(plan, threads);
  const int64_t runs = divide_up(plan.size(kX), kRunRows);
  for_each(planes.batch * plan.size(kT) * runs, threads, 0, [&](int64_t task, float*) {
    const int64_t item = task / runs / plan.size(kT), t = task / runs % plan.size(kT), begin = task % runs * kRunRows;
    for (int64_t x = begin; x < std::min(begin + kRunRows, plan.size(kX)); ++x) {
      const Slab slab = plan.slab(samples.get() + item * plan.samples, x, t);
      active_kernels().fuse(slab, out + plan.slab_index(item, x, t) * plan.slab_floats);
    }
  });
}

void sample_block_backward(const Planes& planes, const BlockAxes& axes, const float* grad_out, const PlaneGrads& grads,
                           int threads) {
  const BlockPlan plan(planes, axes);
  const auto samples = plan.linear() ? nullptr : sample_planes(plan, threads);
  const SampleGrads sample_grads(plan);
  for_each(planes.batch * sample_grads.runs, threads, 0, [&](int64_t task, float*) {
    const int64_t item = task / sample_grads.runs, run = task % sample_grads.runs;
    sample_grads.clear_run(item, run);
    const int64_t begin = run * sample_grads.run_rows, end = std::min(begin + sample_grads.run_rows, plan.size(kX));
    for (int64_t t = 0; t < plan.size(kT); ++t) {
      for (int64_t x = begin; x < end; ++x) {
        const float* item_samples = samples ? samples.get() + item * plan.samples : nullptr;
        const Slab slab = plan.slab(item_samples, x, t);
        const float* grad = grad_out + plan.slab_index(item, x, t) * plan.slab_floats;
        active_kernels().fuse_backward(slab, grad, sample_grads.slab(item, run, x, t));
      }
    }
  });
  sample_grads.add_copies(threads);
  scatter_block(plan, sample_grads, grads, threads);
}

void sample_points(const Planes& planes, const Points& points, float* out, int threads) {
  const PointTasks tasks{planes, points};
  const int64_t fused = fused_channels(planes), total = planes.batch * points.count;
  for_each(divide_up(total, kTaskPoints), threads, planes.count * planes.channels, [&](int64_t task, float* mine) {
    const Slab slab = point_slab(planes, mine);
    for (int64_t i = task * kTaskPoints; i < std::min((task + 1) * kTaskPoints, total); ++i) {
      tasks.sample(i / points.count, i % points.count, mine);
      active_kernels().fuse(slab, out + i * fused);
    }
  });
}

// In chunks: gradients of the points' samples first, then bands of plane rows collect theirs in the points' order.
void sample_points_backward(const Planes& planes, const Points& points, const float* grad_out, const PlaneGrads& grads,
                            int threads) {
  const PointTasks tasks{planes, points};
  const int64_t fused = fused_channels(planes), point_floats = planes.count * planes.channels;
  const auto plane_floats = [&](int plane) { return planes.rows[plane] * planes.columns[plane] * planes.channels; };
  for (int plane = 0; plane < planes.count; ++plane) {
    std::fill_n(grads.values[plane], planes.batch * plane_floats(plane), 0.0f);
  }
  std::vector<float> sample_grads(planes.batch * std::min(kChunkPoints, points.count) * point_floats);
  for (int64_t first = 0; first < points.count; first += kChunkPoints) {
    const int64_t count = std::min(kChunkPoints, points.count - first), total = planes.batch * count;
    for_each(divide_up(total, kTaskPoints), threads, planes.count * planes.channels, [&](int64_t task, float* mine) {
      const Slab slab = point_slab(planes, mine);
      for (int64_t i = task * kTaskPoints; i < std::min((task + 1) * kTaskPoints, total); ++i) {
        const int64_t item = i / count, point = first + i % count;
        float* to = sample_grads.data() + i * point_floats;
        std::fill_n(to, point_floats, 0.0f);
        SlabGrads slab_grads{};
        for (int plane = 0; plane < planes.count; ++plane) slab_grads.samples[plane] = to + plane * planes.channels;
        tasks.sample(item, point, mine);
        active_kernels().fuse_backward(slab, grad_out + (item * points.count + point) * fused, slab_grads);
      }
    });
    for_each_band(planes, threads, 0, [&](int64_t item, int plane, int64_t begin, int64_t end, float*) {
      active_kernels().scatter_points(
          grads.values[plane] + item * plane_floats(plane), planes.rows[plane], planes.columns[plane], planes.channels,
          begin, end, tasks.coordinate(first, kRowAxis[plane]), tasks.coordinate(first, kColumnAxis[plane]), tasks.axes,
          count, sample_grads.data() + item * count * point_floats + plane * planes.channels, point_floats);
    });
  }
}

}  // namespace cdipipe::hexplane::cpu
