// The operators' schemas and derivatives. The kernels for each device register themselves beside their code.
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace prroi {
namespace {

using at::Tensor;
using torch::autograd::variable_list;
using Index = std::optional<Tensor>;

Tensor forward(const Tensor& features, const Tensor& boxes, int64_t rows, int64_t columns, double scale,
               const Index& index) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("ebm_regression::prroi_pool", "")
                             .typed<Tensor(const Tensor&, const Tensor&, int64_t, int64_t, double, const Index&)>();
  return op.call(features, boxes, rows, columns, scale, index);
}

Tensor backward_features(const Tensor& grad, const Tensor& boxes, int64_t rows, int64_t columns, double scale,
                         const Index& index, const c10::SymInt& batch, const c10::SymInt& height,
                         const c10::SymInt& width) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("ebm_regression::prroi_pool_backward_features", "")
                             .typed<Tensor(const Tensor&, const Tensor&, int64_t, int64_t, double, const Index&,
                                           c10::SymInt, c10::SymInt, c10::SymInt)>();
  return op.call(grad, boxes, rows, columns, scale, index, batch, height, width);
}

Tensor backward_boxes(const Tensor& grad, const Tensor& features, const Tensor& boxes, int64_t rows, int64_t columns,
                      double scale, const Index& index) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("ebm_regression::prroi_pool_backward_boxes", "")
          .typed<Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t, double, const Index&)>();
  return op.call(grad, features, boxes, rows, columns, scale, index);
}

// Both gradients, by the torch form in Python, so that they can be differentiated again.
std::tuple<Tensor, Tensor> differentiable_backward(const Tensor& grad, const Tensor& features, const Tensor& boxes,
                                                   int64_t rows, int64_t columns, double scale, const Index& index) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("ebm_regression::prroi_pool_differentiable_backward", "")
                             .typed<std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, int64_t,
                                                               int64_t, double, const Index&)>();
  return op.call(grad, features, boxes, rows, columns, scale, index);
}

class PrRoIPool : public torch::autograd::Function<PrRoIPool> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& features, const Tensor& boxes,
                        int64_t rows, int64_t columns, double scale, const Index& index) {
    // The gradient in the features does not depend on them, so that they are kept only for the boxes.
    ctx->save_for_backward({boxes.requires_grad() ? features : Tensor(), boxes, index.value_or(Tensor())});
    ctx->saved_data["rows"] = rows;
    ctx->saved_data["columns"] = columns;
    ctx->saved_data["scale"] = scale;
    const auto size = features.sym_sizes();
    ctx->saved_data["batch"] = size[0];
    ctx->saved_data["channels"] = size[1];
    ctx->saved_data["height"] = size[2];
    ctx->saved_data["width"] = size[3];
    at::AutoDispatchBelowADInplaceOrView guard;
    return prroi::forward(features, boxes, rows, columns, scale, index);
  }

  static variable_list backward(torch::autograd::AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    Tensor features = saved[0];
    const Tensor& boxes = saved[1];
    const Index index = saved[2].defined() ? Index(saved[2]) : std::nullopt;
    const int64_t rows = ctx->saved_data["rows"].toInt(), columns = ctx->saved_data["columns"].toInt();
    const double scale = ctx->saved_data["scale"].toDouble();
    const auto batch = ctx->saved_data["batch"].toSymInt(), height = ctx->saved_data["height"].toSymInt(),
               width = ctx->saved_data["width"].toSymInt();
    Tensor of_features, of_boxes;
    if (at::GradMode::is_enabled()) {  // create_graph=True
      if (!features.defined()) {
        features = grads[0].new_zeros_symint({batch, ctx->saved_data["channels"].toSymInt(), height, width});
      }
      std::tie(of_features, of_boxes) =
          differentiable_backward(grads[0], features, boxes, rows, columns, scale, index);
    } else {
      if (ctx->needs_input_grad(0)) {
        of_features = backward_features(grads[0], boxes, rows, columns, scale, index, batch, height, width);
      }
      if (ctx->needs_input_grad(1)) {
        of_boxes = backward_boxes(grads[0], features, boxes, rows, columns, scale, index);
      }
    }
    return {of_features, of_boxes, {}, {}, {}, {}};
  }
};

Tensor forward_with_gradient(const Tensor& features, const Tensor& boxes, int64_t rows, int64_t columns, double scale,
                             const Index& index) {
  if (at::GradMode::is_enabled() && (features.requires_grad() || boxes.requires_grad())) {
    return PrRoIPool::apply(features, boxes, rows, columns, scale, index);
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  return forward(features, boxes, rows, columns, scale, index);
}

}  // namespace

// Without `index` (K,) int64, the boxes follow one another image by image, equally many for each.
TORCH_LIBRARY(ebm_regression, m) {
  m.def("prroi_pool(Tensor features, Tensor boxes, int rows, int columns, float scale, Tensor? index=None) -> Tensor");
  m.def(
      "prroi_pool_backward_features(Tensor grad, Tensor boxes, int rows, int columns, float scale, Tensor? index, "
      "SymInt batch, SymInt height, SymInt width) -> Tensor");
  m.def(
      "prroi_pool_backward_boxes(Tensor grad, Tensor features, Tensor boxes, int rows, int columns, float scale, "
      "Tensor? index=None) -> Tensor");
  m.def(
      "prroi_pool_differentiable_backward(Tensor grad, Tensor features, Tensor boxes, int rows, int columns, "
      "float scale, Tensor? index=None) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(ebm_regression, Autograd, m) {
  m.impl("prroi_pool", forward_with_gradient);
  m.impl("prroi_pool_backward_features", torch::autograd::autogradNotImplementedFallback());
  m.impl("prroi_pool_backward_boxes", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace prroi
