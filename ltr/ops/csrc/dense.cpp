// What a tracker computes on the CPU: inverted residual block, 3 x 3 convolution, box network, classifier's filter. From
// tensors to the loops of dense_kernels.cpp, shared out to threads.
#include "dense_kernels.h"

#include "isa.h"
#include "team.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
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

Factor packed(const float* data, int64_t inner) { return {data, inner * kernels().panel, kernels().panel}; }

// Not filled: zeros would cost a pass.
std::unique_ptr<float[]> memory(int64_t floats) { return std::unique_ptr<float[]>(new float[floats]); }

bool is_float(const Tensor& t, int64_t dim) { return t.dim() == dim && t.scalar_type() == at::kFloat; }

// (..., inner, columns) -> (..., panels, inner, panel), the last panel filled up with zeros.
Tensor pack(const Tensor& matrix) {
  TORCH_CHECK_VALUE(matrix.dim() >= 2 && matrix.scalar_type() == at::kFloat, "pack: expected float32 matrices");
  const int64_t columns = matrix.size(-1), count = panels(columns), panel = kernels().panel;
  std::vector<int64_t> shape = matrix.sizes().vec();
  shape.back() = count * panel;
  Tensor wide = at::zeros(shape, matrix.options());
  wide.narrow(-1, 0, columns).copy_(matrix);
  shape.back() = count;
  shape.push_back(panel);
  return wide.view(shape).transpose(-3, -2).contiguous();
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

constexpr int64_t kWhole = 1 << 19;  // floats of an expanded map that is kept whole: two megabytes, for all threads
constexpr int64_t kBand = 1 << 17;   // floats of a larger one that each thread keeps

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
  const bool whole = ((out_height - 1) * stride + kernel) * row_size <= kWhole;
  const int64_t band =
      whole ? out_height : std::min(std::max<int64_t>((kBand / row_size - kernel) / stride + 1, 1), out_height);
  const int64_t slots = (band - 1) * stride + kernel;
  const std::vector<float> zeros(row_size, 0.f);

  const auto make_row = [&](const float* source, float* row) {
    float* target = row + left * middle;
    std::fill(row, target, 0.f);
    std::fill(target + columns * middle, row + row_size, 0.f);
    if (expand) {
      const Epilogue e{expand_bias->const_data_ptr<float>(), nullptr, 0, 0.f, 6.f};
      k.gemm(source, channels, packed(expand->const_data_ptr<float>(), channels), channels, target, middle, columns,
             middle, 0, panels(middle), e);
    } else {
      for (int64_t x = 0; x < columns; ++x) {
        std::fill(std::copy_n(source + x * channels, channels, target + x * middle), target + (x + 1) * middle, 0.f);
      }
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
    k.gemm(convolved, middle, packed(project.const_data_ptr<float>(), inner), inner, to + pixel * out_channels,
           out_channels, out_width, out_channels, 0, panels(out_channels), e);
  };

  // A map that is kept whole is made by all threads together, then used by all. Of a larger one each thread has a strip
  // with a ring of its own, and makes the few rows at its edges that its neighbour makes too: no thread waits. (Inside a
  // parallel loop, inner ones run on the thread that meets them.)
  for (int64_t n = 0; n < batch; ++n) {
    const float* image = from + n * height * width * channels;
    ebm::parallel_for(0, out_height, whole ? out_height : 1, [&](int64_t strip_begin, int64_t strip_end) {
      const auto ring = memory(slots * row_size);
      int64_t made = std::max<int64_t>(strip_begin * stride - top, 0);  // the first row that is not made yet
      for (int64_t first = strip_begin; first < strip_end; first += band) {
        const int64_t last = std::min(first + band, strip_end);
        const int64_t needed = std::max(std::min((last - 1) * stride - top + kernel, height), made);
        ebm::parallel_for(made, needed, 1, [&](int64_t begin, int64_t end) {
          for (int64_t y = begin; y < end; ++y) {
            make_row(image + y * width * channels, ring.get() + (y % slots) * row_size);
          }
        });
        made = needed;
        ebm::parallel_for(first, last, 1, [&](int64_t begin, int64_t end) {
          const auto convolved = memory(out_width * middle);
          for (int64_t y = begin; y < end; ++y) use_row(n, y, ring.get(), convolved.get());
        });
      }
    });
  }
  return output;
}

// -- convolution ---------------------------------------------------------------------------------------------------------

constexpr int64_t kPixels = 96;  // of the output that are made at once, so that the weight is read once for so many

// Of any stride and padding, as a product: the values under the kernel, side by side for each pixel, times the weight.
//
// x (N, C, H, W), weight: packed (kernel^2 C, out_channels), its rows ordered by row, column and channel; bias padded to
// whole panels -> clamp(x * weight + bias, low, high), (N, out_channels, out_height, out_width), channels-last. `top`
// and `left`: rows and columns of zeros; below and to the right there are as many as are needed.
Tensor convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t out_channels, int64_t kernel,
                   int64_t stride, int64_t top, int64_t left, int64_t out_height, int64_t out_width, double low,
                   double high) {
  TORCH_CHECK_VALUE(is_float(x, 4) && is_float(weight, 3) && kernel > 0 && stride > 0 &&
                        weight.size(1) == kernel * kernel * x.size(1) && weight.size(0) == panels(out_channels) &&
                        bias.numel() == weight.size(0) * kernels().panel,
                    "convolution: weight ", weight.sizes(), " does not fit input ", x.sizes(), ", or not both are float32");
  TORCH_CHECK_VALUE(out_height > 0 && out_width > 0 && top >= 0 && left >= 0, "convolution: the output has no size");
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t across = kernel * channels, inner = kernel * across;
  const bool direct = kernel == 1 && stride == 1 && top + left == 0 && out_height == height && out_width == width;
  const Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
  Tensor output = at::empty({batch, out_channels, out_height, out_width}, x.options(), at::MemoryFormat::ChannelsLast);
  const float* from = input.const_data_ptr<float>();
  float* to = output.mutable_data_ptr<float>();
  const Factor filter = packed(weight.const_data_ptr<float>(), inner);
  const Epilogue e{bias.const_data_ptr<float>(), nullptr, 0, float(low), float(high)};

  // What lies under the kernel at row r of all images' output.
  const auto gather = [&](int64_t r, float* values) {
    const float* image = from + r / out_height * height * width * channels;
    for (int64_t column = 0; column < out_width; ++column) {
      const int64_t x0 = column * stride - left, y0 = r % out_height * stride - top;
      const int64_t first = std::clamp<int64_t>(-x0, 0, kernel), last = std::clamp<int64_t>(width - x0, first, kernel);
      for (int64_t y = y0; y < y0 + kernel; ++y, values += across) {
        if (y < 0 || y >= height) {
          std::fill_n(values, across, 0.f);
          continue;
        }
        std::fill_n(values, first * channels, 0.f);
        std::copy_n(image + (y * width + x0 + first) * channels, (last - first) * channels, values + first * channels);
        std::fill_n(values + last * channels, (kernel - last) * channels, 0.f);
      }
    }
  };
  const int64_t rows = std::max<int64_t>(kPixels / out_width, 1);
  ebm::parallel_for(0, batch * out_height, 1, [&](int64_t begin, int64_t end) {
    const auto values = memory(direct ? 0 : rows * out_width * inner);
    for (int64_t r = begin; r < end; r += rows) {
      const int64_t count = std::min(rows, end - r), pixel = r * out_width;
      for (int64_t k = 0; k < count && !direct; ++k) gather(r + k, values.get() + k * out_width * inner);
      kernels().gemm(direct ? from + pixel * channels : values.get(), inner, filter, inner, to + pixel * out_channels,
                     out_channels, count * out_width, out_channels, 0, weight.size(0), e);
    }
  });
  return output;
}

// -- 3 x 3 convolution ---------------------------------------------------------------------------------------------------

// Of stride 1 and padding 1, by Winograd's minimal filtering F(4 x 4, 3 x 3): a quarter of the multiplications. Lavin and
// Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
//
// x (N, C, H, W), weight: packed (36, C, K), G g G^T of each filter; bias (K,) -> (N, K, H, W), channels-last. `addend`
// of the output's shape is added before the ReLU.
Tensor winograd_conv3x3(const Tensor& x, const Tensor& weight, const Tensor& bias, const std::optional<Tensor>& addend,
                        bool relu) {
  TORCH_CHECK_VALUE(is_float(x, 4) && is_float(weight, 4) && weight.size(0) == 36 && weight.size(2) == x.size(1) &&
                        is_float(bias, 1) && weight.size(1) == panels(bias.size(0)),
                    "winograd_conv3x3: weight ", weight.sizes(), " and bias ", bias.sizes(), " do not fit input ",
                    x.sizes(), ", or not all are float32");
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3), out = bias.size(0);
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
  ebm::parallel_for(0, batch * down, 1, [&](int64_t begin, int64_t end) {
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

  // 36 matrix products, one for each frequency; panels of all of them are shared out to threads.
  Tensor products = at::empty({36, tiles, out}, x.options());
  float* product = products.mutable_data_ptr<float>();
  const int64_t each = weight.size(1);
  const std::vector<float> no_bias(each * k.panel, 0.f);
  const Epilogue plain{no_bias.data(), nullptr, 0, -kUnbounded, kUnbounded};
  const float* filters = weight.const_data_ptr<float>();
  ebm::parallel_for(0, 36 * each, each, [&](int64_t begin, int64_t end) {
    for (int64_t f = begin / each; f * each < end; ++f) {
      k.gemm(spectrum + f * tiles * channels, channels, packed(filters + f * each * channels * k.panel, channels),
             channels, product + f * tiles * out, out, tiles, out, std::max<int64_t>(begin - f * each, 0),
             std::min<int64_t>(end - f * each, each), plain);
    }
  });
  float* to = output.mutable_data_ptr<float>();
  ebm::parallel_for(0, batch * down, 1, [&](int64_t begin, int64_t end) {
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
  Tensor maps;             // (B, C, H, W)
  Tensor weight, bias;     // packed (bins^2 C, hidden), its rows in the order of a pooled map that is channels-last
  Tensor transposed;       // packed (hidden, bins^2 C)
  Tensor out;              // (hidden,)
  int64_t bins;
  double scale, first_cell;  // cells per pixel; pixels from the image's edge to the centre of the first cell
};

// a (M, inner) b + bias (null: none), b packed. What is shared out to threads are b's columns: b is what takes long to
// read.
Tensor product(const Tensor& a, const Tensor& b, const float* bias, int64_t columns, bool relu) {
  Tensor output = at::empty({a.size(0), columns}, a.options());
  const int64_t rows = a.size(0), inner = a.size(1);
  const std::vector<float> zeros(bias ? 0 : b.size(0) * kernels().panel, 0.f);
  const Epilogue e{bias ? bias : zeros.data(), nullptr, 0, relu ? 0.f : -kUnbounded, kUnbounded};
  const float* from = a.const_data_ptr<float>();
  const Factor weight = packed(b.const_data_ptr<float>(), inner);
  float* to = output.mutable_data_ptr<float>();
  ebm::parallel_for(0, b.size(0), 1, [&](int64_t begin, int64_t end) {
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

// y (M, 4) -> f (M,) and its gradient (M, 4), or (0, 4) where it is not asked for. Boxes are ordered image by image,
// equally many for each of the B images of the maps. y is x, y, w, h in pixels or, where there is a `size` (B, 2) of
// w_0, h_0, c_x / w_0, c_y / h_0, log w, log h. The lists hold one entry a level.
std::tuple<Tensor, Tensor> box_energy(const Tensor& y, const std::optional<Tensor>& size, at::TensorList maps, at::TensorList weight,
                                      at::TensorList bias, at::TensorList transposed, at::TensorList out,
                                      at::IntArrayRef bins, at::ArrayRef<double> scale, at::ArrayRef<double> first_cell,
                                      double constant, bool gradient) {
  TORCH_CHECK_VALUE(is_float(y, 2) && y.size(1) == 4, "box_energy: boxes must be (M, 4) float32, got ", y.sizes());
  const size_t levels = maps.size();
  const int64_t batch = levels ? maps[0].size(0) : 1;
  TORCH_CHECK_VALUE(batch > 0 && y.size(0) % batch == 0, "box_energy: ", y.size(0), " boxes cannot be equally many for ",
                    batch, " images");
  TORCH_CHECK_VALUE(!size || (size->scalar_type() == at::kFloat && size->numel() == 2 * batch),
                    "box_energy: the size must be two float32 numbers for each image");
  TORCH_CHECK_VALUE(weight.size() == levels && bias.size() == levels && transposed.size() == levels &&
                        out.size() == levels && bins.size() == levels && scale.size() == levels &&
                        first_cell.size() == levels,
                    "box_energy: the lists must have one entry for each level");
  const int64_t count = y.size(0), each = count / batch, panel = kernels().panel;
  Tensor boxes = y.contiguous(), numbers;
  const float* unit = nullptr;  // (w_0, h_0) of each image
  if (size) {
    numbers = size->contiguous();
    unit = numbers.const_data_ptr<float>();
    boxes = boxes.clone();
    float* box = boxes.mutable_data_ptr<float>();
    for (int64_t m = 0; m < count; ++m, box += 4) {
      box[2] = std::exp(box[2]);
      box[3] = std::exp(box[3]);
      box[0] = box[0] * unit[2 * (m / each)] - 0.5f * box[2];
      box[1] = box[1] * unit[2 * (m / each) + 1] - 0.5f * box[3];
    }
  }
  Tensor value = at::full({count}, constant, boxes.options());
  Tensor slope = at::zeros({gradient ? count : 0, 4}, boxes.options());
  for (size_t l = 0; l < levels; ++l) {
    TORCH_CHECK_VALUE(is_float(maps[l], 4) && maps[l].size(0) == batch,
                      "box_energy: maps must be (B, C, H, W) float32, equally many at each level, got ", maps[l].sizes());
    const int64_t pooled = bins[l] * bins[l] * maps[l].size(1), hidden = out[l].size(0);
    TORCH_CHECK_VALUE(is_float(weight[l], 3) && weight[l].size(1) == pooled && weight[l].size(0) == panels(hidden) &&
                          bias[l].numel() == weight[l].size(0) * panel && is_float(transposed[l], 3) &&
                          transposed[l].size(1) == hidden && transposed[l].size(0) == panels(pooled) &&
                          is_float(out[l], 1) && out[l].is_contiguous(),
                      "box_energy: the weights of level ", l, " do not fit its maps ", maps[l].sizes());
    add_level({maps[l], weight[l], bias[l], transposed[l], out[l], bins[l], scale[l], first_cell[l]}, boxes,
              value.mutable_data_ptr<float>(), gradient ? slope.mutable_data_ptr<float>() : nullptr);
  }
  if (size && gradient) {  // x = c_x w_0 - w / 2 and w = exp(log w), so that log w moves both x and w
    const float* box = boxes.const_data_ptr<float>();
    float* g = slope.mutable_data_ptr<float>();
    for (int64_t m = 0; m < count; ++m, box += 4, g += 4) {
      g[2] = (g[2] - 0.5f * g[0]) * box[2];
      g[3] = (g[3] - 0.5f * g[1]) * box[3];
      g[0] *= unit[2 * (m / each)];
      g[1] *= unit[2 * (m / each) + 1];
    }
  }
  return {value, slope};
}

// -- the classifier's filter ---------------------------------------------------------------------------------------------

// A 'same' convolution of N maps with one filter of `kernel` x `kernel` taps, of which an even one drops the last row and
// column, and its adjoint. One map after the other, so that what passes between the products and the sums of shifted
// values stays in the cache.

// What is read of a map for a tap that looks `shift` further: places [first, last) of `size`.
struct Overlap {
  Overlap(int64_t shift, int64_t size) : first(std::max<int64_t>(0, -shift)), last(std::min(size, size - shift)) {}
  int64_t first, last;
};

struct Maps {
  Maps(const Tensor& features, int64_t kernel_)
      : rows(features.contiguous(at::MemoryFormat::ChannelsLast)),
        count(features.size(0)),
        channels(features.size(1)),
        height(features.size(2)),
        width(features.size(3)),
        pixels(height * width),
        kernel(kernel_),
        taps(kernel * kernel) {}

  const float* of(int64_t n) const { return rows.const_data_ptr<float>() + n * pixels * channels; }

  // Calls body(tap, dy, dx) for every tap.
  template <typename Body>
  void each_tap(const Body& body) const {
    for (int64_t tap = 0; tap < taps; ++tap) body(tap, tap / kernel - kernel / 2, tap % kernel - kernel / 2);
  }

  Tensor rows;
  int64_t count, channels, height, width, pixels, kernel, taps;
};

// features (N, C, H, W), weight (C, kernel^2) -> (N, H, W).
Tensor filter_correlate(const Tensor& features, const Tensor& weight, int64_t kernel) {
  TORCH_CHECK_VALUE(is_float(features, 4) && is_float(weight, 2) && kernel > 0 && weight.size(0) == features.size(1) &&
                        weight.size(1) == kernel * kernel,
                    "filter_correlate: a filter ", weight.sizes(), " does not fit features ", features.sizes(),
                    ", or not both are float32");
  const Maps maps(features, kernel);
  const Tensor filter = pack(weight);
  Tensor response = at::zeros({maps.count, maps.height, maps.width}, features.options());
  float* to = response.mutable_data_ptr<float>();
  const std::vector<float> no_bias(filter.size(0) * kernels().panel, 0.f);
  const Epilogue plain{no_bias.data(), nullptr, 0, -kUnbounded, kUnbounded};
  ebm::parallel_for(0, maps.count, 1, [&](int64_t begin, int64_t end) {
    const auto products = memory(maps.pixels * maps.taps);  // (H W, taps)
    for (int64_t n = begin; n < end; ++n) {
      kernels().gemm(maps.of(n), maps.channels, packed(filter.const_data_ptr<float>(), maps.channels), maps.channels,
                     products.get(), maps.taps, maps.pixels, maps.taps, 0, filter.size(0), plain);
      float* out = to + n * maps.pixels;
      maps.each_tap([&](int64_t tap, int64_t dy, int64_t dx) {
        const Overlap down(dy, maps.height), across(dx, maps.width);
        for (int64_t y = down.first; y < down.last; ++y) {
          const float* from = products.get() + ((y + dy) * maps.width + dx) * maps.taps + tap;
          for (int64_t x = across.first; x < across.last; ++x) out[y * maps.width + x] += from[x * maps.taps];
        }
      });
    }
  });
  return response;
}

// features (N, C, H, W), response (N, H, W) -> (C, kernel^2). The maps are added up in parts, and these sums in their
// order: the same sum with any number of threads.
Tensor filter_adjoint(const Tensor& features, const Tensor& response_, int64_t kernel) {
  TORCH_CHECK_VALUE(is_float(features, 4) && is_float(response_, 3) && kernel > 0 &&
                        response_.size(0) == features.size(0) && response_.size(1) == features.size(2) &&
                        response_.size(2) == features.size(3),
                    "filter_adjoint: responses ", response_.sizes(), " do not fit features ", features.sizes(),
                    ", or not both are float32");
  const Maps maps(features, kernel);
  const Tensor response = response_.contiguous();
  const float* from = response.const_data_ptr<float>();
  const int64_t parts = std::max<int64_t>(std::min<int64_t>(maps.count, 16), 1);
  const int64_t wide = panels(maps.channels) * kernels().panel;
  Tensor sums = at::zeros({parts, maps.taps, maps.channels}, features.options());
  float* to = sums.mutable_data_ptr<float>();
  const std::vector<float> no_bias(wide, 0.f);
  ebm::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    const auto spread = memory(maps.taps * maps.pixels);
    const auto filled = memory(wide == maps.channels ? 0 : maps.pixels * wide);  // a map with whole panels of channels
    for (int64_t part = begin; part < end; ++part) {
      float* sum = to + part * maps.taps * maps.channels;
      const Epilogue add{no_bias.data(), sum, maps.channels, -kUnbounded, kUnbounded};
      for (int64_t n = part * maps.count / parts; n < (part + 1) * maps.count / parts; ++n) {
        std::fill_n(spread.get(), maps.taps * maps.pixels, 0.f);
        maps.each_tap([&](int64_t tap, int64_t dy, int64_t dx) {
          const Overlap down(dy, maps.height), across(dx, maps.width);
          for (int64_t y = down.first; y < down.last; ++y) {
            const float* row = from + n * maps.pixels + y * maps.width;
            float* out = spread.get() + tap * maps.pixels + (y + dy) * maps.width + dx;
            for (int64_t x = across.first; x < across.last; ++x) out[x] = row[x];
          }
        });
        Factor map{maps.of(n), kernels().panel, maps.channels};
        if (wide != maps.channels) {
          for (int64_t i = 0; i < maps.pixels; ++i) {
            float* row = filled.get() + i * wide;
            std::fill(std::copy_n(map.data + i * maps.channels, maps.channels, row), row + wide, 0.f);
          }
          map = {filled.get(), kernels().panel, wide};
        }
        kernels().gemm(spread.get(), maps.pixels, map, maps.pixels, sum, maps.channels, maps.taps, maps.channels, 0,
                       panels(maps.channels), add);
      }
    }
  });
  return sums.sum(0).t();
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
      "box_energy(Tensor y, Tensor? size, Tensor[] maps, Tensor[] weight, Tensor[] bias, Tensor[] transposed, "
      "Tensor[] out, int[] bins, float[] scale, float[] first_cell, float constant, bool gradient) -> (Tensor, Tensor)");
  m.def("filter_correlate(Tensor features, Tensor weight, int kernel) -> Tensor");
  m.def("filter_adjoint(Tensor features, Tensor response, int kernel) -> Tensor");
  m.def(
      "convolution(Tensor x, Tensor weight, Tensor bias, int out_channels, int kernel, int stride, int top, int left, "
      "int out_height, int out_width, float low, float high) -> Tensor");
  m.def("winograd_conv3x3(Tensor x, Tensor weight, Tensor bias, Tensor? addend, bool relu) -> Tensor");
}

TORCH_LIBRARY_IMPL(ebm_regression, CPU, m) {
  m.impl("pack", dense::pack);
  m.impl("pad", dense::pad);
  m.impl("box_energy", dense::box_energy);
  m.impl("filter_correlate", dense::filter_correlate);
  m.impl("filter_adjoint", dense::filter_adjoint);
  m.impl("convolution", dense::convolution);
  m.impl("inverted_residual", dense::inverted_residual);
  m.impl("winograd_conv3x3", dense::winograd_conv3x3);
}

TORCH_LIBRARY_IMPL(ebm_regression, Autograd, m) {
  for (const char* name :
       {"box_energy", "convolution", "filter_adjoint", "filter_correlate", "inverted_residual", "winograd_conv3x3"}) {
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
  }
}
