// The mathematics of PrRoIPool that the CPU and the CUDA kernels share.
//
// The pooled value of bin (r, q) is sum_ij wy(r, i) wx(q, j) F(i, j), where w(bin, cell) is the integral of the cell's
// triangle kernel over the bin, divided by the bin's length. A bin touches only the cells less than one cell away.
//
// Everything here is `static`: each file gets its own copy, since they are compiled for different processors.
#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define PRROI_FUNCTION static __host__ __device__ __forceinline__
#else
#define PRROI_FUNCTION static inline
#endif

namespace prroi {

// One side of a RoI, in cells of the map.
template <typename R>
struct Side {
  R low, high;
};

template <typename R>
struct Roi {
  Side<R> x, y;
  bool usable;    // not empty, reversed or infinite
  int64_t image;  // in the batch
};

PRROI_FUNCTION float largest(float) { return FLT_MAX; }
PRROI_FUNCTION double largest(double) { return DBL_MAX; }

// From corners (x1, y1, x2, y2). What is usable is decided in the precision of the boxes, `B`, as in the torch form.
template <typename R, typename B>
PRROI_FUNCTION Roi<R> make_roi(const B* box, double scale, int64_t image) {
  const B factor = B(scale), empty = B(1e-12);
  const B x1 = box[0] * factor, y1 = box[1] * factor, x2 = box[2] * factor, y2 = box[3] * factor;
  const B width = x2 - x1, height = y2 - y1;
  // false for NaN, too
  const bool usable = width > empty && width <= largest(B()) && height > empty && height <= largest(B());
  return {{R(x1), R(x2)}, {R(y1), R(y2)}, usable, image};
}

// One bin of a side: its edges and the cells [first, end) that it touches.
template <typename R>
struct Bin {
  R low, high;    // edges
  R from, to;     // the same as fractions of the side
  R span;         // length of the side
  R per_length;   // 1 / length of the bin
  int64_t first, end;
};

template <typename R>
PRROI_FUNCTION R clamp(R value, R low, R high) {
  return value < low ? low : (value > high ? high : value);
}

template <typename R>
PRROI_FUNCTION Bin<R> make_bin(Side<R> side, int64_t bin, int64_t bins, int64_t cells) {
  Bin<R> b;
  b.span = side.high - side.low;
  b.from = R(bin) / R(bins);
  b.to = R(bin + 1) / R(bins);
  b.low = side.low + b.span * b.from;
  b.high = side.low + b.span * b.to;
  b.per_length = R(bins) / b.span;
  b.first = int64_t(floor(clamp(b.low, R(0), R(cells))));
  b.end = int64_t(ceil(clamp(b.high, R(-1), R(cells - 1)))) + 1;  // 0 for a bin left of the map
  return b;
}

// Integral of the triangle 1 - |t| from 0 to t.
template <typename R>
PRROI_FUNCTION R integral(R t) {
  t = clamp(t, R(-1), R(1));
  return t * (1 - R(0.5) * fabs(t));
}

template <typename R>
PRROI_FUNCTION R triangle(R t) {
  t = fabs(t);
  return t < 1 ? 1 - t : R(0);
}

template <typename R>
PRROI_FUNCTION R weight(const Bin<R>& b, int64_t cell) {
  return (integral(b.high - R(cell)) - integral(b.low - R(cell))) * b.per_length;
}

// Derivatives of the weight in the low and in the high end of the side.
template <typename R>
struct Slope {
  R low, high;
};

template <typename R>
PRROI_FUNCTION Slope<R> slope(const Bin<R>& b, int64_t cell, R weight) {
  const R at_high = triangle(b.high - R(cell)) * b.per_length, at_low = triangle(b.low - R(cell)) * b.per_length;
  const R shorter = weight / b.span;
  return {at_high * (1 - b.to) - at_low * (1 - b.from) + shorter, at_high * b.to - at_low * b.from - shorter};
}

}  // namespace prroi
