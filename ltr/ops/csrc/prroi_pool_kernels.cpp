// The loops of the CPU kernels: vectors run over channels, which lie side by side in memory.
//
// This file is compiled several times with different instruction sets (EBM_ISA names the namespace). So that no
// function of one set can take the place of another's when they are linked, it uses nothing of the standard library
// that is not inlined, and all that it defines is local but the two tables at the end.
#include "prroi_pool_kernels.h"

#include <string.h>

#if defined(__AVX512F__)
#define PRROI_VECTOR_BYTES 64
#define PRROI_UNROLL 8  // vectors of channels at a time: what the registers hold
#elif defined(__AVX__)
#define PRROI_VECTOR_BYTES 32
#define PRROI_UNROLL 4
#else
#define PRROI_VECTOR_BYTES 16
#define PRROI_UNROLL 4
#endif

namespace prroi::EBM_ISA {
namespace {

template <typename T, int bytes>
struct Vector {
  typedef T type __attribute__((vector_size(bytes)));
};

template <typename V, typename T>
inline V load(const T* from) {
  V v;
  memcpy(&v, from, sizeof(V));
  return v;
}

template <typename V, typename T>
inline void store(T* to, V v) {
  memcpy(to, &v, sizeof(V));
}

// Calls body<V, N>(c) for blocks of N vectors V of channels that cover all channels.
template <typename T, typename Body>
inline void for_channels(int64_t channels, const Body& body) {
  using Wide = typename Vector<T, PRROI_VECTOR_BYTES>::type;
  using Narrow = typename Vector<T, 16>::type;
  constexpr int64_t wide = sizeof(Wide) / sizeof(T), narrow = sizeof(Narrow) / sizeof(T);
  int64_t c = 0;
  for (; c + PRROI_UNROLL * wide <= channels; c += PRROI_UNROLL * wide) body.template operator()<Wide, PRROI_UNROLL>(c);
  for (; c + wide <= channels; c += wide) body.template operator()<Wide, 1>(c);
  for (; c + narrow <= channels; c += narrow) body.template operator()<Narrow, 1>(c);
  for (; c < channels; ++c) body.template operator()<T, 1>(c);
}

// What is left of the scratch memory.
struct Scratch {
  char* next;

  template <typename U>
  U* take(int64_t count) {
    U* taken = reinterpret_cast<U*>(next);
    next += (count * sizeof(U) + 63) / 64 * 64;
    return taken;
  }
};

// Each bin's cells along one side and their weights.
template <typename T>
struct Weights {
  int64_t bins;
  int64_t *first, *end;  // the cells of a bin
  T **weight, **low, **high;  // of a bin: [cell], and their derivatives in the side's ends

  static int64_t entries(int64_t bins, int64_t cells) { return cells + 3 * bins; }  // neighbours share up to 3 cells

  static size_t bytes(int64_t bins, int64_t cells) {
    return 5 * (bins * sizeof(int64_t) + 64) + 3 * (entries(bins, cells) * sizeof(T) + 64);
  }

  Weights(Scratch& scratch, int64_t bins_, int64_t cells) : bins(bins_) {
    first = scratch.take<int64_t>(bins);
    end = scratch.take<int64_t>(bins);
    weight = scratch.take<T*>(bins);
    low = scratch.take<T*>(bins);
    high = scratch.take<T*>(bins);
    all_weight = scratch.take<T>(entries(bins, cells));
    all_low = scratch.take<T>(entries(bins, cells));
    all_high = scratch.take<T>(entries(bins, cells));
    cells_ = cells;
  }

  template <bool slopes>
  void fill(Side<double> side) {
    int64_t used = 0;
    for (int64_t b = 0; b < bins; ++b) {
      const Bin<double> bin = make_bin(side, b, bins, cells_);
      first[b] = bin.first;
      end[b] = bin.end;
      weight[b] = all_weight + used - bin.first;
      low[b] = all_low + used - bin.first;
      high[b] = all_high + used - bin.first;
      for (int64_t cell = bin.first; cell < bin.end; ++cell) {
        const double w = prroi::weight(bin, cell);
        weight[b][cell] = T(w);
        if constexpr (slopes) {
          const Slope<double> s = slope(bin, cell, w);
          low[b][cell] = T(s.low);
          high[b][cell] = T(s.high);
        }
      }
      if (bin.end > bin.first) used += bin.end - bin.first;
    }
  }

 private:
  int64_t cells_;
  T *all_weight, *all_low, *all_high;
};

template <typename T>
int64_t spread_size(const Sizes& s) {
  return s.columns * PRROI_UNROLL * (PRROI_VECTOR_BYTES / sizeof(T));
}

template <typename T>
size_t scratch_bytes(const Sizes& s) {
  return Weights<T>::bytes(s.rows, s.height) + Weights<T>::bytes(s.columns, s.width) + spread_size<T>(s) * sizeof(T) +
         64;
}

template <typename T>
void forward(const T* features, const Roi<double>* rois, int64_t begin, int64_t end, const Sizes& s, void* memory,
             T* pooled) {
  Scratch scratch{static_cast<char*>(memory)};
  Weights<T> y(scratch, s.rows, s.height), x(scratch, s.columns, s.width);
  const int64_t row_size = s.width * s.channels;
  for (int64_t k = begin; k < end; ++k) {
    T* of_roi = pooled + k * s.rows * s.columns * s.channels;
    if (!rois[k].usable) {
      memset(of_roi, 0, sizeof(T) * s.rows * s.columns * s.channels);
      continue;
    }
    const T* image = features + rois[k].image * s.height * row_size;
    y.template fill<false>(rois[k].y);
    x.template fill<false>(rois[k].x);
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t q = 0; q < s.columns; ++q) {
        T* of_bin = of_roi + (r * s.columns + q) * s.channels;
        for_channels<T>(s.channels, [&]<typename V, int N>(int64_t c) {
          V sum[N] = {};
          for (int64_t i = y.first[r]; i < y.end[r]; ++i) {
            const T across = y.weight[r][i];
            const T* cell = image + i * row_size + x.first[q] * s.channels + c;
            for (int64_t j = x.first[q]; j < x.end[q]; ++j, cell += s.channels) {
              const T w = across * x.weight[q][j];
              for (int n = 0; n < N; ++n) sum[n] += w * load<V>(cell + n * (sizeof(V) / sizeof(T)));
            }
          }
          for (int n = 0; n < N; ++n) store(of_bin + c + n * (sizeof(V) / sizeof(T)), sum[n]);
        });
      }
    }
  }
}

template <typename T>
void backward_features(const T* grad, const Roi<double>* rois, const int64_t* order, const int64_t* start,
                       int64_t begin, int64_t end, const Sizes& s, void* memory, T* grad_features) {
  Scratch scratch{static_cast<char*>(memory)};
  Weights<T> y(scratch, s.rows, s.height), x(scratch, s.columns, s.width);
  T* spread = scratch.take<T>(spread_size<T>(s));
  const int64_t row_size = s.width * s.channels;
  memset(grad_features + begin * row_size, 0, sizeof(T) * (end - begin) * row_size);
  for (int64_t b = begin / s.height; b * s.height < end; ++b) {
    const int64_t top = begin > b * s.height ? begin - b * s.height : 0;
    const int64_t bottom = end < (b + 1) * s.height ? end - b * s.height : s.height;
    for (int64_t next = start[b]; next < start[b + 1]; ++next) {
      const int64_t k = order[next];
      if (!rois[k].usable || rois[k].y.low >= double(bottom) || rois[k].y.high <= double(top - 1)) continue;
      const T* of_roi = grad + k * s.rows * s.columns * s.channels;
      y.template fill<false>(rois[k].y);
      x.template fill<false>(rois[k].x);
      const int64_t last_cell = x.end[s.columns - 1];
      for_channels<T>(s.channels, [&]<typename V, int N>(int64_t c) {
        constexpr int64_t lanes = sizeof(V) / sizeof(T);
        int64_t upper = 0;  // first row of bins that reaches down to row i of cells
        for (int64_t i = y.first[0] > top ? y.first[0] : top; i < bottom && i < y.end[s.rows - 1]; ++i) {
          while (y.end[upper] <= i) ++upper;
          // the gradient spread over this row of cells, for each column of bins
          for (int64_t q = 0; q < s.columns; ++q) {
            V sum[N] = {};
            for (int64_t r = upper; r < s.rows && y.first[r] <= i; ++r) {
              const T w = y.weight[r][i];
              const T* of_bin = of_roi + (r * s.columns + q) * s.channels + c;
              for (int n = 0; n < N; ++n) sum[n] += w * load<V>(of_bin + n * lanes);
            }
            for (int n = 0; n < N; ++n) store(spread + (q * N + n) * lanes, sum[n]);
          }
          int64_t left = 0;
          T* cell = grad_features + (b * s.height + i) * row_size + x.first[0] * s.channels + c;
          for (int64_t j = x.first[0]; j < last_cell; ++j, cell += s.channels) {
            while (x.end[left] <= j) ++left;
            V sum[N];
            for (int n = 0; n < N; ++n) sum[n] = load<V>(cell + n * lanes);
            for (int64_t q = left; q < s.columns && x.first[q] <= j; ++q) {
              const T w = x.weight[q][j];
              for (int n = 0; n < N; ++n) sum[n] += w * load<V>(spread + (q * N + n) * lanes);
            }
            for (int n = 0; n < N; ++n) store(cell + n * lanes, sum[n]);
          }
        }
      });
    }
  }
}

template <typename T>
void backward_boxes(const T* grad, const T* features, const Roi<double>* rois, int64_t begin, int64_t end,
                    const Sizes& s, void* memory, double* grad_boxes) {
  Scratch scratch{static_cast<char*>(memory)};
  Weights<T> y(scratch, s.rows, s.height), x(scratch, s.columns, s.width);
  const int64_t row_size = s.width * s.channels;
  for (int64_t k = begin; k < end; ++k) {
    double* of_box = grad_boxes + 4 * k;
    of_box[0] = of_box[1] = of_box[2] = of_box[3] = 0;
    if (!rois[k].usable) continue;
    T sums[4][PRROI_VECTOR_BYTES / sizeof(T)] = {};  // one for each lane of a vector, added up at the end
    const T* image = features + rois[k].image * s.height * row_size;
    y.template fill<true>(rois[k].y);
    x.template fill<true>(rois[k].x);
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t q = 0; q < s.columns; ++q) {
        const T* of_bin = grad + ((k * s.rows + r) * s.columns + q) * s.channels;
        for_channels<T>(s.channels, [&]<typename V, int N>(int64_t c) {
          constexpr int64_t lanes = sizeof(V) / sizeof(T);
          V g[N];
          for (int n = 0; n < N; ++n) g[n] = load<V>(of_bin + c + n * lanes);
          V x1 = {}, y1 = {}, x2 = {}, y2 = {};
          for (int64_t i = y.first[r]; i < y.end[r]; ++i) {
            V value = {}, low = {}, high = {};  // of this row of cells: the integral along it and its derivatives
            const T* cell = image + i * row_size + x.first[q] * s.channels + c;
            for (int64_t j = x.first[q]; j < x.end[q]; ++j, cell += s.channels) {
              V product = g[0] * load<V>(cell);
              for (int n = 1; n < N; ++n) product += g[n] * load<V>(cell + n * lanes);
              value += x.weight[q][j] * product;
              low += x.low[q][j] * product;
              high += x.high[q][j] * product;
            }
            x1 += y.weight[r][i] * low;
            x2 += y.weight[r][i] * high;
            y1 += y.low[r][i] * value;
            y2 += y.high[r][i] * value;
          }
          store(sums[0], load<V>(sums[0]) + x1);
          store(sums[1], load<V>(sums[1]) + y1);
          store(sums[2], load<V>(sums[2]) + x2);
          store(sums[3], load<V>(sums[3]) + y2);
        });
      }
    }
    for (int side = 0; side < 4; ++side) {
      for (T sum : sums[side]) of_box[side] += sum;
    }
  }
}

}  // namespace

const CpuKernels<float> f32 = {scratch_bytes<float>, forward<float>, backward_features<float>, backward_boxes<float>};
const CpuKernels<double> f64 = {scratch_bytes<double>, forward<double>, backward_features<double>,
                                backward_boxes<double>};

}  // namespace prroi::EBM_ISA
