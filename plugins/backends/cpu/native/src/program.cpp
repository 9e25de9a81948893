// Words into a program. Nothing in the words is trusted: a damaged or foreign program is refused with a reason.
#include "program.h"

#include <algorithm>
#include <limits>
#include <string>

namespace mm {

// Bounds-checked reading of words.
class Reader {
 public:
  Reader(const int64_t* words, int64_t count) : words_(words), count_(count) {}

  int64_t next(const char* what, int64_t low, int64_t high) {
    if (position_ >= count_) refuse("the words end before %s", what);
    const int64_t value = words_[position_++];
    if (value < low || value > high) refuse("%s is %lld", what, static_cast<long long>(value));
    return value;
  }
  const int64_t* take(const char* what, int64_t count) {
    if (count > count_ - position_) refuse("the words end within %s", what);
    const int64_t* first = words_ + position_;
    position_ += count;
    return first;
  }
  bool at_end() const { return position_ == count_; }

 private:
  const int64_t* words_;
  int64_t count_, position_ = 0;
};

namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kMostBytes = int64_t{1} << 56;
constexpr int64_t kMostScratch = int64_t{1} << 40;
constexpr int64_t kMostCount = int64_t{1} << 30;  // and their sums fit 32 bits

// Below this many elementary operations a part is not worth waking a thread for (about 4 microseconds).
constexpr double kOperationsPerPart = 16384;
// Generated kernels do not state their operations; the bytes they touch are a lower bound.
constexpr int64_t kBytesWorthThreads = 32768;

int64_t rounded(int64_t bytes) { return (bytes + MM_ALIGNMENT - 1) / MM_ALIGNMENT * MM_ALIGNMENT; }

int64_t checked_product(const int64_t* dims, int32_t rank, int64_t unit) {
  int64_t total = unit;
  bool empty = false, overflow = false;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] < 0) refuse("a dimension is %lld", static_cast<long long>(dims[i]));
    if (dims[i] == 0) empty = true;
    else overflow |= __builtin_mul_overflow(total, dims[i], &total);
  }
  if (empty) return 0;
  if (overflow || total > kMostBytes) refuse("a buffer is larger than 2^56 bytes");
  return total;
}

}  // namespace

Program::Program(const int64_t* given, int64_t n_words, const mm_object* object, const void* const* constants_given,
                 int64_t n_constants_given) {
  if (given == nullptr || n_words < 0) refuse("there are no words");
  words.assign(given, given + n_words);
  Reader reader(words.data(), n_words);
  if (reader.next("the magic number", std::numeric_limits<int64_t>::min(), kMost) != MM_PROGRAM_MAGIC) {
    refuse("the words are not a program");
  }
  const int64_t abi = reader.next("the ABI version", 0, kMost);
  if (abi != MM_CPU_ABI) {
    refuse("the program is for ABI version %lld, this library has %d", static_cast<long long>(abi), MM_CPU_ABI);
  }
  n_inputs = reader.next("the number of inputs", 0, kMostCount);
  n_outputs = reader.next("the number of outputs", 0, kMostCount);
  n_constants = reader.next("the number of constants", 0, kMostCount);
  const int64_t stated_arena = reader.next("the arena's size", 0, kMostBytes);
  const int64_t n_buffers = reader.next("the number of buffers", 0, std::min(kMostCount, n_words));
  const int64_t n_steps = reader.next("the number of steps", 0, std::min(kMostCount, n_words));
  const int64_t n_loops = reader.next("the number of loops", 0, std::min(kMostCount, n_words));
  if (n_constants != n_constants_given) {
    refuse("it has %lld constants, %lld were given", static_cast<long long>(n_constants),
           static_cast<long long>(n_constants_given));
  }
  if (n_constants > 0) {
    if (constants_given == nullptr) refuse("the constants are missing");
    constants.assign(constants_given, constants_given + n_constants);
  }
  arena_bytes = rounded(stated_arena);
  buffers.reserve(static_cast<size_t>(n_buffers));
  for (int64_t i = 0; i < n_buffers; ++i) read_buffer(reader, stated_arena);
  for (int64_t i = 0; i < n_steps; ++i) {
    try {
      read_step(reader, object);
    } catch (const Refusal& refusal) {
      throw Refusal("step " + std::to_string(i) + ": " + refusal.what());
    }
  }
  for (int64_t i = 0; i < n_loops; ++i) read_loop(reader, stated_arena);
  move_bytes = rounded(static_cast<int64_t>(moves.size() * sizeof(int64_t)));
  if (!reader.at_end()) refuse("there are words after the end");
}

void Program::read_buffer(Reader& reader, int64_t stated_arena) {
  Buffer buffer{};
  buffer.mover = -1;
  buffer.space = static_cast<int32_t>(reader.next("a buffer's space", MM_ARENA, MM_OUTPUT));
  buffer.index = reader.next("a buffer's index", 0, kMostBytes);
  buffer.desc.dtype = static_cast<int32_t>(reader.next("a buffer's element type", MM_NONE + 1, MM_DTYPE_COUNT - 1));
  buffer.desc.rank = static_cast<int32_t>(reader.next("a buffer's rank", 0, MM_MAX_RANK));
  buffer.desc.dims = reader.take("a buffer's dimensions", buffer.desc.rank);
  const int64_t bytes = checked_product(buffer.desc.dims, buffer.desc.rank, dtype_bytes(buffer.desc.dtype));
  buffer.desc.count = bytes / dtype_bytes(buffer.desc.dtype);
  if (buffer.space == MM_ARENA) {
    if (buffer.index % MM_ALIGNMENT != 0) refuse("an arena offset is not a multiple of %d", MM_ALIGNMENT);
    if (buffer.index + bytes > stated_arena) refuse("a buffer reaches beyond the arena");
  } else {
    const int64_t counts[] = {0, n_constants, n_inputs, n_outputs};
    if (buffer.index >= counts[buffer.space])
      refuse("a buffer's index is %lld", static_cast<long long>(buffer.index));
  }
  buffers.push_back(buffer);
}

void Program::read_step(Reader& reader, const mm_object* object) {
  Step step{};
  const int64_t origin = reader.next("the kernel's origin", MM_LIBRARY, MM_OBJECT);
  const int64_t kernel = reader.next("the kernel's number", 0, kMost);
  step.n_inputs = static_cast<int32_t>(reader.next("the number of inputs", 0, kMostCount));
  step.n_outputs = static_cast<int32_t>(reader.next("the number of outputs", 0, kMostCount));
  const int64_t n_operands = int64_t{step.n_inputs} + step.n_outputs;
  const int64_t* numbers = reader.take("a step's buffers", n_operands);
  step.first_operand = operands.size();
  int64_t bytes = 0;
  for (int64_t i = 0; i < n_operands; ++i) {
    if (numbers[i] < -1 || numbers[i] >= static_cast<int64_t>(buffers.size())) {
      refuse("there is no buffer %lld", static_cast<long long>(numbers[i]));
    }
    operands.push_back(static_cast<int32_t>(numbers[i]));
    if (numbers[i] < 0) {
      descs.push_back(mm_desc{MM_NONE, 0, nullptr, 0});
      continue;
    }
    const Buffer& buffer = buffers[static_cast<size_t>(numbers[i])];
    if (i >= step.n_inputs && (buffer.space == MM_CONSTANT || buffer.space == MM_INPUT)) {
      refuse("it writes to buffer %lld, which is a constant or an input", static_cast<long long>(numbers[i]));
    }
    descs.push_back(buffer.desc);
    bytes += buffer.desc.count * dtype_bytes(buffer.desc.dtype);
  }
  const int64_t n_params = reader.next("the number of parameters", 0, kMostCount);
  const int64_t* params = reader.take("a step's parameters", n_params);
  step.first_param = static_cast<size_t>(params - words.data());
  step.tasks = reader.next("the number of tasks", -1, kMostBytes);
  int64_t scratch = reader.next("the scratch size", 0, kMostScratch);
  if (origin == MM_LIBRARY) {
    int64_t count = 0;
    const LibraryKernel* library = library_kernels(&count);
    if (kernel >= count) refuse("there is no library kernel %lld", static_cast<long long>(kernel));
    if (step.tasks != -1) refuse("%s is a library kernel, its tasks must be -1", library[kernel].name);
    Prepared prepared{};
    try {
      prepared = library[kernel].prepare(
          Signature(descs.data() + step.first_operand, step.n_inputs, step.n_outputs, params, n_params));
    } catch (const Refusal& refusal) {
      throw Refusal(std::string(library[kernel].name) + ": " + refusal.what());
    }
    step.kernel = prepared.kernel;
    step.tasks = prepared.tasks;
    scratch = std::max(scratch, prepared.scratch);
    const double parts = static_cast<double>(step.tasks) * prepared.cost / kOperationsPerPart;
    step.most_parts = static_cast<int32_t>(std::clamp(parts, 1.0, 65536.0));
  } else {
    if (object == nullptr) refuse("it needs generated code, and there is none");
    if (kernel >= object->count) refuse("the generated code has no kernel %lld", static_cast<long long>(kernel));
    if (step.tasks < 0) refuse("a generated kernel needs its number of tasks");
    step.kernel = object->kernels[kernel];
    step.most_parts = bytes < kBytesWorthThreads ? 1 : 65536;
  }
  if (step.most_parts > step.tasks) step.most_parts = static_cast<int32_t>(std::max<int64_t>(step.tasks, 1));
  scratch_bytes = std::max(scratch_bytes, rounded(scratch));
  operand_bytes = std::max(operand_bytes, rounded(n_operands * static_cast<int64_t>(sizeof(void*))));
  steps.push_back(step);
}

void Program::read_loop(Reader& reader, int64_t stated_arena) {
  const int64_t end = static_cast<int64_t>(steps.size());
  Loop loop{};
  loop.first = static_cast<size_t>(reader.next("a loop's first step", 0, end));
  loop.last = static_cast<size_t>(reader.next("a loop's last step", static_cast<int64_t>(loop.first), end));
  loop.repetitions = reader.next("a loop's repetitions", 0, kMostCount);
  for (const Loop& before : loops) {
    const bool inside = before.first <= loop.first && loop.last <= before.last;
    if (!inside && loop.first < before.last) refuse("two loops overlap");
  }
  loop.first_move = moves.size();
  const int64_t n_moves = reader.next("the number of moves", 0, static_cast<int64_t>(buffers.size()));
  for (int64_t i = 0; i < n_moves; ++i) {
    const int64_t number = reader.next("a moving buffer", 0, static_cast<int64_t>(buffers.size()) - 1);
    Buffer& buffer = buffers[static_cast<size_t>(number)];
    if (buffer.mover >= 0) refuse("buffer %lld moves twice", static_cast<long long>(number));
    buffer.mover = static_cast<int32_t>(moves.size());
    Move move{};
    move.start = reader.next("where a buffer starts to move", 0, kMostBytes);
    move.step = reader.next("how far a buffer moves", -kMostBytes, kMostBytes);
    if (loop.repetitions > 0) {
      // Sizes of inputs and outputs are not known here: who binds the program answers for those.
      const __int128 travelled = static_cast<__int128>(move.step) * (loop.repetitions - 1) + move.start;
      const int64_t bytes = buffer.desc.count * dtype_bytes(buffer.desc.dtype);
      const __int128 furthest = std::max<__int128>(travelled, move.start) + buffer.index + bytes;
      if (travelled < 0 || (buffer.space == MM_ARENA && furthest > stated_arena)) refuse("a buffer moves too far");
    }
    moves.push_back(move);
  }
  loop.last_move = moves.size();
  loops.push_back(loop);
}

}  // namespace mm
