// A program: the checked form of its words, immutable, shared by any number of runs.
#pragma once

#include <vector>

#include "kernel.h"

namespace mm {

struct Buffer {
  int32_t space;
  int32_t mover;  // which of Program::moves displaces it; -1: it stays
  int64_t index;  // arena: offset in bytes; otherwise which constant, input or output
  mm_desc desc;
};

// A buffer that lies elsewhere in each repetition of a loop.
struct Move {
  int64_t start, step;  // bytes
};

// Steps [first, last) run `repetitions` times.
struct Loop {
  size_t first, last;
  int64_t repetitions;
  size_t first_move, last_move;  // in Program::moves
};

struct Step {
  mm_kernel kernel;
  int32_t n_inputs, n_outputs;
  size_t first_operand;  // in Program::operands and Program::descs
  size_t first_param;
  int64_t tasks;
  int32_t most_parts;  // more threads than this would cost more than they save
};

struct Program {
  int64_t n_inputs = 0, n_outputs = 0, n_constants = 0;
  int64_t arena_bytes = 0;    // of the buffers, rounded up to MM_ALIGNMENT
  int64_t operand_bytes = 0;  // of the pointer table that a run keeps for its current step
  int64_t move_bytes = 0;     // of the displacements that a run keeps for buffers that move
  int64_t scratch_bytes = 0;  // of a thread
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<Loop> loops;
  std::vector<Move> moves;
  std::vector<int64_t> words;     // owns what the descs' dims and the steps' params point to
  std::vector<int32_t> operands;  // buffer numbers
  std::vector<mm_desc> descs;     // of each operand
  std::vector<const void*> constants;

  // Throws Refusal.
  Program(const int64_t* words, int64_t n_words, const mm_object* object, const void* const* constants,
          int64_t n_constants);

  int64_t total_bytes(int32_t threads) const {
    return arena_bytes + operand_bytes + move_bytes + threads * scratch_bytes;
  }
  int64_t run(unsigned char* arena, const void* const* inputs, void* const* outputs, int32_t threads,
              int64_t* profile) const;

 private:
  void read_buffer(class Reader& reader, int64_t stated_arena);
  void read_step(class Reader& reader, const mm_object* object);
  void read_loop(class Reader& reader, int64_t stated_arena);
};

const LibraryKernel* library_kernels(int64_t* count);

}  // namespace mm
