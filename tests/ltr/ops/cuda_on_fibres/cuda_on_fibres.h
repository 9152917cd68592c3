// As much of CUDA as prroi_pool_kernels.cu uses, run on one thread of the CPU: a fibre for each CUDA thread, one block after
// another. A fibre runs until its warp or block has to meet, and then the next one does. It proves nothing about a GPU's
// time, but it runs the very same arithmetic, indices and exchanges between lanes.
//
// Fibres take turns in a rising or in a falling order. If results differ, a barrier is missing; if nobody can go on, some
// threads wait at a barrier that others pass by.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y;
  dim3(unsigned x_ = 1, unsigned y_ = 1) : x(x_), y(y_) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;
inline bool falling;

struct Fibre {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool done = false;
};

inline ucontext_t scheduler;
inline std::vector<Fibre>* fibres;
inline bool progressed;

inline void yield() { swapcontext(&(*fibres)[threadIdx.x].context, &scheduler); }

struct Meeting {
  unsigned size, arrived = 0, generation = 0;

  void wait() {
    const unsigned now = generation;
    progressed = true;
    if (++arrived == size) {
      arrived = 0;
      ++generation;
    } else {
      while (generation == now) yield();
      progressed = true;
    }
  }
};

struct Warp {
  Meeting meet{32};
  uint64_t slot[32];
};

struct Block {
  Meeting meet;
  std::vector<Warp> warps;
};
inline Block* block_here;
inline Warp& warp_here() { return block_here->warps[threadIdx.x / 32]; }

// What every lane gives, for all lanes.
template <typename T>
std::vector<T> exchange(T value) {
  Warp& warp = warp_here();
  std::memcpy(&warp.slot[threadIdx.x % 32], &value, sizeof value);
  warp.meet.wait();
  std::vector<T> all(32);
  for (int lane = 0; lane < 32; ++lane) std::memcpy(&all[lane], &warp.slot[lane], sizeof(T));
  warp.meet.wait();
  return all;
}

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return exchange(value)[lane];
}

template <typename T>
T __shfl_down_sync(unsigned, T value, int by) {
  const int lane = threadIdx.x % 32;
  return exchange(value)[lane + by < 32 ? lane + by : lane];
}

inline unsigned __ballot_sync(unsigned, bool vote) {
  const std::vector<int> votes = exchange(int(vote));
  unsigned all = 0;
  for (int lane = 0; lane < 32; ++lane) all |= unsigned(votes[lane]) << lane;
  return all;
}

inline int __ffs(unsigned v) { return __builtin_ffs(int(v)); }
inline int __clz(unsigned v) { return v ? __builtin_clz(v) : 32; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline void __syncthreads() { block_here->meet.wait(); }

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

inline std::function<void()>* body;

inline void run_fibre() {
  (*body)();
  (*fibres)[threadIdx.x].done = true;
  progressed = true;
  yield();
}

inline void run_block(unsigned threads) {
  Block block{{threads}, std::vector<Warp>(threads / 32)};
  block_here = &block;
  for (Fibre& fibre : *fibres) {
    fibre.done = false;
    getcontext(&fibre.context);
    constexpr size_t size = 64 << 10;
    if (!fibre.stack) fibre.stack.reset(new char[size]);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = size;
    makecontext(&fibre.context, run_fibre, 0);
  }
  for (unsigned left = threads; left;) {
    progressed = false;
    for (unsigned turn = 0; turn < threads; ++turn) {
      threadIdx.x = falling ? threads - 1 - turn : turn;
      Fibre& fibre = (*fibres)[threadIdx.x];
      if (fibre.done) continue;
      swapcontext(&scheduler, &fibre.context);
      left -= fibre.done;
    }
    if (!progressed) {
      std::fprintf(stderr, "%u of %u threads wait for others\n", left, threads);
      std::abort();
    }
  }
}

// kernel<<<grid, threads, shared, stream>>>(arguments...)
template <typename Kernel, typename... Arguments>
void launch_on_fibres(Kernel kernel, dim3 grid, unsigned threads, int, cudaStream_t, Arguments... arguments) {
  std::vector<Fibre> all(threads);
  std::function<void()> call = [&] { kernel(arguments...); };
  fibres = &all;
  body = &call;
  blockDim = dim3(threads);
  gridDim = grid;
  for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
    for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block(threads);
  }
}
