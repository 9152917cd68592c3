// The loops of the CPU kernels, compiled once for each kind of processor and chosen when they are called.
#pragma once

#include <stddef.h>

#include "prroi_pool.h"

namespace prroi {

// Sizes of one call. Features are [image][height][width][channels], pooled values [RoI][rows][columns][channels].
struct Sizes {
  int64_t height, width, channels, rows, columns;
};

template <typename T>
struct CpuKernels {
  // Bytes of scratch memory that each running call needs, aligned to 64.
  size_t (*scratch)(const Sizes&);
  // RoIs [begin, end).
  void (*forward)(const T* features, const Roi<double>* rois, int64_t begin, int64_t end, const Sizes&, void* scratch,
                  T* pooled);
  // Rows [begin, end) of all images' rows, one after the other. The RoIs of image b are order[start[b]], ...,
  // order[start[b + 1] - 1].
  void (*backward_features)(const T* grad, const Roi<double>* rois, const int64_t* order, const int64_t* start,
                            int64_t begin, int64_t end, const Sizes&, void* scratch, T* grad_features);
  // RoIs [begin, end): derivatives in x1, y1, x2, y2, in cells.
  void (*backward_boxes)(const T* grad, const T* features, const Roi<double>* rois, int64_t begin, int64_t end,
                         const Sizes&, void* scratch, double* grad_boxes);
};

// Each is made by prroi_pool_kernels.cpp, compiled with EBM_ISA set to its name.
#define PRROI_DECLARE(isa)                  \
  namespace isa {                           \
  extern const CpuKernels<float> f32;       \
  extern const CpuKernels<double> f64;      \
  }
PRROI_DECLARE(baseline)
PRROI_DECLARE(avx2)
PRROI_DECLARE(avx512)

}  // namespace prroi
