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
constexpr int kTile = 4;  // cells of a row that one warp of `backward_features` sums up

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

// A box whose image is not in the batch counts as unusable.
template <typename R>
__device__ __forceinline__ Roi<R> load_roi(const Boxes& boxes, const Sizes& s, int64_t k) {
  const int64_t image = boxes.index ? boxes.index[k] : k / boxes.each;
  Roi<R> roi = boxes.is_double
                   ? make_roi<R>(static_cast<const double*>(boxes.corners) + 4 * k, boxes.scale, image)
                   : make_roi<R>(static_cast<const float*>(boxes.corners) + 4 * k, boxes.scale, image);
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

// One warp for each tile of kTile cells in a row of the map and strip of 32 N channels; it goes through the RoIs of its
// image. blockIdx.x counts the rows of all images, blockIdx.y the rest.
template <typename T, int N>
__global__ void __launch_bounds__(kWarp* kWarpsPerBlock)
    backward_features_kernel(const T* grad, Boxes boxes, Groups groups, Sizes s, int strips, T* grad_features) {
  using R = Sum<T>;
  const int lane = threadIdx.x % kWarp;
  const int64_t items = (s.width + kTile - 1) / kTile * strips;
  for (int64_t row = blockIdx.x; row < s.batch * s.height; row += gridDim.x) {
    const int64_t b = row / s.height, i = row % s.height;
    const int64_t begin = groups.order ? groups.start[b] : b * boxes.each;
    const int64_t end = groups.order ? groups.start[b + 1] : begin + boxes.each;
    for (int64_t item = int64_t(blockIdx.y) * kWarpsPerBlock + threadIdx.x / kWarp; item < items;
         item += int64_t(gridDim.y) * kWarpsPerBlock) {
      const int64_t c = (item % strips * kWarp + lane) * N, j0 = item / strips * kTile;
      const bool active = c < s.channels;
      R sum[kTile][N] = {};
      for (int64_t p0 = begin; p0 < end; p0 += kWarp) {
        // each lane looks at one RoI: does it reach this tile?
        int64_t candidate = 0;
        bool near = false;
        if (p0 + lane < end) {
          candidate = groups.order ? groups.order[p0 + lane] : p0 + lane;
          const Roi<R> roi = load_roi<R>(boxes, s, candidate);
          near = roi.usable && roi.y.low < R(i + 1) && roi.y.high > R(i - 1) && roi.x.low < R(j0 + kTile) &&
                 roi.x.high > R(j0 - 1);
        }
        for (unsigned left = __ballot_sync(kWholeWarp, near); left; left &= left - 1) {
          const int64_t k = __shfl_sync(kWholeWarp, candidate, __ffs(left) - 1);
          const Roi<R> roi = load_roi<R>(boxes, s, k);
          for (int r0 = 0; r0 < s.rows; r0 += kWarp) {
            // each lane looks at one row of bins, then at one column of bins
            R across = 0;
            if (r0 + lane < s.rows) {
              const Bin<R> y = make_bin(roi.y, r0 + lane, s.rows, s.height);
              if (y.first <= i && i < y.end) across = weight(y, i);
            }
            const unsigned rows = __ballot_sync(kWholeWarp, across != 0);
            if (!rows) continue;
            for (int q0 = 0; q0 < s.columns; q0 += kWarp) {
              R along[kTile] = {};
              bool touches = false;
              if (q0 + lane < s.columns) {
                const Bin<R> x = make_bin(roi.x, q0 + lane, s.columns, s.width);
                touches = x.first < j0 + kTile && j0 < x.end;
                if (touches) {
#pragma unroll
                  for (int j = 0; j < kTile; ++j) along[j] = weight(x, j0 + j);
                }
              }
              for (unsigned columns = __ballot_sync(kWholeWarp, touches); columns; columns &= columns - 1) {
                const int q = __ffs(columns) - 1;
                R down[N] = {};  // the gradient of this column of bins, weighted for this row of cells
                for (unsigned some = rows; some; some &= some - 1) {
                  const int r = __ffs(some) - 1;
                  const R w = __shfl_sync(kWholeWarp, across, r);
                  if (active) {
                    R value[N];
                    load<T, N>(grad + ((k * s.rows + r0 + r) * s.columns + q0 + q) * s.channels + c, value);
#pragma unroll
                    for (int n = 0; n < N; ++n) down[n] += w * value[n];
                  }
                }
#pragma unroll
                for (int j = 0; j < kTile; ++j) {
                  const R w = __shfl_sync(kWholeWarp, along[j], q);
#pragma unroll
                  for (int n = 0; n < N; ++n) sum[j][n] += w * down[n];
                }
              }
            }
          }
        }
      }
      if (active) {
#pragma unroll
        for (int j = 0; j < kTile; ++j) {
          if (j0 + j < s.width) store<T, N>(grad_features + (row * s.width + j0 + j) * s.channels + c, sum[j]);
        }
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

constexpr int64_t kMostX = 0x7fffffff, kMostY = 65535;

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
    const int64_t strips = ceil_div(s.channels, kWarp * N), items = ceil_div(s.width, kTile) * strips;
    const dim3 grid(limited(s.batch * s.height, kMostX), limited(ceil_div(items, kWarpsPerBlock), kMostY));
    backward_features_kernel<T, N><<<grid, kWarp * kWarpsPerBlock, 0, stream>>>(
        static_cast<const T*>(grad), boxes, groups, s, int(strips), static_cast<T*>(grad_features));
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
