// PrRoIPool on the CPU: from tensors to the loops of prroi_pool_kernels.cpp, shared out to threads.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "checks.h"
#include "prroi_pool_kernels.h"
#include "isa.h"
#include "team.h"

namespace prroi {
namespace {

using at::Tensor;
using Index = std::optional<Tensor>;

template <typename T>
const CpuKernels<T>& kernels();

template <>
const CpuKernels<float>& kernels<float>() {
  return EBM_CHOOSE(f32);
}

template <>
const CpuKernels<double>& kernels<double>() {
  return EBM_CHOOSE(f64);
}

std::string cpu_build() {
  const char* name = ebm::isa() == ebm::Isa::avx512 ? "AVX-512" : ebm::isa() == ebm::Isa::avx2 ? "AVX2" : "baseline";
#ifdef _OPENMP
  const char* threads = "";
#else
  const char* threads = ", one thread (built without OpenMP)";
#endif
  return std::string("compiler ") + __VERSION__ + ", runs " + name + " code on this processor" + threads;
}

// -- RoIs --------------------------------------------------------------------------------------------------------------

template <typename B>
std::vector<Roi<double>> read_boxes(const B* boxes, int64_t count, double scale, const int64_t* index, int64_t batch) {
  std::vector<Roi<double>> rois(count);
  const int64_t each = batch ? count / batch : 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t image = index ? index[k] : k / each;
    TORCH_CHECK_VALUE(image >= 0 && image < batch, "prroi_pool: an image index lies outside 0..", batch - 1);
    rois[k] = make_roi<double>(boxes + 4 * k, scale, image);
  }
  return rois;
}

std::vector<Roi<double>> make_rois(const Tensor& boxes_, double scale, const Index& index_, int64_t batch) {
  const Tensor boxes = boxes_.contiguous();
  const Tensor index = index_ ? index_->contiguous() : Tensor();
  const int64_t* images = index.defined() ? index.const_data_ptr<int64_t>() : nullptr;
  if (boxes.scalar_type() == at::kDouble) {
    return read_boxes(boxes.const_data_ptr<double>(), boxes.size(0), scale, images, batch);
  }
  return read_boxes(boxes.const_data_ptr<float>(), boxes.size(0), scale, images, batch);
}

// Half precision is computed in float32.
Tensor computable(const Tensor& t) {
  return channels_last(t.scalar_type() == at::kDouble ? t : t.to(at::kFloat));
}

// The memory for one thread's weights, aligned for vectors.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(new char[bytes + 64]) {}
  void* start() { return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(bytes_.get()) + 63) / 64 * 64); }

 private:
  std::unique_ptr<char[]> bytes_;
};

// How many of `count` parts of the work on `rois` boxes are worth a thread of their own. Waking one up and waiting for it
// costs ten microseconds, and far more where other programs want the processors, too.
int64_t grain(const Sizes& s, int64_t rois, int64_t count) {
  const double multiplications = double(rois) * s.rows * s.columns * 12 * s.channels;  // with a dozen cells to a bin
  constexpr double enough = 1 << 20;
  return multiplications <= enough ? count : std::max<int64_t>(1, int64_t(count * (enough / multiplications)));
}

template <typename Body>
auto with_type(const Tensor& t, const Body& body) {
  return t.scalar_type() == at::kDouble ? body.template operator()<double>() : body.template operator()<float>();
}

// -- the operators -----------------------------------------------------------------------------------------------------

Tensor forward(const Tensor& features_, const Tensor& boxes, int64_t rows, int64_t columns, double scale,
               const Index& index) {
  check_features(features_);
  check_boxes(boxes, index, features_.size(0), rows, columns, features_.device());
  const Tensor features = computable(features_);
  const Sizes s{features.size(2), features.size(3), features.size(1), rows, columns};
  const auto rois = make_rois(boxes, scale, index, features.size(0));
  const int64_t count = rois.size();
  Tensor pooled = at::empty({count, s.channels, rows, columns}, features.options(), c10::MemoryFormat::ChannelsLast);
  with_type(features, [&]<typename T>() {
    const auto& kernel = kernels<T>();
    const T* from = features.const_data_ptr<T>();
    T* to = pooled.mutable_data_ptr<T>();
    ebm::parallel_for(0, count, grain(s, count, count), [&](int64_t begin, int64_t end) {
      Memory memory(kernel.scratch(s));
      kernel.forward(from, rois.data(), begin, end, s, memory.start(), to);
    });
  });
  return pooled.to(features_.scalar_type());
}

Tensor backward_features(const Tensor& grad_, const Tensor& boxes, int64_t rows, int64_t columns, double scale,
                         const Index& index, int64_t batch, int64_t height, int64_t width) {
  check_boxes(boxes, index, batch, rows, columns, grad_.device());
  check_grad(grad_, boxes, rows, columns);
  const Tensor grad = computable(grad_);
  const Sizes s{height, width, grad.size(1), rows, columns};
  const auto rois = make_rois(boxes, scale, index, batch);
  Tensor grad_features = at::empty({batch, s.channels, height, width}, grad.options(), c10::MemoryFormat::ChannelsLast);
  if (grad_features.numel() == 0) return grad_features.to(grad_.scalar_type());

  std::vector<int64_t> start(batch + 1), order(rois.size());  // the RoIs of each image, in the order of the boxes
  for (const auto& roi : rois) ++start[roi.image + 1];
  for (int64_t b = 0; b < batch; ++b) start[b + 1] += start[b];
  std::vector<int64_t> next(start.begin(), start.end() - 1);
  for (size_t k = 0; k < rois.size(); ++k) order[next[rois[k].image]++] = k;

  with_type(grad, [&]<typename T>() {
    const auto& kernel = kernels<T>();
    const T* from = grad.const_data_ptr<T>();
    T* to = grad_features.mutable_data_ptr<T>();
    // A row of cells belongs to one thread, which adds up its RoIs in their order: the same sum with any threads.
    ebm::parallel_for(0, batch * height, grain(s, rois.size(), batch * height), [&](int64_t begin, int64_t end) {
      Memory memory(kernel.scratch(s));
      kernel.backward_features(from, rois.data(), order.data(), start.data(), begin, end, s, memory.start(), to);
    });
  });
  return grad_features.to(grad_.scalar_type());
}

Tensor backward_boxes(const Tensor& grad_, const Tensor& features_, const Tensor& boxes, int64_t rows, int64_t columns,
                      double scale, const Index& index) {
  check_features(features_);
  check_boxes(boxes, index, features_.size(0), rows, columns, features_.device());
  check_grad(grad_, boxes, rows, columns);
  check_fit(grad_, features_);
  const Tensor features = computable(features_), grad = computable(grad_);
  const Sizes s{features.size(2), features.size(3), features.size(1), rows, columns};
  const auto rois = make_rois(boxes, scale, index, features.size(0));
  const int64_t count = rois.size();
  std::vector<double> in_cells(4 * count);
  with_type(features, [&]<typename T>() {
    const auto& kernel = kernels<T>();
    const T *gradient = grad.const_data_ptr<T>(), *map = features.const_data_ptr<T>();
    ebm::parallel_for(0, count, grain(s, count, count), [&](int64_t begin, int64_t end) {
      Memory memory(kernel.scratch(s));
      kernel.backward_boxes(gradient, map, rois.data(), begin, end, s, memory.start(), in_cells.data());
    });
  });
  Tensor grad_boxes = at::empty({count, 4}, boxes.options());
  if (boxes.scalar_type() == at::kDouble) {
    double* to = grad_boxes.mutable_data_ptr<double>();
    for (int64_t i = 0; i < 4 * count; ++i) to[i] = in_cells[i] * scale;
  } else {
    float* to = grad_boxes.mutable_data_ptr<float>();
    for (int64_t i = 0; i < 4 * count; ++i) to[i] = float(in_cells[i] * scale);
  }
  return grad_boxes;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ebm_regression, m) { m.def("cpu_build() -> str", cpu_build); }

TORCH_LIBRARY_IMPL(ebm_regression, CPU, m) {
  m.impl("prroi_pool", forward);
  m.impl("prroi_pool_backward_features", backward_features);
  m.impl("prroi_pool_backward_boxes", backward_boxes);
}

}  // namespace prroi
