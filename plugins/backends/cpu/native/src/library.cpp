// The table of all library kernels.
#include <vector>

#include "kernel.h"
#include "program.h"

namespace mm {

#define MM_FAMILIES(each)                                                                                        \
  each(kUnaryKernels) each(kBinaryKernels) each(kCastKernels) each(kMovementKernels) each(kIndexingKernels)      \
      each(kReduceKernels) each(kOrderingKernels) each(kGenerateKernels) each(kMatmulKernels) each(kConvKernels) \
          each(kPoolingKernels) each(kResizeKernels) each(kQuantizationKernels) each(kNormalizationKernels) \
          each(kRandomKernels) each(kSuppressionKernels)

#define MM_DECLARE(family) extern const LibraryKernel family[];
MM_FAMILIES(MM_DECLARE)
#undef MM_DECLARE

const LibraryKernel* library_kernels(int64_t* count) {
  static const std::vector<LibraryKernel> all = [] {
    std::vector<LibraryKernel> found;
#define MM_COLLECT(family) \
  for (const LibraryKernel* kernel = family; kernel->name != nullptr; ++kernel) found.push_back(*kernel);
    MM_FAMILIES(MM_COLLECT)
#undef MM_COLLECT
    return found;
  }();
  *count = static_cast<int64_t>(all.size());
  return all.data();
}

}  // namespace mm
