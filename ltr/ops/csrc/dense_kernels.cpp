// See dense_kernels.h. Compiled several times with different instruction sets (EBM_ISA names the namespace). So that no
// function of one set can take the place of another's when they are linked, nothing here is of the standard library,
// and all that is defined is local but the table at the end.
#include "dense_kernels.h"

#include <string.h>

namespace dense::EBM_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kRows = 12;  // 12 x 2 accumulators of 32 registers
#elif defined(__AVX__)
constexpr int kLanes = 8;
constexpr int kRows = 6;  // 6 x 2 of 16 registers
#elif defined(__aarch64__)
constexpr int kLanes = 4;
constexpr int kRows = 12;
#else
constexpr int kLanes = 4;
constexpr int kRows = 6;
#endif
constexpr int kPanel = 2 * kLanes;

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));

inline Vec load(const float* from) {
  Vec v;
  memcpy(&v, from, sizeof(Vec));
  return v;
}
inline void store(float* to, Vec v) { memcpy(to, &v, sizeof(Vec)); }

inline Vec load_part(const float* from, int64_t lanes) {
  Vec v = {};
  memcpy(&v, from, lanes * sizeof(float));
  return v;
}
inline void store_part(float* to, Vec v, int64_t lanes) { memcpy(to, &v, lanes * sizeof(float)); }

inline Vec clamp(Vec v, float low, float high) {
  const Vec l = Vec{} + low, h = Vec{} + high;
  v = v > l ? v : l;
  return v < h ? v : h;
}

// -- matrix products -------------------------------------------------------------------------------------------------

template <int R>
void gemm_block(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t inner, float* c,
                int64_t c_stride, int64_t columns, const float* bias, const float* addend, const Epilogue& e) {
  Vec sum[R][2];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < 2; ++v) sum[r][v] = load(bias + v * kLanes);
  }
  for (int64_t k = 0; k < inner; ++k) {
    const Vec w0 = load(b + k * b_stride), w1 = load(b + k * b_stride + kLanes);
    for (int r = 0; r < R; ++r) {
      const float x = a[r * a_stride + k];
      sum[r][0] += x * w0;
      sum[r][1] += x * w1;
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < 2; ++v) {
      const int64_t first = v * kLanes, lanes = columns - first;
      if (lanes <= 0) break;
      float* out = c + r * c_stride + first;
      const float* add = addend ? addend + r * e.addend_stride + first : nullptr;
      Vec value = sum[r][v];
      if (lanes >= kLanes) {
        if (add) value += load(add);
        store(out, clamp(value, e.low, e.high));
      } else {
        if (add) value += load_part(add, lanes);
        store_part(out, clamp(value, e.low, e.high), lanes);
      }
    }
  }
}

template <int R>
void gemm_blocks(int64_t rows, const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t inner,
                 float* c, int64_t c_stride, int64_t columns, const float* bias, const float* addend, const Epilogue& e) {
  if (rows == R) {
    gemm_block<R>(a, a_stride, b, b_stride, inner, c, c_stride, columns, bias, addend, e);
  } else if constexpr (R > 1) {
    gemm_blocks<R - 1>(rows, a, a_stride, b, b_stride, inner, c, c_stride, columns, bias, addend, e);
  }
}

void gemm(const float* a, int64_t a_stride, const Factor& b, int64_t inner, float* c, int64_t c_stride,
          int64_t rows, int64_t columns, int64_t first, int64_t last, const Epilogue& e) {
  const int64_t blocks = (rows + kRows - 1) / kRows;
  for (int64_t p = first; p < last; ++p) {  // a panel stays in the cache while all rows pass it
    const int64_t column = p * kPanel;
    for (int64_t block = 0; block < blocks; ++block) {  // of about equal size: a few rows left over would be slow
      const int64_t r = block * rows / blocks, count = (block + 1) * rows / blocks - r;
      const float* addend = e.addend ? e.addend + r * e.addend_stride + column : nullptr;
      gemm_blocks<kRows>(count, a + r * a_stride, a_stride, b.data + p * b.panel_stride, b.row_stride, inner,
                         c + r * c_stride + column, c_stride, columns - column, e.bias + column, addend, e);
    }
  }
}

// -- depthwise convolution -------------------------------------------------------------------------------------------

// N columns. The stride is a constant so that the compiler loads a pixel that several columns share only once.
template <int K, int S, int N>
void depthwise_columns(const float* const* rows, int64_t channels, const float* weight, const float* bias, float* out) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    Vec sum[N];
    for (int n = 0; n < N; ++n) sum[n] = load(bias + c);
    for (int i = 0; i < K; ++i) {
      for (int j = 0; j < K; ++j) {
        const Vec w = load(weight + (i * K + j) * channels + c);
        for (int n = 0; n < N; ++n) sum[n] += w * load(rows[i] + (n * S + j) * channels + c);
      }
    }
    for (int n = 0; n < N; ++n) store(out + n * channels + c, clamp(sum[n], 0.f, 6.f));
  }
}

template <int K, int S>
void depthwise(const float* const* rows, int64_t width, int64_t channels, const float* weight, const float* bias,
               float* out) {
  constexpr int N = 4;
  const float* at[K];
  for (int i = 0; i < K; ++i) at[i] = rows[i];
  int64_t x = 0;
  for (; x + N <= width; x += N) {
    depthwise_columns<K, S, N>(at, channels, weight, bias, out + x * channels);
    for (int i = 0; i < K; ++i) at[i] += N * S * channels;
  }
  for (; x < width; ++x) {
    depthwise_columns<K, S, 1>(at, channels, weight, bias, out + x * channels);
    for (int i = 0; i < K; ++i) at[i] += S * channels;
  }
}

void depthwise_row(const float* const* rows, int64_t width, int64_t channels, const float* weight, const float* bias,
                   int64_t kernel, int64_t stride, float* out) {
  const auto chosen =
      kernel == 3 ? (stride == 1 ? depthwise<3, 1> : depthwise<3, 2>) : (stride == 1 ? depthwise<5, 1> : depthwise<5, 2>);
  chosen(rows, width, channels, weight, bias, out);
}

// -- Winograd's F(4 x 4, 3 x 3) --------------------------------------------------------------------------------------

// Rows of B^T d.
inline void input_transform(const Vec* d, Vec* out) {
  out[0] = 4.f * d[0] - 5.f * d[2] + d[4];
  const Vec a = d[4] - 4.f * d[2], b = d[3] - 4.f * d[1];
  out[1] = a + b;
  out[2] = a - b;
  const Vec c = d[4] - d[2], e = 2.f * (d[3] - d[1]);
  out[3] = c + e;
  out[4] = c - e;
  out[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

// Rows of A^T m.
inline void output_transform(const Vec* m, Vec* out) {
  const Vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  out[0] = m[0] + a + c;
  out[1] = b + 2.f * d;
  out[2] = a + 4.f * c;
  out[3] = b + 8.f * d + m[5];
}

// Calls body(channel, lanes) for vectors that cover all channels; only the last may have fewer than kLanes.
template <typename Body>
inline void for_channels(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, int64_t(kLanes));
  if (c < channels) body(c, channels - c);
}

inline Vec load_lanes(const float* from, int64_t lanes) { return lanes == kLanes ? load(from) : load_part(from, lanes); }
inline void store_lanes(float* to, Vec v, int64_t lanes) {
  if (lanes == kLanes) {
    store(to, v);
  } else {
    store_part(to, v, lanes);
  }
}

void winograd_input(const float* const* pixels, int64_t channels, float* out, int64_t stride) {
  for_channels(channels, [&](int64_t c, int64_t lanes) {
    Vec columns[6][6], line[6], result[6];
    for (int j = 0; j < 6; ++j) {
      for (int i = 0; i < 6; ++i) line[i] = load_lanes(pixels[6 * i + j] + c, lanes);
      input_transform(line, columns[j]);
    }
    for (int i = 0; i < 6; ++i) {
      for (int j = 0; j < 6; ++j) line[j] = columns[j][i];
      input_transform(line, result);
      for (int j = 0; j < 6; ++j) store_lanes(out + (6 * i + j) * stride + c, result[j], lanes);
    }
  });
}

void winograd_output(const float* in, int64_t stride, int64_t channels, const Tile& t) {
  for_channels(channels, [&](int64_t c, int64_t lanes) {
    Vec columns[6][4], line[6], result[4];
    for (int j = 0; j < 6; ++j) {
      for (int i = 0; i < 6; ++i) line[i] = load_lanes(in + (6 * i + j) * stride + c, lanes);
      output_transform(line, columns[j]);
    }
    const Vec bias = load_lanes(t.bias + c, lanes);
    for (int64_t i = 0; i < t.rows; ++i) {
      for (int j = 0; j < 6; ++j) line[j] = columns[j][i];
      output_transform(line, result);
      for (int64_t j = 0; j < t.columns; ++j) {
        const int64_t at = i * t.row_stride + j * channels + c;
        Vec value = result[j] + bias;
        if (t.addend) value += load_lanes(t.addend + at, lanes);
        if (t.relu) value = value > 0.f ? value : Vec{};
        store_lanes(t.out + at, value, lanes);
      }
    }
  });
}

}  // namespace

const Kernels kernels = {kPanel, gemm, depthwise_row, winograd_input, winograd_output};

}  // namespace dense::EBM_ISA
