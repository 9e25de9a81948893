/* How the host starts the kernels of a generated source, for the vendor's compiler and for the emulator.

   A source ends with a table of its kernels, in the order of their numbers:

     MM_MLU_KERNELS_BEGIN
     MM_MLU_KERNEL(0, mm_kernel_0, (const float *)buffers[0], (float *)buffers[1])
     MM_MLU_KERNELS_END(1)

   `buffers` are addresses on the device. mm_mlu_launch returns 0 or the driver's error; -1: there is no such kernel. */
#ifndef MM_MLU_LAUNCH_H
#define MM_MLU_LAUNCH_H

#include <stdint.h>

#define MM_MLU_ABI 1
#define MM_MLU_EXPORT extern "C" __attribute__((visibility("default")))

#ifdef MM_MLU_EMULATED

/* The queue is a struct mm_emulated_launch. The kernel's arguments are evaluated on the task, outside of the checks. */
#define MM_MLU_KERNELS_BEGIN                                                                                           \
  MM_MLU_EXPORT int mm_mlu_launch(int mm_kernel, unsigned mm_dim_x, unsigned mm_kind, void *mm_queue,                  \
                                  void *const *buffers) {                                                              \
    switch (mm_kernel) {
#define MM_MLU_KERNEL(number, name, ...)                                                                               \
  case number: {                                                                                                       \
    auto body = [&]() __attribute__((no_sanitize("thread"))) { name(__VA_ARGS__); };                                   \
    return mm_emulate(#name, mm_dim_x, mm_kind, mm_queue, mm_call<decltype(body)>, &body);                             \
  }

#else

#include <cnrt.h>

#define MM_MLU_KERNELS_BEGIN                                                                                           \
  MM_MLU_EXPORT int mm_mlu_launch(int mm_kernel, unsigned mm_dim_x, unsigned mm_kind, void *mm_queue,                  \
                                  void *const *buffers) {                                                              \
    cnrtDim3_t dimension = {mm_dim_x, 1, 1};                                                                           \
    const cnrtFunctionType_t type = mm_kind == 0   ? cnrtFuncTypeBlock                                                 \
                                    : mm_kind == 1 ? cnrtFuncTypeUnion1                                                \
                                    : mm_kind == 2 ? cnrtFuncTypeUnion2                                                \
                                    : mm_kind == 4 ? cnrtFuncTypeUnion4                                                \
                                                   : cnrtFuncTypeUnion8;                                               \
    if (mm_kind > 2 && mm_kind != 4 && mm_kind != 8) return -1;                                                        \
    switch (mm_kernel) {
#define MM_MLU_KERNEL(number, name, ...)                                                                               \
  case number:                                                                                                         \
    name<<<dimension, type, (cnrtQueue_t)mm_queue>>>(__VA_ARGS__);                                                     \
    return (int)cnrtGetLastError();

#endif

#define MM_MLU_KERNELS_END(count)                                                                                      \
    default:                                                                                                           \
      return -1;                                                                                                       \
    }                                                                                                                  \
  }                                                                                                                    \
  MM_MLU_EXPORT int mm_mlu_abi(void) { return MM_MLU_ABI; }                                                            \
  MM_MLU_EXPORT int mm_mlu_kernels(void) { return count; }

#endif
