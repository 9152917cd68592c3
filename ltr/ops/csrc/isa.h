// Which of the instruction sets that the loops are compiled for (files *_kernels.cpp) is used.
#pragma once

#include <ATen/Version.h>

#include <string>

namespace ebm {

enum class Isa { baseline, avx2, avx512 };

// What PyTorch itself would use, so that ATEN_CPU_CAPABILITY=avx2 (or default) in the environment holds here as well.
inline Isa isa() {
  static const Isa found = [] {
    const std::string capability = at::get_cpu_capability();
    if (capability.starts_with("AVX512")) return Isa::avx512;
    if (capability.starts_with("AVX2")) return Isa::avx2;
    return Isa::baseline;
  }();
  return found;
}

}  // namespace ebm

// Of a table that each of the namespaces baseline, avx2 and avx512 has.
#ifdef EBM_X86  // set by the build where all three are compiled in
#define EBM_CHOOSE(table) \
  (ebm::isa() == ebm::Isa::avx512 ? avx512::table : ebm::isa() == ebm::Isa::avx2 ? avx2::table : baseline::table)
#else
#define EBM_CHOOSE(table) baseline::table
#endif
