// The object sets, one struct each: what a pixel inside the support must satisfy. Shared by the CPU and CUDA kernels.
//
//   accept      the values the rule sees (real_nonneg looks at real parts only)
//   contains    is t in the set?
//   project     nearest point of the set, for a t that is not in it
//   derivative  the derivative of `project` at t, applied to d (a symmetric real 2x2 matrix, so also its adjoint)
#pragma once

#include "projection/projection.h"

#ifdef __CUDACC__
#define CDIPIPE_PIXEL __host__ __device__ __forceinline__
#else
#define CDIPIPE_PIXEL inline __attribute__((always_inline))
#endif

namespace cdipipe::projection {
namespace {  // internal linkage: each instruction set has its own copy

struct Pair {
  float re, im;
};

CDIPIPE_PIXEL Pair select(bool condition, Pair yes, Pair no) {
  return {condition ? yes.re : no.re, condition ? yes.im : no.im};
}

CDIPIPE_PIXEL float positive(float x) {
  return x > 0 ? x : 0;
}

struct Support {
  CDIPIPE_PIXEL explicit Support(const ObjectRule&) {}
  CDIPIPE_PIXEL Pair accept(Pair x) const { return x; }
  CDIPIPE_PIXEL bool contains(Pair) const { return true; }
  CDIPIPE_PIXEL Pair project(Pair t) const { return t; }
  CDIPIPE_PIXEL Pair derivative(Pair, Pair d) const { return d; }
};

struct RealNonneg {
  CDIPIPE_PIXEL explicit RealNonneg(const ObjectRule&) {}
  CDIPIPE_PIXEL Pair accept(Pair x) const { return {x.re, 0}; }
  CDIPIPE_PIXEL bool contains(Pair t) const { return t.re >= 0; }
  CDIPIPE_PIXEL Pair project(Pair) const { return {0, 0}; }
  CDIPIPE_PIXEL Pair derivative(Pair, Pair) const { return {0, 0}; }
};

struct ReNonneg {
  CDIPIPE_PIXEL explicit ReNonneg(const ObjectRule&) {}
  CDIPIPE_PIXEL Pair accept(Pair x) const { return x; }
  CDIPIPE_PIXEL bool contains(Pair t) const { return t.re >= 0; }
  CDIPIPE_PIXEL Pair project(Pair t) const { return {0, t.im}; }
  CDIPIPE_PIXEL Pair derivative(Pair, Pair d) const { return {0, d.im}; }
};

struct Quadrant {
  CDIPIPE_PIXEL explicit Quadrant(const ObjectRule&) {}
  CDIPIPE_PIXEL Pair accept(Pair x) const { return x; }
  CDIPIPE_PIXEL bool contains(Pair t) const { return (t.re >= 0) & (t.im >= 0); }
  CDIPIPE_PIXEL Pair project(Pair t) const { return {positive(t.re), positive(t.im)}; }
  CDIPIPE_PIXEL Pair derivative(Pair t, Pair d) const { return {t.re >= 0 ? d.re : 0, t.im >= 0 ? d.im : 0}; }
};

// A sector between two edge rays. Which side of an edge a point lies on is the sign of a cross product; no angle is
// ever computed. The nearer edge is the one of larger dot product; behind both edges the nearest point is the origin.
struct PhaseRange {
  float min_re, min_im, max_re, max_im;
  float sign;  // 1: wider than pi, after the first edge or before the last; -1: after the first and before the last

  CDIPIPE_PIXEL explicit PhaseRange(const ObjectRule& rule)
      : min_re(rule.edge_min_re),
        min_im(rule.edge_min_im),
        max_re(rule.edge_max_re),
        max_im(rule.edge_max_im),
        sign(rule.wide ? 1.0f : -1.0f) {}

  CDIPIPE_PIXEL Pair accept(Pair x) const { return x; }
  CDIPIPE_PIXEL bool contains(Pair t) const {
    const float after_min = sign * (min_re * t.im - min_im * t.re);
    const float before_max = sign * (t.re * max_im - t.im * max_re);
    return sign * (after_min > before_max ? after_min : before_max) >= 0;
  }
  CDIPIPE_PIXEL Pair nearest_edge(Pair t) const {
    const float along_min = min_re * t.re + min_im * t.im;
    const float along_max = max_re * t.re + max_im * t.im;
    const Pair edge = select(along_min >= along_max, {min_re, min_im}, {max_re, max_im});
    return select((along_min > 0) | (along_max > 0), edge, {0, 0});
  }
  CDIPIPE_PIXEL Pair onto(Pair edge, Pair x) const {
    const float along = edge.re * x.re + edge.im * x.im;
    return {along * edge.re, along * edge.im};
  }
  CDIPIPE_PIXEL Pair project(Pair t) const { return onto(nearest_edge(t), t); }
  CDIPIPE_PIXEL Pair derivative(Pair t, Pair d) const { return onto(nearest_edge(t), d); }
};

template <class Set, bool uses_exit_wave>
CDIPIPE_PIXEL Pair update_pixel(const Set& set, const ObjectRule& rule, Pair u, Pair p, bool inside) {
  u = set.accept(u);
  p = set.accept(p);
  const Pair t = uses_exit_wave ? Pair{p.re + rule.g * (p.re - u.re), p.im + rule.g * (p.im - u.im)} : p;
  const Pair nearest = select(inside, set.project(t), {0, 0});
  Pair other = {rule.b * p.re + rule.c * nearest.re, rule.b * p.im + rule.c * nearest.im};
  if (uses_exit_wave) other = {other.re + rule.a * u.re, other.im + rule.a * u.im};
  return select(inside & set.contains(t), p, other);
}

template <class Set>
CDIPIPE_PIXEL Pair residual_pixel(const Set& set, Pair v, bool inside) {
  const Pair seen = set.accept(v);
  const Pair nearest = select(set.contains(seen), seen, set.project(seen));
  return {v.re - (inside ? nearest.re : 0), v.im - (inside ? nearest.im : 0)};
}

struct ObjectGradients {
  Pair exit_wave, projected;
};

template <class Set>
CDIPIPE_PIXEL ObjectGradients update_pixel_backward(const Set& set, const ObjectRule& rule, Pair u, Pair p, bool inside,
                                                    Pair grad) {
  u = set.accept(u);
  p = set.accept(p);
  grad = set.accept(grad);
  const Pair t = {p.re + rule.g * (p.re - u.re), p.im + rule.g * (p.im - u.im)};
  const bool keep = inside & set.contains(t);
  const Pair d = select(inside, set.derivative(t, grad), {0, 0});
  const float via_u = -rule.c * rule.g, via_p = rule.c * (1 + rule.g);
  const Pair to_u = {rule.a * grad.re + via_u * d.re, rule.a * grad.im + via_u * d.im};
  const Pair to_p = {rule.b * grad.re + via_p * d.re, rule.b * grad.im + via_p * d.im};
  return {select(keep, {0, 0}, to_u), select(keep, grad, to_p)};
}

}  // namespace
}  // namespace cdipipe::projection
