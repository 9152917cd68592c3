// What the kernels need to be memory-safe; the public Python function explains mistakes to people.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/MemoryFormat.h>

#include <optional>

namespace prroi {

inline void check_boxes(const at::Tensor& boxes, const std::optional<at::Tensor>& index, int64_t batch, int64_t rows,
                        int64_t columns, c10::Device device) {
  TORCH_CHECK_VALUE(boxes.dim() == 2 && boxes.size(1) == 4, "prroi_pool: boxes must be (K, 4), got ", boxes.sizes());
  TORCH_CHECK_VALUE(boxes.scalar_type() == at::kFloat || boxes.scalar_type() == at::kDouble,
                    "prroi_pool: boxes must be float32 or float64, got ", boxes.scalar_type());
  TORCH_CHECK_VALUE(rows > 0 && columns > 0, "prroi_pool: no bins in ", rows, " rows and ", columns, " columns");
  TORCH_CHECK_VALUE(boxes.device() == device, "prroi_pool: boxes on ", boxes.device(), ", features on ", device);
  if (index) {
    TORCH_CHECK_VALUE(index->dim() == 1 && index->size(0) == boxes.size(0) && index->scalar_type() == at::kLong,
                      "prroi_pool: index must be (K,) int64");
    TORCH_CHECK_VALUE(index->device() == device, "prroi_pool: index on ", index->device(), ", features on ", device);
  } else {
    TORCH_CHECK_VALUE(batch > 0 ? boxes.size(0) % batch == 0 : boxes.size(0) == 0, "prroi_pool: ", boxes.size(0),
                      " boxes cannot be shared out evenly to ", batch, " images");
  }
}

inline void check_features(const at::Tensor& features) {
  TORCH_CHECK_VALUE(features.dim() == 4, "prroi_pool: features must be (B, C, H, W), got ", features.sizes());
}

inline void check_grad(const at::Tensor& grad, const at::Tensor& boxes, int64_t rows, int64_t columns) {
  TORCH_CHECK_VALUE(grad.dim() == 4 && grad.size(0) == boxes.size(0) && grad.size(2) == rows && grad.size(3) == columns,
                    "prroi_pool: the gradient must be (K, C, rows, columns), got ", grad.sizes());
}

inline void check_fit(const at::Tensor& grad, const at::Tensor& features) {
  TORCH_CHECK_VALUE(grad.size(1) == features.size(1) && grad.scalar_type() == features.scalar_type() &&
                        grad.device() == features.device(),
                    "prroi_pool: the gradient does not fit the features");
}

inline at::Tensor channels_last(const at::Tensor& t) { return t.contiguous(c10::MemoryFormat::ChannelsLast); }

}  // namespace prroi
