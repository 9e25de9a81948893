// Loads generated code from memory.
#pragma once

#include "kernel.h"

struct mm_loaded_object {
  void* handle = nullptr;
  int descriptor = -1;
  const mm_object* object = nullptr;

  mm_loaded_object(const void* bytes, int64_t length);  // throws mm::Refusal
  ~mm_loaded_object();
  mm_loaded_object(const mm_loaded_object&) = delete;
  mm_loaded_object& operator=(const mm_loaded_object&) = delete;

 private:
  void open(const void* bytes, int64_t length);
  void close();
};
