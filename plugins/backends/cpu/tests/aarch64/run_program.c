/* Runs one program of the CPU backend from files, so that an emulator of another processor can be handed a whole part.
 *
 *   run_program FOLDER CONSTANTS INPUTS BYTES...
 *
 * FOLDER holds `words`, `object` (empty: none), `constant0`... and `input0`...; `output0`... are written, of BYTES each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm_cpu.h"

enum { MOST = 4096, ERROR_LENGTH = 500 };

static const char* folder;

static void stop(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void* aligned(size_t bytes) {
  void* memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
  if (memory == NULL) stop("memory", "there is not enough");
  return memory;
}

static FILE* opened(const char* name, int number, const char* mode) {
  char path[1024];
  if (number < 0) snprintf(path, sizeof path, "%s/%s", folder, name);
  else snprintf(path, sizeof path, "%s/%s%d", folder, name, number);
  FILE* file = fopen(path, mode);
  if (file == NULL) stop(path, "cannot be opened");
  return file;
}

static void* contents(const char* name, int number, size_t* bytes) {
  FILE* file = opened(name, number, "rb");
  fseek(file, 0, SEEK_END);
  *bytes = (size_t)ftell(file);
  rewind(file);
  void* memory = aligned(*bytes);
  if (fread(memory, 1, *bytes, file) != *bytes) stop(name, "cannot be read");
  fclose(file);
  return memory;
}

int main(int count, char** arguments) {
  static const void *constants[MOST], *inputs[MOST];
  static void* outputs[MOST];
  char error[ERROR_LENGTH] = "";
  size_t bytes = 0;
  folder = arguments[1];
  const int n_constants = atoi(arguments[2]), n_inputs = atoi(arguments[3]), n_outputs = count - 4;
  for (int i = 0; i < n_constants; ++i) constants[i] = contents("constant", i, &bytes);
  for (int i = 0; i < n_inputs; ++i) inputs[i] = contents("input", i, &bytes);
  for (int i = 0; i < n_outputs; ++i) outputs[i] = aligned((size_t)atoll(arguments[4 + i]));
  const void* code = contents("object", -1, &bytes);
  mm_loaded_object* object = bytes == 0 ? NULL : mm_object_load(code, (int64_t)bytes, error, ERROR_LENGTH);
  if (bytes != 0 && object == NULL) stop("object", error);
  const int64_t* words = contents("words", -1, &bytes);
  const mm_program* program =
      mm_program_create(words, (int64_t)(bytes / sizeof *words), object, constants, n_constants, error, ERROR_LENGTH);
  if (program == NULL) stop("program", error);
  void* arena = aligned((size_t)mm_program_arena_bytes(program, 2));
  const int64_t status = mm_program_run(program, arena, inputs, outputs, 2, NULL);
  if (status != MM_OK) stop("run", "the program reports a failure");
  for (int i = 0; i < n_outputs; ++i) {
    FILE* file = opened("output", i, "wb");
    fwrite(outputs[i], 1, (size_t)atoll(arguments[4 + i]), file);
    fclose(file);
  }
  return 0;
}
