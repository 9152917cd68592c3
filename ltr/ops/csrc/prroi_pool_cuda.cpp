// PrRoIPool on the GPU: from tensors to the kernels of prroi_pool_kernels.cu.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <limits>
#include <string>

#include "checks.h"
#include "prroi_pool_cuda.h"

namespace prroi::cuda {
namespace {

using at::Tensor;
using Index = std::optional<Tensor>;

Type type_of(const Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat: return Type::f32;
    case at::kDouble: return Type::f64;
    case at::kHalf: return Type::f16;
    case at::kBFloat16: return Type::bf16;
    default: TORCH_CHECK_TYPE(false, "prroi_pool: no CUDA kernel for features of ", t.scalar_type());
  }
}

Sizes make_sizes(int64_t batch, int64_t channels, int64_t height, int64_t width, int64_t rows, int64_t columns) {
  // bins and strips of channels, and the cells of a side, are counted in 32 bits
  TORCH_CHECK_VALUE(rows <= 4096 && columns <= 4096 && rows * columns * (channels / 32 + 1) <= 0x7fffffff,
                    "prroi_pool: too many bins and channels for the CUDA kernel");
  TORCH_CHECK_VALUE(height <= 0x7ffffff0 && width <= 0x7ffffff0, "prroi_pool: too large a map for the CUDA kernel");
  return {batch, height, width, channels, int(rows), int(columns)};
}

// Tensors that `Boxes` points into must outlive the call of the kernel, hence contiguous ones are passed in.
Boxes make_boxes(const Tensor& corners, double scale, const Tensor& index, int64_t batch) {
  const int64_t count = corners.size(0);
  return {corners.const_data_ptr(),
          corners.scalar_type() == at::kDouble,
          count,
          scale,
          index.defined() ? index.const_data_ptr<int64_t>() : nullptr,
          batch ? count / batch : 0};
}

Tensor contiguous(const Index& index) { return index ? index->contiguous() : Tensor(); }

Tensor forward(const Tensor& features_, const Tensor& boxes_, int64_t rows, int64_t columns, double scale,
               const Index& index_) {
  check_features(features_);
  check_boxes(boxes_, index_, features_.size(0), rows, columns, features_.device());
  const c10::cuda::CUDAGuard guard(features_.device());
  const Tensor features = channels_last(features_), boxes = boxes_.contiguous(), index = contiguous(index_);
  const int64_t batch = features.size(0), channels = features.size(1);
  Tensor pooled = at::empty({boxes.size(0), channels, rows, columns}, features.options(), c10::MemoryFormat::ChannelsLast);
  launch_forward(type_of(features), features.const_data_ptr(), make_boxes(boxes, scale, index, batch),
                make_sizes(batch, channels, features.size(2), features.size(3), rows, columns),
                pooled.mutable_data_ptr(), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return pooled;
}

Tensor backward_features(const Tensor& grad_, const Tensor& boxes_, int64_t rows, int64_t columns, double scale,
                         const Index& index_, int64_t batch, int64_t height, int64_t width) {
  check_boxes(boxes_, index_, batch, rows, columns, grad_.device());
  check_grad(grad_, boxes_, rows, columns);
  const c10::cuda::CUDAGuard guard(grad_.device());
  const Tensor grad = channels_last(grad_), boxes = boxes_.contiguous(), index = contiguous(index_);
  Tensor grad_features =
      at::empty({batch, grad.size(1), height, width}, grad.options(), c10::MemoryFormat::ChannelsLast);
  Tensor order, start;
  if (index.defined()) {
    Tensor sorted;
    std::tie(sorted, order) = at::sort(index, /*stable=*/true, /*dim=*/0, /*descending=*/false);
    start = at::searchsorted(sorted, at::arange(batch + 1, index.options()));
  }
  const Groups groups{order.defined() ? order.const_data_ptr<int64_t>() : nullptr,
                      start.defined() ? start.const_data_ptr<int64_t>() : nullptr};
  launch_backward_features(type_of(grad), grad.const_data_ptr(), make_boxes(boxes, scale, index, batch), groups,
                          make_sizes(batch, grad.size(1), height, width, rows, columns),
                          grad_features.mutable_data_ptr(), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return grad_features;
}

Tensor backward_boxes(const Tensor& grad_, const Tensor& features_, const Tensor& boxes_, int64_t rows,
                      int64_t columns, double scale, const Index& index_) {
  check_features(features_);
  check_boxes(boxes_, index_, features_.size(0), rows, columns, features_.device());
  check_grad(grad_, boxes_, rows, columns);
  check_fit(grad_, features_);
  const c10::cuda::CUDAGuard guard(features_.device());
  const Tensor features = channels_last(features_), grad = channels_last(grad_), boxes = boxes_.contiguous(),
               index = contiguous(index_);
  const int64_t batch = features.size(0), channels = features.size(1);
  Tensor grad_boxes = at::empty(boxes.sizes(), boxes.options());
  launch_backward_boxes(type_of(features), grad.const_data_ptr(), features.const_data_ptr(),
                       make_boxes(boxes, scale, index, batch),
                       make_sizes(batch, channels, features.size(2), features.size(3), rows, columns),
                       grad_boxes.mutable_data_ptr(), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return grad_boxes;
}

std::string cuda_build() {
  return "CUDA " + std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) +
         ", code for " PRROI_TARGETS;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ebm_regression, m) { m.def("cuda_build() -> str", cuda_build); }

TORCH_LIBRARY_IMPL(ebm_regression, CUDA, m) {
  m.impl("prroi_pool", forward);
  m.impl("prroi_pool_backward_features", backward_features);
  m.impl("prroi_pool_backward_boxes", backward_boxes);
}

}  // namespace prroi::cuda
