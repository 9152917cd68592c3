// PrRoIPool on the GPU. A warp works on a strip of channels, which lie side by side in memory. Its lanes also share the
// work on weights: each computes those of one cell (or bin) and hands them round. Sums are in float32 (float64 for
// float64 features) and always in the same order, so that every result is the same in every run.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "prroi_pool_cuda.h"
#include "prroi_pool.h"

namespace prroi::cuda {
namespace {

constexpr unsigned kWholeWarp = 0xffffffffu;
constexpr int kWarp = 32;
constexpr int kWarpsPerBlock = 8;

// Features of type T are added up, and weights computed, in Sum<T>.
template <typename T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};
template <typename T>
using Sum = typename Accumulator<T>::type;

__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ double widen(double v) { return v; }
__device__ __forceinline__ float widen(__half v) { return __half2float(v); }
__device__ __forceinline__ float widen(__nv_bfloat16 v) { return __bfloat162float(v); }

template <typename T>
__device__ __forceinline__ T narrow(Sum<T> v) {
  return v;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float v) {
  return __float2half_rn(v);
}
template <>
__device__ __forceinline__ __nv_bfloat16 narrow<__nv_bfloat16>(float v) {
  return __float2bfloat16_rn(v);
}

// N neighbouring channels, read and written at once.
template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T value[N];
};

template <typename T, int N>
__device__ __forceinline__ void load(const T* from, Sum<T> (&to)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int n = 0; n < N; ++n) to[n] = widen(pack.value[n]);
}

template <typename T, int N>
__device__ __forceinline__ void store(T* to, const Sum<T> (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int n = 0; n < N; ++n) pack.value[n] = narrow<T>(from[n]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

template <typename R>
__device__ __forceinline__ Roi<R> load_roi_of_image(const Boxes& boxes, int64_t k, int64_t image) {
  return boxes.is_double ? make_roi<R>(static_cast<const double*>(boxes.corners) + 4 * k, boxes.scale, image)
                         : make_roi<R>(static_cast<const float*>(boxes.corners) + 4 * k, boxes.scale, image);
}

// A box whose image is not in the batch counts as unusable.
template <typename R>
__device__ __forceinline__ Roi<R> load_roi(const Boxes& boxes, const Sizes& s, int64_t k) {
  const int64_t image = boxes.index ? boxes.index[k] : k / boxes.each;
  Roi<R> roi = load_roi_of_image<R>(boxes, k, image);
  roi.usable = roi.usable && image >= 0 && image < s.batch;
  return roi;
}

// One warp for each bin and strip of 32 N channels. blockIdx.x counts RoIs, blockIdx.y the rest.
template <typename T, int N>
__global__ void __launch_bounds__(kWarp* kWarpsPerBlock)
    forward_kernel(const T* features, Boxes boxes, Sizes s, int strips, T* pooled) {
  using R = Sum<T>;
  const int lane = threadIdx.x % kWarp;
  const int64_t bins = int64_t(s.rows) * s.columns, items = bins * strips;
  for (int64_t k = blockIdx.x; k < boxes.count; k += gridDim.x) {
    const Roi<R> roi = load_roi<R>(boxes, s, k);
    const T* image = features + (roi.usable ? roi.image * s.height * s.width * s.channels : 0);
    for (int64_t item = int64_t(blockIdx.y) * kWarpsPerBlock + threadIdx.x / kWarp; item < items;
         item += int64_t(gridDim.y) * kWarpsPerBlock) {
      const unsigned strip = unsigned(item) % unsigned(strips), bin = unsigned(item) / unsigned(strips);
      const int64_t c = (int64_t(strip) * kWarp + lane) * N;
      const bool active = c < s.channels;
      R sum[N] = {};
      if (roi.usable) {
        const Bin<R> y = make_bin(roi.y, bin / unsigned(s.columns), s.rows, s.height);
        const Bin<R> x = make_bin(roi.x, bin % unsigned(s.columns), s.columns, s.width);
        for (int64_t j0 = x.first; j0 < x.end; j0 += kWarp) {
          const int cells = int(x.end - j0 < kWarp ? x.end - j0 : kWarp);
          const R along = lane < cells ? weight(x, j0 + lane) : R(0);
          for (int64_t i = y.first; i < y.end; ++i) {
            const R across = weight(y, i);
            const T* cell = image + (i * s.width + j0) * s.channels + c;
            for (int j = 0; j < cells; ++j, cell += s.channels) {
              const R w = across * __shfl_sync(kWholeWarp, along, j);
              if (active) {
                R value[N];
                load<T, N>(cell, value);
#pragma unroll
                for (int n = 0; n < N; ++n) sum[n] += w * value[n];
              }
            }
          }
        }
      }
      if (active) store<T, N>(pooled + (k * bins + bin) * s.channels + c, sum);
    }
  }
}

// -- gradient in the features --
//
// A block sums up a tile of the map, kRows x kColumns cells, and a strip of 32 N channels. Of the RoIs of the image it
// lists those that reach the tile, and puts their weights for the tile into shared memory, so that each is computed once
// and by as many threads as there are weights. Then each warp takes a row of the tile and every kGroups-th RoI of the
// list: it adds up the rows of bins, and spreads the sum over the cells. At last the groups' sums are added. Lists, shares
// and sums have the same order in every run.

constexpr int kColumns = 4;  // cells of a tile's row, summed up by one warp
constexpr int kListed = 32;  // RoIs whose weights are in shared memory at a time
constexpr int kBins = 8;     // rows, and columns, of bins of each of them at a time
constexpr int kWarps = 16, kThreads = kWarps * kWarp;

template <typename R, int kRows>
struct Weights {
  alignas(16) R across[kListed][kRows][kBins];   // of row of cells and row of bins
  alignas(16) R along[kListed][kBins][kColumns];  // of column of bins and column of cells
};

// Lists the RoIs p0, p0 + 1, ... below end, one for each thread, that reach rows [i0, i1) and columns [j0, j1) of cells.
template <typename R>
__device__ __forceinline__ int list_rois(const Boxes& boxes, const Groups& groups, int64_t p0, int64_t end, int i0,
                                         int i1, int j0, int j1, int64_t (&listed)[kThreads], int (&counts)[kWarps]) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t p = p0 + threadIdx.x;
  int64_t k = 0;
  bool near = false;
  if (p < end) {
    k = groups.order ? groups.order[p] : p;
    const Roi<R> roi = load_roi_of_image<R>(boxes, k, 0);
    near = roi.usable && roi.y.low < R(i1) && roi.y.high > R(i0 - 1) && roi.x.low < R(j1) && roi.x.high > R(j0 - 1);
  }
  const unsigned votes = __ballot_sync(kWholeWarp, near);
  if (lane == 0) counts[warp] = __popc(votes);
  __syncthreads();
  int before = 0, all = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += counts[w];
    all += counts[w];
  }
  if (near) listed[before + __popc(votes & ((1u << lane) - 1))] = k;
  __syncthreads();
  return all;
}

// The weights of listed RoIs for the tile at (i0, j0), of the bins from row r0 and column q0 on.
template <typename R, int kRows>
__device__ __forceinline__ void compute_weights(const Boxes& boxes, const Sizes& s, const int64_t* listed, int count,
                                                int i0, int j0, int r0, int q0, Weights<R, kRows>& weights) {
  constexpr int each = kBins * (kRows + kColumns);
  for (int e = threadIdx.x; e < count * each; e += kThreads) {
    const int n = e / each, bin = e % kBins, cell = e % each / kBins;  // rows of cells, then columns
    const Roi<R> roi = load_roi_of_image<R>(boxes, listed[n], 0);
    R w = 0;
    if (cell < kRows) {
      if (r0 + bin < s.rows) {
        const Bin<R> b = make_bin(roi.y, r0 + bin, s.rows, s.height);
        if (b.first <= i0 + cell && i0 + cell < b.end) w = weight(b, i0 + cell);
      }
      weights.across[n][cell][bin] = w;
    } else {
      const int j = j0 + cell - kRows;
      if (q0 + bin < s.columns) {
        const Bin<R> b = make_bin(roi.x, q0 + bin, s.columns, s.width);
        if (b.first <= j && j < b.end) w = weight(b, j);
      }
      weights.along[n][bin][cell - kRows] = w;
    }
  }
}

// Adds to `sum`, for a row of the tile, what the bins from row r0 and column q0 on of one RoI contribute. `of_roi` is the
// gradient at bin (r0, q0), `across` and `along` have the RoI's weights.
template <typename T, int N>
__device__ __forceinline__ void add_roi(const T* of_roi, const Sizes& s, int r0, int q0, const Sum<T> (&across)[kBins],
                                        const Sum<T> (&along)[kBins][kColumns], bool active,
                                        Sum<T> (&sum)[kColumns][N]) {
  using R = Sum<T>;
  static_assert(kBins * kColumns == kWarp);
  const int lane = threadIdx.x % kWarp;
  const unsigned rows = __ballot_sync(kWholeWarp, lane < kBins && across[lane % kBins] != 0);
  unsigned touched = __ballot_sync(kWholeWarp, along[lane / kColumns][lane % kColumns] != 0);
  if (!rows) return;
  const int first = __ffs(rows) - 1, end = kWarp - __clz(rows);  // the rows of bins that reach this row of cells
  while (touched) {
    const int q = (__ffs(touched) - 1) / kColumns;
    touched &= ~0u << q * kColumns << kColumns;
    R w[kColumns];
#pragma unroll
    for (int j = 0; j < kColumns; ++j) w[j] = along[q][j];
    R down[N] = {};  // the gradient of this column of bins, weighted for this row of cells
    if (active) {
#pragma unroll 2
      for (int r = first; r < end; ++r) {
        R value[N];
        load<T, N>(of_roi + (int64_t(r) * s.columns + q) * s.channels, value);
#pragma unroll
        for (int n = 0; n < N; ++n) down[n] += across[r] * value[n];
      }
    }
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
#pragma unroll
      for (int n = 0; n < N; ++n) sum[j][n] += w[j] * down[n];
    }
  }
}

// blockIdx.x counts the tiles of all images and, for each, the strips of channels.
template <typename T, int N, int kRows>
__global__ void __launch_bounds__(kThreads, 2)
    backward_features_kernel(const T* grad, Boxes boxes, Groups groups, Sizes s, int strips, T* grad_features) {
  using R = Sum<T>;
  constexpr int kGroups = kWarps / kRows;
  union Memory {  // the sums are exchanged when no weights are needed any more
    Weights<R, kRows> weights;
    Pack<R, N> sums[kGroups / 2][kRows][kColumns][kWarp];
  };
  __shared__ Memory memory;
  __shared__ int64_t listed[kThreads];
  __shared__ int counts[kWarps];
  const int lane = threadIdx.x % kWarp, row = threadIdx.x / kWarp % kRows, group = threadIdx.x / kWarp / kRows;
  const int across = (int(s.width) + kColumns - 1) / kColumns, down = (int(s.height) + kRows - 1) / kRows;
  for (int64_t item = blockIdx.x; item < s.batch * down * across * strips; item += gridDim.x) {
    const int64_t c = (item % strips * kWarp + lane) * N, tile = item / strips;
    const bool active = c < s.channels;
    const int64_t b = tile / across / down;
    const int i0 = int(tile / across % down) * kRows, j0 = int(tile % across) * kColumns;
    const int64_t begin = groups.order ? groups.start[b] : b * boxes.each;
    const int64_t end = groups.order ? groups.start[b + 1] : begin + boxes.each;
    R sum[kColumns][N] = {};
    for (int64_t p0 = begin; p0 < end; p0 += kThreads) {
      const int all = list_rois<R>(boxes, groups, p0, end, i0, i0 + kRows, j0, j0 + kColumns, listed, counts);
      for (int n0 = 0; n0 < all; n0 += kListed) {
        const int count = all - n0 < kListed ? all - n0 : kListed;
        for (int r0 = 0; r0 < s.rows; r0 += kBins) {
          for (int q0 = 0; q0 < s.columns; q0 += kBins) {
            compute_weights(boxes, s, listed + n0, count, i0, j0, r0, q0, memory.weights);
            __syncthreads();
            for (int n = group; n < count; n += kGroups) {
              const int64_t bin = (listed[n0 + n] * s.rows + r0) * s.columns + q0;
              add_roi<T, N>(grad + bin * s.channels + c, s, r0, q0, memory.weights.across[n][row],
                            memory.weights.along[n], active, sum);
            }
            __syncthreads();
          }
        }
      }
    }
    for (int half = kGroups / 2; half; half /= 2) {  // the upper half of the groups hands over to the lower
      if (group >= half && group < 2 * half) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
#pragma unroll
          for (int n = 0; n < N; ++n) memory.sums[group - half][row][j][lane].value[n] = sum[j][n];
        }
      }
      __syncthreads();
      if (group < half) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
#pragma unroll
          for (int n = 0; n < N; ++n) sum[j][n] += memory.sums[group][row][j][lane].value[n];
        }
      }
      __syncthreads();
    }
    if (group == 0 && active && i0 + row < s.height) {
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        if (j0 + j < s.width) store<T, N>(grad_features + ((b * s.height + i0 + row) * s.width + j0 + j) * s.channels + c, sum[j]);
      }
    }
  }
}

// One block for each RoI, whose warps share out the bins. blockIdx.x counts RoIs.
template <typename T, int N>
__global__ void __launch_bounds__(kWarp* kWarp)
    backward_boxes_kernel(const T* grad, const T* features, Boxes boxes, Sizes s, void* grad_boxes) {
  using R = Sum<T>;
  __shared__ R of_warp[kWarp][4];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  const int64_t bins = int64_t(s.rows) * s.columns;
  for (int64_t k = blockIdx.x; k < boxes.count; k += gridDim.x) {
    const Roi<R> roi = load_roi<R>(boxes, s, k);
    R x1 = 0, y1 = 0, x2 = 0, y2 = 0;
    if (roi.usable) {
      const T* image = features + roi.image * s.height * s.width * s.channels;
      for (int64_t bin = warp; bin < bins; bin += warps) {
        const Bin<R> y = make_bin(roi.y, bin / s.columns, s.rows, s.height);
        const Bin<R> x = make_bin(roi.x, bin % s.columns, s.columns, s.width);
        for (int64_t j0 = x.first; j0 < x.end; j0 += kWarp) {
          const int cells = int(x.end - j0 < kWarp ? x.end - j0 : kWarp);
          R along = 0;
          Slope<R> slope_along = {0, 0};
          if (lane < cells) {
            along = weight(x, j0 + lane);
            slope_along = slope(x, j0 + lane, along);
          }
          for (int64_t c0 = 0; c0 < s.channels; c0 += kWarp * N) {
            const int64_t c = c0 + lane * N;
            const bool active = c < s.channels;
            R of_bin[N] = {};
            if (active) load<T, N>(grad + (k * bins + bin) * s.channels + c, of_bin);
            for (int64_t i = y.first; i < y.end; ++i) {
              const T* cell = image + (i * s.width + j0) * s.channels + c;
              R value = 0, low = 0, high = 0;  // of this row of cells: the integral along it and its derivatives
              for (int j = 0; j < cells; ++j, cell += s.channels) {
                R product = 0;
                if (active) {
                  R feature[N];
                  load<T, N>(cell, feature);
#pragma unroll
                  for (int n = 0; n < N; ++n) product += of_bin[n] * feature[n];
                }
                value += product * __shfl_sync(kWholeWarp, along, j);
                low += product * __shfl_sync(kWholeWarp, slope_along.low, j);
                high += product * __shfl_sync(kWholeWarp, slope_along.high, j);
              }
              const R across = weight(y, i);
              const Slope<R> slope_across = slope(y, i, across);
              x1 += across * low;
              x2 += across * high;
              y1 += slope_across.low * value;
              y2 += slope_across.high * value;
            }
          }
        }
      }
    }
    for (int step = kWarp / 2; step; step /= 2) {
      x1 += __shfl_down_sync(kWholeWarp, x1, step);
      y1 += __shfl_down_sync(kWholeWarp, y1, step);
      x2 += __shfl_down_sync(kWholeWarp, x2, step);
      y2 += __shfl_down_sync(kWholeWarp, y2, step);
    }
    if (lane == 0) {
      of_warp[warp][0] = x1;
      of_warp[warp][1] = y1;
      of_warp[warp][2] = x2;
      of_warp[warp][3] = y2;
    }
    __syncthreads();
    if (threadIdx.x < 4) {
      R sum = 0;
      for (int w = 0; w < warps; ++w) sum += of_warp[w][threadIdx.x];
      const double scaled = double(sum) * boxes.scale;
      if (boxes.is_double) {
        static_cast<double*>(grad_boxes)[4 * k + threadIdx.x] = scaled;
      } else {
        static_cast<float*>(grad_boxes)[4 * k + threadIdx.x] = float(scaled);
      }
    }
    __syncthreads();  // before the next RoI overwrites of_warp
  }
}

// -- launching ---------------------------------------------------------------------------------------------------------

unsigned limited(int64_t blocks, int64_t most) { return unsigned(std::min(blocks, most)); }

constexpr int64_t kMostX = 0x7fffffff, kMostY = 65535, kManyBlocks = 512;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// Calls body<T, N>(), with N = 4 channels at a time where their number and the memory allow.
template <typename Body, typename... Pointers>
void with_type(Type type, const Sizes& s, const Body& body, const Pointers*... pointers) {
  const auto with_pack = [&]<typename T>() {
    const bool packs = s.channels % 4 == 0 && (aligned(pointers, alignof(Pack<T, 4>)) && ...);
    packs ? body.template operator()<T, 4>() : body.template operator()<T, 1>();
  };
  switch (type) {
    case Type::f32: return with_pack.template operator()<float>();
    case Type::f64: return with_pack.template operator()<double>();
    case Type::f16: return with_pack.template operator()<__half>();
    case Type::bf16: return with_pack.template operator()<__nv_bfloat16>();
  }
}

}  // namespace

void launch_forward(Type type, const void* features, const Boxes& boxes, const Sizes& s, void* pooled, cudaStream_t stream) {
  if (boxes.count == 0 || s.channels == 0) return;
  const auto launch = [&]<typename T, int N>() {
    const int64_t strips = ceil_div(s.channels, kWarp * N), items = strips * s.rows * s.columns;
    const dim3 grid(limited(boxes.count, kMostX), limited(ceil_div(items, kWarpsPerBlock), kMostY));
    forward_kernel<T, N><<<grid, kWarp * kWarpsPerBlock, 0, stream>>>(static_cast<const T*>(features), boxes, s,
                                                                      int(strips), static_cast<T*>(pooled));
  };
  with_type(type, s, launch, features, static_cast<const void*>(pooled));
}

void launch_backward_features(Type type, const void* grad, const Boxes& boxes, const Groups& groups, const Sizes& s,
                       void* grad_features, cudaStream_t stream) {
  if (s.batch * s.height * s.width * s.channels == 0) return;
  const auto launch = [&]<typename T, int N>() {
    // Large tiles read the gradient less often; small ones are enough blocks for a GPU where the map is small.
    constexpr int M = sizeof(T) == 8 && N == 4 ? 2 : N;  // two blocks have to share the registers
    const int64_t strips = ceil_div(s.channels, kWarp * M), columns = s.batch * ceil_div(s.width, kColumns) * strips;
    const bool large = columns * ceil_div(s.height, 4) >= kManyBlocks;
    const unsigned grid = limited(columns * ceil_div(s.height, large ? 4 : 2), kMostX);
    const T* from = static_cast<const T*>(grad);
    T* to = static_cast<T*>(grad_features);
    if (large) {
      backward_features_kernel<T, M, 4><<<grid, kThreads, 0, stream>>>(from, boxes, groups, s, int(strips), to);
    } else {
      backward_features_kernel<T, M, 2><<<grid, kThreads, 0, stream>>>(from, boxes, groups, s, int(strips), to);
    }
  };
  with_type(type, s, launch, grad, static_cast<const void*>(grad_features));
}

void launch_backward_boxes(Type type, const void* grad, const void* features, const Boxes& boxes, const Sizes& s,
                    void* grad_boxes, cudaStream_t stream) {
  if (boxes.count == 0) return;
  const auto launch = [&]<typename T, int N>() {
    const int warps = int(std::min<int64_t>(int64_t(s.rows) * s.columns, kWarp));
    backward_boxes_kernel<T, N><<<limited(boxes.count, kMostX), kWarp * warps, 0, stream>>>(
        static_cast<const T*>(grad), static_cast<const T*>(features), boxes, s, grad_boxes);
  };
  with_type(type, s, launch, grad, features);
}

}  // namespace prroi::cuda
