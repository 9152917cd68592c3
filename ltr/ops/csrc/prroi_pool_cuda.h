// The CUDA kernels behind plain pointers: prroi_pool_cuda.cpp, which knows tensors, calls prroi_pool_kernels.cu, which knows none, so that
// the many passes of nvcc read no header of PyTorch.
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

namespace prroi::cuda {

// Features are [image][height][width][channels], pooled values [RoI][rows][columns][channels].
struct Sizes {
  int64_t batch, height, width, channels;
  int rows, columns;
};

struct Boxes {
  const void* corners;  // [count][4], float or double
  bool is_double;
  int64_t count;
  double scale;
  const int64_t* index;  // each box's image; null: `each` boxes for every image, one image after the other
  int64_t each;
};

// With `index`: the RoIs of image b are order[start[b]], ..., order[start[b + 1] - 1].
struct Groups {
  const int64_t* order;
  const int64_t* start;
};

enum class Type { f32, f64, f16, bf16 };

// Each enqueues one kernel, or none where there is nothing to do; the caller asks for errors of the launch.
void launch_forward(Type, const void* features, const Boxes&, const Sizes&, void* pooled, cudaStream_t);
void launch_backward_features(Type, const void* grad, const Boxes&, const Groups&, const Sizes&, void* grad_features,
                       cudaStream_t);
// grad_boxes is of the type of the corners.
void launch_backward_boxes(Type, const void* grad, const void* features, const Boxes&, const Sizes&, void* grad_boxes,
                    cudaStream_t);

}  // namespace prroi::cuda
