/* What a launch on the emulator is given and gives back. Plain C, so that other languages can mirror it. */
#ifndef MM_EMULATOR_LAUNCH_CONTEXT_H
#define MM_EMULATOR_LAUNCH_CONTEXT_H

#include <stdint.h>

#define MM_EMULATED_ERROR_BYTES 1024

/* Memory of the device that the launch may touch. Nothing else counts as GDRAM. */
struct mm_emulated_region {
  void *base;
  uint64_t bytes;
  uint8_t *initialised; /* a byte for each byte of memory, nonzero once it has been written; NULL: all of it has */
  uint32_t writable;
  uint32_t reserved;
};

/* Figures of the chip, in the order and with the meaning of mm_backend_mlu.target.Target. */
struct mm_emulated_target {
  uint32_t bang_arch;
  uint32_t clusters;
  uint32_t cores_per_cluster;
  uint32_t nram_bytes;
  uint32_t wram_bytes;
  uint32_t sram_bytes;
  uint32_t nram_alignment;
  uint32_t wram_alignment;
  uint32_t gdram_alignment;
  uint32_t lanes;
  double clock_hz;
  double dram_bytes_per_second;
  double cluster_dram_bytes_per_second;
  double vector_bytes_per_cycle;
  double move_bytes_per_cycle;
  double tensor_float_float; /* operations a cycle of a core, two for a multiplication and an addition */
  double tensor_half_half;
  double scalar_cycles;
  double scalar_dram_cycles;
  double dram_latency_cycles;
  double on_chip_latency_cycles;
  double descriptor_cycles;
  double segment_cycles;
  double issue_cycles;
  double transcendental_cycles; /* of the vector unit for each vector of exp, sigmoid, tanh, ... */
  double vector_latency_cycles;
  double tensor_latency_cycles;
  double barrier_cycles;
  double launch_seconds;
};

/* What the units did in one launch, all cores together. */
struct mm_emulated_counters {
  uint64_t dram_read_bytes; /* in units of the DRAM: what is moved, not what was asked for */
  uint64_t dram_written_bytes;
  uint64_t on_chip_bytes; /* copies between NRAM, WRAM and SRAM */
  uint64_t vector_bytes;  /* what the vector unit works through: its cycles times its width */
  uint64_t vector_instructions;
  uint64_t tensor_macs_float;
  uint64_t tensor_macs_half;
  uint64_t tensor_instructions;
  uint64_t scalar_accesses;
  uint64_t descriptors; /* copies; a strided one counts once */
  uint64_t barriers;
};

struct mm_emulated_launch {
  uint64_t struct_bytes; /* sizeof(struct mm_emulated_launch), checked */
  struct mm_emulated_target target;
  const struct mm_emulated_region *regions;
  uint64_t region_count;
  uint64_t seed; /* of the order in which tasks run */
  /* out */
  struct mm_emulated_counters counters;
  double seconds; /* predicted for the chip, the launch itself included */
  char error[MM_EMULATED_ERROR_BYTES];
};

#endif
