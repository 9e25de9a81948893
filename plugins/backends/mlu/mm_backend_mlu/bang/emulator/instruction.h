// The checks that all instructions of the vector and tensor units share, and numbers of either width as float.
#pragma once

#include <cstring>

#include "bang.h"
#include "machine.h"

namespace mm_emulator {

// A computing instruction over NRAM: operands are checked when they are named, and the result takes effect at the end.
class Instruction {
 public:
  Instruction(const char *name, const char *file, int line) : site_{name, file, line} { must_compute(site_); }

  const Site &site() const { return site_; }

  void count(int64_t elements, const char *what = "the count of elements") const { must_count(site_, elements, what); }

  // Old chips refuse vectors that are not whole; those of MLUarch03 take any count.
  void vector_count(int64_t elements, size_t itemsize) const {
    count(elements);
    if (machine.target().bang_arch < 300 && elements * itemsize % machine.target().nram_alignment)
      violate(site_, "%lld elements are no multiple of %u bytes", (long long)elements, machine.target().nram_alignment);
  }

  // The bytes of so many elements, which have to be what the vector unit takes.
  template <typename T>
  size_t vector_bytes(int64_t elements) const {
    vector_count(elements, sizeof(T));
    return elements * sizeof(T);
  }

  void source(const void *pointer, size_t bytes, const char *operand) const {
    place(Space::kNram, pointer, operand);
    read(site_, Actor::kCompute, Space::kNram, pointer, bytes, operand);
  }

  void filter(const void *pointer, size_t bytes) const {
    place(Space::kWram, pointer, "the right operand");
    read(site_, Actor::kCompute, Space::kWram, pointer, bytes, "the right operand");
  }

  void result(void *pointer, size_t bytes) const {
    place(Space::kNram, pointer, "the result");
    write(site_, Actor::kCompute, Space::kNram, pointer, bytes, "the result");
  }

  void done(void *pointer, size_t bytes) const { written(Actor::kCompute, Space::kNram, pointer, bytes); }

  // In place is allowed where elements stay where they are.
  void apart_or_in_place(const void *result, const void *source, size_t bytes, size_t source_bytes) const {
    if (result != source || bytes > source_bytes) apart(result, bytes, source, source_bytes);
  }
  void apart(const void *result, size_t bytes, const void *source, size_t source_bytes) const {
    if (interval_of(result, bytes).overlaps(interval_of(source, source_bytes)))
      violate(site_, "the result overlaps an operand");
  }

 private:
  void place(Space space, const void *pointer, const char *operand) const {
    must_be_in(site_, space, pointer, operand);
    const mm_emulated_target &target = machine.target();
    must_align(site_, pointer, space == Space::kNram ? target.nram_alignment : target.wram_alignment, operand);
  }

  Site site_;
};

inline void load(float *values, const float *from, int64_t n) { memcpy(values, from, n * sizeof(float)); }
inline void store(float *to, const float *values, int64_t n) { memcpy(to, values, n * sizeof(float)); }

inline void load(float *values, const half *from, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(values + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from + i))));
#endif
  for (; i < n; ++i) values[i] = from[i];
}

inline void store(half *to, const float *values, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) to[i] = values[i];
}

// Numbers on the stack at a time, where an instruction works in float on what is stored otherwise.
constexpr int64_t kChunk = 1024;

}  // namespace mm_emulator
