// The launches of prroi_pool_kernels.cu as functions that ctypes can call. kernels.inc is that file, its launches rewritten.
#include "cuda_on_fibres.h"
#include "kernels.inc"

using namespace prroi::cuda;

#define ARGUMENTS                                                                                                 \
  int type, const void *grad, const void *features, const void *corners, int is_double, int64_t count,           \
      double scale, const int64_t *index, int64_t each, const int64_t *order, const int64_t *start, int64_t batch, \
      int64_t height, int64_t width, int64_t channels, int rows, int columns, void *out

#define BOXES Boxes{corners, is_double != 0, count, scale, index, each}
#define SIZES Sizes{batch, height, width, channels, rows, columns}

extern "C" void forward(ARGUMENTS) { launch_forward(Type(type), features, BOXES, SIZES, out, nullptr); }
extern "C" void backward_features(ARGUMENTS) {
  launch_backward_features(Type(type), grad, BOXES, Groups{order, start}, SIZES, out, nullptr);
}
extern "C" void backward_boxes(ARGUMENTS) {
  launch_backward_boxes(Type(type), grad, features, BOXES, SIZES, out, nullptr);
}
extern "C" void take_turns(int falling_) { falling = falling_; }
