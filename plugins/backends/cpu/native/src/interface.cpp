// The C interface. No exception leaves it.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "loader.h"
#include "pool.h"
#include "program.h"

struct mm_program {
  mm::Program program;
};

namespace {

template <class Make>
auto guarded(char* error, int64_t error_length, Make make) -> decltype(make()) {
  std::string reason;
  try {
    return make();
  } catch (const std::exception& failure) {
    reason = failure.what();
  }
  if (error != nullptr && error_length > 0)
    std::snprintf(error, static_cast<size_t>(error_length), "%s", reason.c_str());
  return nullptr;
}

std::string features() {
  std::string found;
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
#define MM_FEATURE(name) \
  if (__builtin_cpu_supports(name)) found += found.empty() ? name : " " name;
  MM_FEATURE("sse4.1")
  MM_FEATURE("avx") MM_FEATURE("avx2") MM_FEATURE("fma") MM_FEATURE("f16c") MM_FEATURE("avx512f")
      MM_FEATURE("avx512bw") MM_FEATURE("avx512dq") MM_FEATURE("avx512vl") MM_FEATURE("avx512vnni")
#elif defined(__aarch64__) && defined(__linux__)
  const unsigned long capabilities = getauxval(AT_HWCAP);
  found = "neon";
  if ((capabilities & HWCAP_ASIMDDP) != 0) found += " dotprod";
  if ((capabilities & HWCAP_ASIMDHP) != 0) found += " fp16";
  if ((capabilities & HWCAP_SVE) != 0) found += " sve";
#elif defined(__aarch64__)
  found = "neon";
#endif
          return found;
}

}  // namespace

extern "C" {

int32_t mm_cpu_abi(void) { return MM_CPU_ABI; }

const char* mm_cpu_features(void) {
  static const std::string found = features();
  return found.c_str();
}

int32_t mm_dtype_code(const char* text) { return text == nullptr ? MM_NONE : mm::dtype_code(text); }

int64_t mm_dtype_bytes(int32_t code) { return mm::dtype_bytes(code); }

const char* const* mm_library_kernel_names(void) {
  static const std::vector<const char*> names = [] {
    int64_t count = 0;
    const mm::LibraryKernel* kernels = mm::library_kernels(&count);
    std::vector<const char*> found;
    for (int64_t i = 0; i < count; ++i) found.push_back(kernels[i].name);
    found.push_back(nullptr);
    return found;
  }();
  return names.data();
}

mm_loaded_object* mm_object_load(const void* bytes, int64_t length, char* error, int64_t error_length) {
  return guarded(error, error_length, [&] { return new mm_loaded_object(bytes, length); });
}

int32_t mm_object_count(const mm_loaded_object* object) { return object->object->count; }

void mm_object_free(mm_loaded_object* object) { delete object; }

mm_program* mm_program_create(const int64_t* words, int64_t n_words, const mm_loaded_object* object,
                              const void* const* constants, int64_t n_constants, char* error, int64_t error_length) {
  return guarded(error, error_length, [&] {
    return new mm_program{
        mm::Program(words, n_words, object == nullptr ? nullptr : object->object, constants, n_constants)};
  });
}

int64_t mm_program_arena_bytes(const mm_program* program, int32_t threads) {
  return program->program.total_bytes(threads < 1 ? 1 : threads);
}

int64_t mm_program_steps(const mm_program* program) { return static_cast<int64_t>(program->program.steps.size()); }

int64_t mm_program_run(const mm_program* program, void* arena, const void* const* inputs, void* const* outputs,
                       int32_t threads, int64_t* profile) {
  const mm::Program& checked = program->program;
  const bool missing = (checked.n_inputs > 0 && inputs == nullptr) || (checked.n_outputs > 0 && outputs == nullptr);
  if (missing || reinterpret_cast<uintptr_t>(arena) % MM_ALIGNMENT != 0) return MM_BAD_ARGUMENT;
  if (arena == nullptr && checked.total_bytes(1) > 0) return MM_BAD_ARGUMENT;
  return checked.run(static_cast<unsigned char*>(arena), inputs, outputs, threads < 1 ? 1 : threads, profile);
}

void mm_program_free(mm_program* program) { delete program; }

int32_t mm_pool_workers(void) { return mm::pool_workers(); }

}  // extern "C"
