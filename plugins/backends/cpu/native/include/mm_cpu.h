/* The native interface of the CPU backend, in C: what kernels, generated code and host programs agree on.
 *
 * Three parties meet here. A *kernel* (from the library or generated) computes a range of independent tasks. An
 * *object* is generated code: a shared object that exports one symbol, `mm_object_entry`. A *program* is the steps
 * that one request runs, each a kernel with its buffers.
 *
 * Tensors are dense and row-major. Arena and constant buffers start at multiples of 64 bytes; inputs and outputs of a
 * request start at least at a multiple of their element size, so kernels must not use aligned vector moves on them.
 * Sub-byte elements take one byte each, in the low bits, sign-extended for signed types.
 */
#ifndef MM_CPU_H
#define MM_CPU_H

#include <stdint.h>

#define MM_CPU_ABI 1
#define MM_MAX_RANK 16
#define MM_ALIGNMENT 64

#if defined(_WIN32)
#define MM_EXPORT __declspec(dllexport)
#else
#define MM_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Element types. The code of a type's text name ("f32", "ui8", "f8E4M3FN") is what `mm_dtype_code` answers. */
typedef enum mm_dtype {
  MM_NONE = 0, /* an absent optional operand */
  MM_BOOL, MM_I2, MM_I4, MM_I8, MM_I16, MM_I32, MM_I64,
  MM_U2, MM_U4, MM_U8, MM_U16, MM_U32, MM_U64,
  MM_F16, MM_BF16, MM_F32, MM_F64,
  MM_F8E4M3FN, MM_F8E4M3FNUZ, MM_F8E5M2, MM_F8E5M2FNUZ, MM_F8E8M0FNU, MM_F4E2M1FN,
  MM_C64, MM_C128,
  MM_DTYPE_COUNT
} mm_dtype;

/* What a run or a kernel reports. */
typedef enum mm_status {
  MM_OK = 0,
  MM_INDEX_OUT_OF_RANGE = 1, /* an index of gather, scatter or a loop is outside its axis */
  MM_BAD_ARGUMENT = 2        /* a null pointer or a count that the program does not have */
} mm_status;

/* ---- kernels -------------------------------------------------------------------------------------------------- */

typedef struct mm_desc {
  int32_t dtype; /* mm_dtype; MM_NONE for an absent operand */
  int32_t rank;
  const int64_t* dims;
  int64_t count; /* product of dims */
} mm_desc;

typedef struct mm_call {
  void* const* data;     /* inputs first, then outputs; an absent optional is NULL */
  const mm_desc* desc;   /* same order; generated kernels do not read it */
  const int64_t* params; /* integers; a double is stored by its bits */
  int32_t n_inputs, n_outputs;
  int32_t* status;       /* where a kernel that meets invalid values stores an mm_status, atomically */
} mm_call;

/* Computes the tasks [begin, end). Ranges may run at the same time on several threads, and results never depend on
 * how tasks were split. `scratch` belongs to the thread, starts at a multiple of 64 and has the bytes that the
 * step declared. */
typedef void (*mm_kernel)(const mm_call* call, int64_t begin, int64_t end, void* scratch);

/* ---- generated code ------------------------------------------------------------------------------------------- */

/* What generated code may call. Members are only ever appended; `size` is the bytes that the host knows. */
typedef struct mm_functions {
  int32_t abi;
  int32_t size;
} mm_functions;

typedef struct mm_object {
  int32_t abi; /* MM_CPU_ABI of the header it was compiled with */
  int32_t count;
  const mm_kernel* kernels;
} mm_object;

/* The one symbol of an object: answers its table of kernels, or NULL if the host's functions do not suffice. */
typedef const mm_object* (*mm_object_entry_function)(const mm_functions* functions);

/* ---- host interface ------------------------------------------------------------------------------------------- */

typedef struct mm_loaded_object mm_loaded_object;
typedef struct mm_program mm_program;

MM_EXPORT int32_t mm_cpu_abi(void);

/* Names of instruction set extensions that this processor has, separated by spaces: "avx2 fma avx512f ...". */
MM_EXPORT const char* mm_cpu_features(void);

/* Code of an element type's text name, or MM_NONE if there is no such type. */
MM_EXPORT int32_t mm_dtype_code(const char* text);
/* Bytes of one element, 0 for an unknown code. */
MM_EXPORT int64_t mm_dtype_bytes(int32_t code);

/* Names of the library kernels; a step refers to one by its position. The list ends with NULL. */
MM_EXPORT const char* const* mm_library_kernel_names(void);

/* Loads generated code from memory. NULL on failure, with a sentence in `error`. It must outlive its programs. */
MM_EXPORT mm_loaded_object* mm_object_load(const void* bytes, int64_t length, char* error, int64_t error_length);
MM_EXPORT int32_t mm_object_count(const mm_loaded_object* object);
MM_EXPORT void mm_object_free(mm_loaded_object* object);

/* A program from words (int64; see below). Everything that can be wrong with the words is refused here: NULL and a
 * sentence in `error`. The words are copied; the constants are not, and must outlive the program.
 *
 *   MM_PROGRAM_MAGIC, MM_CPU_ABI, n_inputs, n_outputs, n_constants, arena bytes, n_buffers, n_steps, n_loops
 *   for each buffer:  space (mm_space), index (arena: offset in bytes), dtype, rank, dims...
 *   for each step:    origin (mm_origin), kernel, n_inputs, n_outputs, buffer numbers (-1: absent)...,
 *                     n_params, params..., tasks, scratch bytes of a thread
 *   for each loop:    first step, last step (exclusive), repetitions, n_moves
 *     for each move:  buffer, bytes from its start in the first repetition, bytes to add in each further one
 *
 * Loops come in the order of their first steps, an outer one before those inside it. A buffer moves in one loop at most.
 * `tasks` is -1 for library kernels, which know their own splitting. */
MM_EXPORT mm_program* mm_program_create(const int64_t* words, int64_t n_words, const mm_loaded_object* object,
                                        const void* const* constants, int64_t n_constants, char* error,
                                        int64_t error_length);

#define MM_PROGRAM_MAGIC INT64_C(0x4d4d435055303031)
typedef enum mm_space { MM_ARENA = 0, MM_CONSTANT = 1, MM_INPUT = 2, MM_OUTPUT = 3 } mm_space;
typedef enum mm_origin { MM_LIBRARY = 0, MM_OBJECT = 1 } mm_origin;

/* Bytes of the arena that a run on at most `threads` threads needs: the program's own and the threads' scratch. */
MM_EXPORT int64_t mm_program_arena_bytes(const mm_program* program, int32_t threads);
MM_EXPORT int64_t mm_program_steps(const mm_program* program);

/* Runs all steps. `arena` starts at a multiple of 64 and belongs to this run alone; a program may run on several
 * threads at once with an arena each. `profile`, if not NULL, receives each step's nanoseconds.
 * Answers MM_OK, or the mm_status in the low 8 bits and the step's number above them. */
MM_EXPORT int64_t mm_program_run(const mm_program* program, void* arena, const void* const* inputs,
                                 void* const* outputs, int32_t threads, int64_t* profile);
MM_EXPORT void mm_program_free(mm_program* program);

/* Worker threads of the process-wide pool that exist now. */
MM_EXPORT int32_t mm_pool_workers(void);

#ifdef __cplusplus
}
#endif
#endif
