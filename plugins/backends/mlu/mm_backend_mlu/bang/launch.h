/* How the host starts the kernels of a generated source, for the vendor's compiler and for the emulator.

   A source ends with a table of its kernels, in the order of their numbers:

     MM_MLU_KERNELS_BEGIN
     MM_MLU_KERNEL(0, mm_kernel_0, (const float *)buffers[0], (float *)buffers[1])
     MM_MLU_KERNELS_END(1)

   `buffers` are addresses on the device. mm_mlu_launch returns 0, or the error of the driver; -1: there is no such kernel. */
#ifndef MM_MLU_LAUNCH_H
#define MM_MLU_LAUNCH_H

#define MM_MLU_ABI 1

#ifdef MM_MLU_EMULATED

/* `queue` is a struct mm_emulated_launch. The kernel's arguments are evaluated on the task, outside of the checks. */
#define MM_MLU_KERNELS_BEGIN                                                                              \
  extern "C" int mm_mlu_launch(int kernel, unsigned dim_x, unsigned kind, void *queue, void *const *buffers) { \
    switch (kernel) {
#define MM_MLU_KERNEL(number, name, ...)                                                                       \
  case number: {                                                                                               \
    auto body = [&]() __attribute__((no_sanitize("thread"))) { name(__VA_ARGS__); };                           \
    return mm_emulate(#name, dim_x, kind, queue, mm_call<decltype(body)>, &body);                              \
  }

#else

#define MM_MLU_KERNELS_BEGIN                                                                                   \
  extern "C" int mm_mlu_launch(int kernel, unsigned dim_x, unsigned kind, void *queue, void *const *buffers) { \
    cnrtDim3_t dimension = {dim_x, 1, 1};                                                                      \
    const cnrtFunctionType_t type = kind == 0   ? cnrtFuncTypeBlock                                            \
                                    : kind == 1 ? cnrtFuncTypeUnion1                                           \
                                    : kind == 2 ? cnrtFuncTypeUnion2                                           \
                                    : kind == 4 ? cnrtFuncTypeUnion4                                           \
                                                : cnrtFuncTypeUnion8;                                          \
    if (kind > 2 && kind != 4 && kind != 8) return -1;                                                         \
    switch (kernel) {
#define MM_MLU_KERNEL(number, name, ...)                                     \
  case number:                                                               \
    name<<<dimension, type, (cnrtQueue_t)queue>>>(__VA_ARGS__);              \
    return (int)cnrtGetLastError();

#endif

#define MM_MLU_KERNELS_END(count)                          \
    default:                                               \
      return -1;                                           \
    }                                                      \
  }                                                        \
  extern "C" int mm_mlu_abi(void) { return MM_MLU_ABI; }   \
  extern "C" int mm_mlu_kernels(void) { return count; }

#endif
