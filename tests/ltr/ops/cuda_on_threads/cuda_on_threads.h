// As much of CUDA as prroi_pool_kernels.cu uses, run on threads of the CPU, one block after another: a thread for each CUDA
// thread, and barriers where a warp or a block meets. It is slow and proves nothing about a GPU, but it runs the very
// same arithmetic, indices and exchanges between lanes.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(threads)

struct dim3 {
  unsigned x, y;
  dim3(unsigned x_ = 1, unsigned y_ = 1) : x(x_), y(y_) {}
};

struct Warp {
  std::barrier<> meet{32};
  uint64_t slot[32];
};

struct Block {
  explicit Block(unsigned threads) : meet(threads), warps(threads / 32) {}
  std::barrier<> meet;
  std::vector<Warp> warps;
};

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
inline thread_local Warp* warp_here;
inline thread_local Block* block_here;

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  std::memcpy(&warp_here->slot[threadIdx.x % 32], &value, sizeof value);
  warp_here->meet.arrive_and_wait();
  T taken;
  std::memcpy(&taken, &warp_here->slot[lane], sizeof taken);
  warp_here->meet.arrive_and_wait();
  return taken;
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, int by) {
  const int lane = threadIdx.x % 32;
  return __shfl_sync(mask, value, lane + by < 32 ? lane + by : lane);
}

inline unsigned __ballot_sync(unsigned mask, bool vote) {
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) votes |= unsigned(__shfl_sync(mask, int(vote), lane)) << lane;
  return votes;
}

inline int __ffs(unsigned v) { return __builtin_ffs(int(v)); }
inline void __syncthreads() { block_here->meet.arrive_and_wait(); }

typedef void* cudaStream_t;

struct __half {
  _Float16 value;
};
inline float __half2float(__half h) { return float(h.value); }
inline __half __float2half_rn(float f) { return {_Float16(f)}; }

struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 b) {
  const uint32_t bits = uint32_t(b.bits) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, sizeof bits);
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

// kernel<<<grid, threads, shared, stream>>>(arguments...)
template <typename Kernel, typename... Arguments>
void launch_on_threads(Kernel kernel, dim3 grid, unsigned threads, int, cudaStream_t, Arguments... arguments) {
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      Block block(threads);
      std::vector<std::thread> all;
      for (unsigned t = 0; t < threads; ++t) {
        all.emplace_back([&, t] {
          threadIdx = dim3(t);
          blockIdx = dim3(x, y);
          blockDim = dim3(threads);
          gridDim = grid;
          block_here = &block;
          warp_here = &block.warps[t / 32];
          kernel(arguments...);
        });
      }
      for (auto& thread : all) thread.join();
    }
  }
}
