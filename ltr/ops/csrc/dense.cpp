// Layers of frozen networks on the CPU, for inference: inverted residual block, 3 x 3 convolution, box network. From
// tensors to the loops of dense_kernels.cpp, shared out to threads.
#include "dense_kernels.h"

#include "isa.h"

#include <ATen/Parallel.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

// Operators of prroi_pool_ops.cpp, through the dispatcher.
namespace prroi {
namespace {

at::Tensor pool(const at::Tensor& features, const at::Tensor& boxes, int64_t rows, int64_t columns, double scale) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("ebm_regression::prroi_pool", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, double,
                                               const std::optional<at::Tensor>&)>();
  return op.call(features, boxes, rows, columns, scale, std::nullopt);
}

at::Tensor pool_backward_boxes(const at::Tensor& grad, const at::Tensor& features, const at::Tensor& boxes,
                               int64_t rows, int64_t columns, double scale) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("ebm_regression::prroi_pool_backward_boxes", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t,
                                               int64_t, double, const std::optional<at::Tensor>&)>();
  return op.call(grad, features, boxes, rows, columns, scale, std::nullopt);
}

}  // namespace
}  // namespace prroi

namespace dense {
namespace {

using at::Tensor;

const Kernels& kernels() { return EBM_CHOOSE(kernels); }

constexpr float kUnbounded = std::numeric_limits<float>::infinity();

int64_t panels(int64_t columns) { return (columns + kernels().panel - 1) / kernels().panel; }

bool is_float(const Tensor& t, int64_t dim) { return t.dim() == dim && t.scalar_type() == at::kFloat; }

// (inner, columns) -> (panels, inner, panel), the last panel filled up with zeros.
Tensor pack(const Tensor& matrix) {
  TORCH_CHECK_VALUE(is_float(matrix, 2), "pack: expected a float32 matrix");
  const int64_t inner = matrix.size(0), columns = matrix.size(1), count = panels(columns), panel = kernels().panel;
  Tensor wide = at::zeros({inner, count * panel}, matrix.options());
  wide.narrow(1, 0, columns).copy_(matrix);
  return wide.view({inner, count, panel}).transpose(0, 1).contiguous();
}

// Rows (n, columns) -> (n, columns filled up to whole panels with zeros).
Tensor pad(const Tensor& rows) {
  TORCH_CHECK_VALUE(is_float(rows, 2), "pad: expected a float32 matrix");
  const int64_t columns = rows.size(1);
  Tensor wide = at::zeros({rows.size(0), panels(columns) * kernels().panel}, rows.options());
  wide.narrow(1, 0, columns).copy_(rows);
  return wide;
}

// -- inverted residual -------------------------------------------------------------------------------------------------

// The block of MobileNetV2 and EfficientNet-Lite in one pass: a 1 x 1 convolution that expands the channels, a depthwise
// one, a 1 x 1 one that projects them back, ReLU6 after the first two, and the identity added.
//
// Layer by layer, the expanded map (six times the input's channels, at full resolution) goes through memory four times,
// which is where the time of such a network goes. Here a band of its rows is made, used and overwritten in the cache.

constexpr int64_t kBand = 1 << 17;  // floats of the expanded map that a thread keeps: half a megabyte

// x (N, C, H, W) -> (N, out_channels, out_height, out_width), channels-last.
//   expand: packed (C, middle) and its bias; none where the block does not expand (then middle = C).
//   depthwise (kernel^2, middle), project: packed (middle, out_channels); biases and `depthwise` padded to whole panels.
//   top, left: rows and columns of padding; below and to the right there is as much as is needed.
Tensor inverted_residual(const Tensor& x, const std::optional<Tensor>& expand, const std::optional<Tensor>& expand_bias,
                         const Tensor& depthwise, const Tensor& depthwise_bias, const Tensor& project,
                         const Tensor& project_bias, int64_t out_channels, int64_t kernel, int64_t stride,
                         int64_t top, int64_t left, int64_t out_height, int64_t out_width, bool residual) {
  TORCH_CHECK_VALUE(is_float(x, 4), "inverted_residual: expected float32 (N, C, H, W)");
  TORCH_CHECK_VALUE(kernel == 3 || kernel == 5, "inverted_residual: the kernel must be 3 or 5, not ", kernel);
  TORCH_CHECK_VALUE(stride == 1 || stride == 2, "inverted_residual: the stride must be 1 or 2, not ", stride);
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t middle = depthwise.size(1), inner = project.size(1), panel = kernels().panel;
  TORCH_CHECK_VALUE(is_float(depthwise, 2) && depthwise.size(0) == kernel * kernel && middle == panels(inner) * panel &&
                        depthwise_bias.numel() == middle && is_float(project, 3) &&
                        project.size(0) == panels(out_channels) && project_bias.numel() == project.size(0) * panel &&
                        (expand ? is_float(*expand, 3) && expand->size(1) == channels &&
                                      expand->size(0) * panel == middle && expand_bias->numel() == middle
                                : inner == channels),
                    "inverted_residual: the weights fit neither each other nor an input of ", channels, " channels");
  const int64_t padded_width = (out_width - 1) * stride + kernel, columns = std::min(width, padded_width - left);
  TORCH_CHECK_VALUE(batch > 0 && height > 0 && out_height > 0 && out_width > 0 && top >= 0 && left >= 0 && columns > 0 &&
                        (out_height - 1) * stride - top < height,
                    "inverted_residual: the output's size does not follow from the input's");
  TORCH_CHECK_VALUE(!residual || (stride == 1 && out_channels == channels && out_height == height && out_width == width),
                    "inverted_residual: an output of another shape than the input, which is to be added");

  const Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  Tensor output = at::empty({batch, out_channels, out_height, out_width}, x.options(), at::MemoryFormat::ChannelsLast);
  const float* from = input.const_data_ptr<float>();
  float* to = output.mutable_data_ptr<float>();
  const auto& k = kernels();

  // Rows of the expanded map, one above the other, with columns of zeros at both sides: row y is at slot y % slots.
  const int64_t row_size = padded_width * middle;
  const int64_t band = std::min(std::max<int64_t>((kBand / row_size - kernel) / stride + 1, 1), out_height);
  const int64_t slots = (band - 1) * stride + kernel;
  const std::vector<float> zeros(row_size, 0.f);

  const auto make_row = [&](const float* source, float* target) {
    if (expand) {
      const Epilogue e{expand_bias->const_data_ptr<float>(), nullptr, 0, 0.f, 6.f};
      k.gemm(source, channels, expand->const_data_ptr<float>(), channels, target, middle, columns, middle, 0,
             panels(middle), e);
    } else {
      for (int64_t x = 0; x < columns; ++x) std::copy_n(source + x * channels, channels, target + x * middle);
    }
  };
  // Output row y of image n. `convolved`: memory for one row.
  const auto use_row = [&](int64_t n, int64_t y, const float* ring, float* convolved) {
    const float* rows[5];
    for (int64_t i = 0; i < kernel; ++i) {
      const int64_t source = y * stride - top + i;
      rows[i] = source < 0 || source >= height ? zeros.data() : ring + (source % slots) * row_size;
    }
    k.depthwise_row(rows, out_width, middle, depthwise.const_data_ptr<float>(), depthwise_bias.const_data_ptr<float>(),
                    kernel, stride, convolved);
    const int64_t pixel = (n * out_height + y) * out_width;
    const Epilogue e{project_bias.const_data_ptr<float>(), residual ? from + pixel * channels : nullptr, channels,
                     -kUnbounded, kUnbounded};
    k.gemm(convolved, middle, project.const_data_ptr<float>(), inner, to + pixel * out_channels, out_channels,
           out_width, out_channels, 0, panels(out_channels), e);
  };

  // A map that is kept whole is made by all threads together, then used by all. Of a larger one each thread has a strip
  // with a ring of its own, and makes the few rows at its edges that its neighbour makes too: no thread waits. (Inside a
  // parallel loop, inner ones run on the thread that meets them.)
  const bool whole = band == out_height;
  for (int64_t n = 0; n < batch; ++n) {
    const float* image = from + n * height * width * channels;
    at::parallel_for(0, out_height, whole ? out_height : 1, [&](int64_t strip_begin, int64_t strip_end) {
      std::vector<float> ring(slots * row_size, 0.f);
      int64_t made = std::max<int64_t>(strip_begin * stride - top, 0);  // the first row that is not made yet
      for (int64_t first = strip_begin; first < strip_end; first += band) {
        const int64_t last = std::min(first + band, strip_end);
        const int64_t needed = std::max(std::min((last - 1) * stride - top + kernel, height), made);
        at::parallel_for(made, needed, 1, [&](int64_t begin, int64_t end) {
          for (int64_t y = begin; y < end; ++y) {
            make_row(image + y * width * channels, ring.data() + (y % slots) * row_size + left * middle);
          }
        });
        made = needed;
        at::parallel_for(first, last, 1, [&](int64_t begin, int64_t end) {
          std::vector<float> convolved(out_width * middle);
          for (int64_t y = begin; y < end; ++y) use_row(n, y, ring.data(), convolved.data());
        });
      }
    });
  }
  return output;
}

// -- 3 x 3 convolution ---------------------------------------------------------------------------------------------------

// Of stride 1 and padding 1, by Winograd's minimal filtering F(4 x 4, 3 x 3): a quarter of the multiplications. Lavin and
// Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
//
// x (N, C, H, W), weight (36, C, K): G g G^T of each filter, bias (K,) -> (N, K, H, W), channels-last. `addend` of the
// output's shape is added before the ReLU.
Tensor winograd_conv3x3(const Tensor& x, const Tensor& weight, const Tensor& bias, const std::optional<Tensor>& addend,
                        bool relu) {
  TORCH_CHECK_VALUE(is_float(x, 4) && is_float(weight, 3) && weight.size(0) == 36 && weight.size(1) == x.size(1) &&
                        is_float(bias, 1) && bias.size(0) == weight.size(2),
                    "winograd_conv3x3: weight ", weight.sizes(), " and bias ", bias.sizes(), " do not fit input ",
                    x.sizes(), ", or not all are float32");
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3), out = weight.size(2);
  TORCH_CHECK_VALUE(!addend || (is_float(*addend, 4) && addend->sizes() == at::IntArrayRef({batch, out, height, width})),
                    "winograd_conv3x3: the addend is not float32 of the output's shape");
  const int64_t down = (height + 3) / 4, across = (width + 3) / 4, tiles = batch * down * across;
  const Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  const Tensor filter_bias = bias.contiguous();
  Tensor added;
  if (addend) added = addend->contiguous(at::MemoryFormat::ChannelsLast);
  Tensor output = at::empty({batch, out, height, width}, x.options(), at::MemoryFormat::ChannelsLast);
  const auto& k = kernels();

  Tensor transformed = at::empty({36, tiles, channels}, x.options());
  const float* from = input.const_data_ptr<float>();
  float* spectrum = transformed.mutable_data_ptr<float>();
  const std::vector<float> zeros(channels, 0.f);
  at::parallel_for(0, batch * down, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t t = 0; t < across; ++t) {
        const float* pixels[36];
        for (int64_t i = 0; i < 6; ++i) {
          for (int64_t j = 0; j < 6; ++j) {
            const int64_t y = 4 * (r % down) - 1 + i, column = 4 * t - 1 + j;
            const bool inside = y >= 0 && y < height && column >= 0 && column < width;
            pixels[6 * i + j] =
                inside ? from + (((r / down) * height + y) * width + column) * channels : zeros.data();
          }
        }
        k.winograd_input(pixels, channels, spectrum + (r * across + t) * channels, tiles * channels);
      }
    }
  });

  const Tensor products = at::bmm(transformed, weight);
  const float* product = products.const_data_ptr<float>();
  float* to = output.mutable_data_ptr<float>();
  at::parallel_for(0, batch * down, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t y = 4 * (r % down);
      for (int64_t t = 0; t < across; ++t) {
        const int64_t at = (((r / down) * height + y) * width + 4 * t) * out;
        const Tile tile{filter_bias.const_data_ptr<float>(),
                        added.defined() ? added.const_data_ptr<float>() + at : nullptr,
                        to + at,
                        width * out,
                        std::min<int64_t>(4, height - y),
                        std::min<int64_t>(4, width - 4 * t),
                        relu};
        k.winograd_output(product + (r * across + t) * out, tiles * out, out, tile);
      }
    }
  });
  return output;
}

// -- ATOM's box network ------------------------------------------------------------------------------------------------

// f of a few boxes, and its gradient in closed form. At each feature level boxes are pooled, and pass a linear layer and
// ReLU; one more linear layer makes one number of both levels: f = out . relu(W p + b) + c.

struct Level {
  Tensor maps;             // (1, C, H, W)
  Tensor weight, bias;     // packed (bins^2 C, hidden), its rows in the order of a pooled map that is channels-last
  Tensor transposed;       // packed (hidden, bins^2 C)
  Tensor out;              // (hidden,)
  int64_t bins;
  double scale, first_cell;  // cells per pixel; pixels from the image's edge to the centre of the first cell
};

// a (M, inner) b + bias (null: none), b packed. What is shared out to threads are b's columns: b is what takes long to
// read.
Tensor product(const Tensor& a, const Tensor& packed, const float* bias, int64_t columns, bool relu) {
  Tensor output = at::empty({a.size(0), columns}, a.options());
  const int64_t rows = a.size(0), inner = a.size(1);
  const std::vector<float> zeros(bias ? 0 : packed.size(0) * kernels().panel, 0.f);
  const Epilogue e{bias ? bias : zeros.data(), nullptr, 0, relu ? 0.f : -kUnbounded, kUnbounded};
  const float *from = a.const_data_ptr<float>(), *weight = packed.const_data_ptr<float>();
  float* to = output.mutable_data_ptr<float>();
  at::parallel_for(0, packed.size(0), 1, [&](int64_t begin, int64_t end) {
    kernels().gemm(from, inner, weight, inner, to, columns, rows, columns, begin, end, e);
  });
  return output;
}

// Adds this level's part to f (M,) and, unless it is null, to the gradient (M, 4) in x, y, w, h.
void add_level(const Level& level, const Tensor& boxes, float* f, float* gradient) {
  const int64_t count = boxes.size(0), bins = level.bins, channels = level.maps.size(1), hidden = level.out.size(0);
  Tensor corners = at::empty({count, 4}, boxes.options());
  const float* box = boxes.const_data_ptr<float>();
  float* corner = corners.mutable_data_ptr<float>();
  const float first = level.first_cell;
  for (int64_t m = 0; m < count; ++m, box += 4, corner += 4) {
    corner[0] = box[0] - first;
    corner[1] = box[1] - first;
    corner[2] = box[0] + box[2] - first;
    corner[3] = box[1] + box[3] - first;
  }
  const Tensor pooled = prroi::pool(level.maps, corners, bins, bins, level.scale);
  const Tensor flat = pooled.permute({0, 2, 3, 1}).reshape({count, bins * bins * channels});
  Tensor active = product(flat, level.weight, level.bias.const_data_ptr<float>(), hidden, true);

  float* h = active.mutable_data_ptr<float>();
  const float* out = level.out.const_data_ptr<float>();
  for (int64_t m = 0; m < count; ++m, h += hidden) {
    double sum = 0;
    for (int64_t i = 0; i < hidden; ++i) {
      sum += double(h[i]) * out[i];
      h[i] = h[i] > 0 ? out[i] : 0;  // from here on, the gradient
    }
    f[m] += float(sum);
  }
  if (!gradient) return;
  const Tensor of_pooled = product(active, level.transposed, nullptr, bins * bins * channels, false)
                               .view({count, bins, bins, channels})
                               .permute({0, 3, 1, 2});
  const Tensor of_corners = prroi::pool_backward_boxes(of_pooled, level.maps, corners, bins, bins, level.scale);
  const float* g = of_corners.const_data_ptr<float>();
  for (int64_t m = 0; m < count; ++m, g += 4, gradient += 4) {
    gradient[0] += g[0] + g[2];
    gradient[1] += g[1] + g[3];
    gradient[2] += g[2];
    gradient[3] += g[3];
  }
}

// boxes (M, 4), x, y, w, h in pixels -> f (M,) and its gradient (M, 4), or (0, 4) where it is not asked for. The lists
// hold one entry a level.
std::tuple<Tensor, Tensor> box_energy(const Tensor& boxes_, at::TensorList maps, at::TensorList weight,
                                      at::TensorList bias, at::TensorList transposed, at::TensorList out,
                                      at::IntArrayRef bins, at::ArrayRef<double> scale, at::ArrayRef<double> first_cell,
                                      double constant, bool gradient) {
  TORCH_CHECK_VALUE(is_float(boxes_, 2) && boxes_.size(1) == 4, "box_energy: boxes must be (M, 4) float32, got ",
                    boxes_.sizes());
  const size_t levels = maps.size();
  TORCH_CHECK_VALUE(weight.size() == levels && bias.size() == levels && transposed.size() == levels &&
                        out.size() == levels && bins.size() == levels && scale.size() == levels &&
                        first_cell.size() == levels,
                    "box_energy: the lists must have one entry for each level");
  const Tensor boxes = boxes_.contiguous();
  const int64_t count = boxes.size(0), panel = kernels().panel;
  Tensor value = at::full({count}, constant, boxes.options());
  Tensor slope = at::zeros({gradient ? count : 0, 4}, boxes.options());
  for (size_t l = 0; l < levels; ++l) {
    TORCH_CHECK_VALUE(is_float(maps[l], 4) && maps[l].size(0) == 1, "box_energy: maps must be (1, C, H, W) float32, got ",
                      maps[l].sizes());
    const int64_t pooled = bins[l] * bins[l] * maps[l].size(1), hidden = out[l].size(0);
    TORCH_CHECK_VALUE(is_float(weight[l], 3) && weight[l].size(1) == pooled && weight[l].size(0) == panels(hidden) &&
                          bias[l].numel() == weight[l].size(0) * panel && is_float(transposed[l], 3) &&
                          transposed[l].size(1) == hidden && transposed[l].size(0) == panels(pooled) &&
                          is_float(out[l], 1) && out[l].is_contiguous(),
                      "box_energy: the weights of level ", l, " do not fit its maps ", maps[l].sizes());
    add_level({maps[l], weight[l], bias[l], transposed[l], out[l], bins[l], scale[l], first_cell[l]}, boxes,
              value.mutable_data_ptr<float>(), gradient ? slope.mutable_data_ptr<float>() : nullptr);
  }
  return {value, slope};
}

}  // namespace
}  // namespace dense

TORCH_LIBRARY_FRAGMENT(ebm_regression, m) {
  m.def("pack(Tensor matrix) -> Tensor");
  m.def("pad(Tensor rows) -> Tensor");
  m.def(
      "inverted_residual(Tensor x, Tensor? expand, Tensor? expand_bias, Tensor depthwise, Tensor depthwise_bias, "
      "Tensor project, Tensor project_bias, int out_channels, int kernel, int stride, int top, int left, "
      "int out_height, int out_width, bool residual) -> Tensor");
  m.def(
      "box_energy(Tensor boxes, Tensor[] maps, Tensor[] weight, Tensor[] bias, Tensor[] transposed, Tensor[] out, "
      "int[] bins, float[] scale, float[] first_cell, float constant, bool gradient) -> (Tensor, Tensor)");
  m.def("winograd_conv3x3(Tensor x, Tensor weight, Tensor bias, Tensor? addend, bool relu) -> Tensor");
}

TORCH_LIBRARY_IMPL(ebm_regression, CPU, m) {
  m.impl("pack", dense::pack);
  m.impl("pad", dense::pad);
  m.impl("box_energy", dense::box_energy);
  m.impl("inverted_residual", dense::inverted_residual);
  m.impl("winograd_conv3x3", dense::winograd_conv3x3);
}

TORCH_LIBRARY_IMPL(ebm_regression, Autograd, m) {
  for (const char* name : {"box_energy", "inverted_residual", "winograd_conv3x3"}) {
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
  }
}
