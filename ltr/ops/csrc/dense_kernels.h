// The loops of the dense layers (matrix products, depthwise and Winograd convolutions), compiled once for each kind of
// processor and chosen when they are called. All are in float32, channels side by side in memory.
#pragma once

#include <stdint.h>

namespace dense {

// What follows a product A B: clamp(A B + bias + addend, low, high). `bias` is padded to whole panels; `addend`, one
// row for each row of A, may be null.
struct Epilogue {
  const float* bias;
  const float* addend;
  int64_t addend_stride;
  float low, high;
};

// Where a tile of at most 4 x 4 pixels goes, and what is added to it.
struct Tile {
  const float* bias;
  const float* addend;  // at the place of `out`, with its strides; may be null
  float* out;
  int64_t row_stride, rows, columns;
  bool relu;
};

// The right factor B (inner, columns) of a product, read in panels of `Kernels::panel` columns; all of them have to be
// readable. Packed as (panels, inner, panel) it is {data, inner * panel, panel}, as it is {data, panel, columns}.
struct Factor {
  const float* data;
  int64_t panel_stride, row_stride;
};

struct Kernels {
  int64_t panel;
  // Columns of panels [first, last) of C (rows, columns) = epilogue(A (rows, inner) B).
  void (*gemm)(const float* a, int64_t a_stride, const Factor& b, int64_t inner, float* c, int64_t c_stride,
               int64_t rows, int64_t columns, int64_t first, int64_t last, const Epilogue&);
  // One row of a depthwise convolution and ReLU6. `rows`: `kernel` of them, at the left tap of the first column;
  // `weight` (kernel^2, channels); `channels` a multiple of `panel`.
  void (*depthwise_row)(const float* const* rows, int64_t width, int64_t channels, const float* weight,
                        const float* bias, int64_t kernel, int64_t stride, float* out);
  // B^T d B of one tile d of 6 x 6 pixels: 36 vectors of channels, `stride` apart.
  void (*winograd_input)(const float* const* pixels, int64_t channels, float* out, int64_t stride);
  // A^T m A of one tile, the inverse, and what follows the convolution.
  void (*winograd_output)(const float* in, int64_t stride, int64_t channels, const Tile&);
};

// Each is made by dense_kernels.cpp, compiled with EBM_ISA set to its name.
namespace baseline {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}

}  // namespace dense
