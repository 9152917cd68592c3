// Loops shared out to threads: by a team (see team.cpp) for who calls it, as a tracker does, else by PyTorch.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

namespace ebm {

// Of the calling thread: with how many threads, itself included, its loops are run by the team; 0 if by PyTorch's own.
int64_t team_size();

// Calls body(context, begin, end) for parts of [0, count) that cover it. Throws what one of these calls throws.
void run_on_team(int64_t count, int64_t grain, void (*body)(const void* context, int64_t begin, int64_t end),
                 const void* context);

// at::parallel_for, by the team where the calling thread has asked for it. What `body` computes must not depend on how
// the range is divided.
template <typename Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (end - begin <= grain || team_size() == 1) {
    if (begin < end) body(begin, end);
  } else if (team_size() == 0) {
    at::parallel_for(begin, end, grain, body);
  } else {
    const auto part = [&](int64_t first, int64_t last) { body(begin + first, begin + last); };
    run_on_team(
        end - begin, grain,
        [](const void* context, int64_t first, int64_t last) {
          (*static_cast<const decltype(part)*>(context))(first, last);
        },
        &part);
  }
}

}  // namespace ebm
