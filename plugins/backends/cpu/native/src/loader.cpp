#include "loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#endif

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

const mm_functions kFunctions{MM_CPU_ABI, static_cast<int32_t>(sizeof(mm_functions))};

void write_all(int descriptor, const void* bytes, int64_t length) {
  const char* position = static_cast<const char*>(bytes);
  while (length > 0) {
    const ssize_t written = ::write(descriptor, position, static_cast<size_t>(length));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) mm::refuse("the generated code cannot be stored: %s", std::strerror(errno));
    position += written;
    length -= written;
  }
}

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && folder[0] != '\0' ? folder : "/tmp";
}

// Refuses bytes that are no whole shared object of this machine: the dynamic linker maps what the headers state, and
// touching a page beyond the end of the file is a signal. Whether the code inside is good cannot be seen.
void expect_whole(const void* bytes, int64_t length) {
#if defined(__linux__)
  ElfW(Ehdr) header;
  const auto size = static_cast<uint64_t>(length);
  if (size < sizeof header) mm::refuse("the generated code is no shared object: it has %lld bytes",
                                       static_cast<long long>(length));
  std::memcpy(&header, bytes, sizeof header);
  const unsigned char kind = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_DYN || header.e_ident[EI_CLASS] != kind)
    mm::refuse("the generated code is no shared object");
#if defined(__x86_64__)
  if (header.e_machine != EM_X86_64) mm::refuse("the generated code is for another kind of processor");
#elif defined(__aarch64__)
  if (header.e_machine != EM_AARCH64) mm::refuse("the generated code is for another kind of processor");
#endif
  const uint64_t table = uint64_t{header.e_phnum} * sizeof(ElfW(Phdr));
  if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phoff > size || table > size - header.e_phoff)
    mm::refuse("the generated code is truncated: its program headers lie beyond its end");
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, static_cast<const char*>(bytes) + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
      mm::refuse("the generated code is truncated: a segment reaches beyond its end");
  }
#else
  (void)bytes;
  (void)length;
#endif
}

}  // namespace

mm_loaded_object::mm_loaded_object(const void* bytes, int64_t length) {
  try {
    open(bytes, length);
  } catch (...) {
    close();
    throw;
  }
}

mm_loaded_object::~mm_loaded_object() { close(); }

void mm_loaded_object::close() {
  if (handle != nullptr) dlclose(handle);
  if (descriptor >= 0) ::close(descriptor);
}

void mm_loaded_object::open(const void* bytes, int64_t length) {
  if (bytes == nullptr || length <= 0) mm::refuse("there is no generated code to load");
  expect_whole(bytes, length);
  std::string path, unlink_path;
#if defined(__linux__)
  // The descriptor stays open as long as the code is in use: the dynamic linker knows objects by path, so a number
  // that was given to another file would find the old code.
  descriptor = memfd_create("mm_object", MFD_CLOEXEC);
  if (descriptor >= 0) path = "/proc/self/fd/" + std::to_string(descriptor);
  if (descriptor >= 0 && access(path.c_str(), R_OK) != 0) {
    ::close(descriptor);
    descriptor = -1;
  }
#endif
  if (descriptor < 0) {
    path = temporary_folder() + "/mm_object_XXXXXX";
    descriptor = mkstemp(path.data());
    if (descriptor < 0) mm::refuse("no temporary file for the generated code: %s", std::strerror(errno));
    unlink_path = path;
  }
  try {
    write_all(descriptor, bytes, length);
  } catch (...) {
    if (!unlink_path.empty()) unlink(unlink_path.c_str());
    throw;
  }
  handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* reason = handle == nullptr ? dlerror() : nullptr;
  if (!unlink_path.empty()) unlink(unlink_path.c_str());
  if (handle == nullptr)
    mm::refuse("the generated code cannot be loaded: %s", reason != nullptr ? reason : "no reason given");
  const auto entry = reinterpret_cast<mm_object_entry_function>(dlsym(handle, "mm_object_entry"));
  if (entry == nullptr) mm::refuse("the generated code does not export mm_object_entry");
  object = entry(&kFunctions);
  if (object == nullptr) mm::refuse("the generated code needs functions that this library does not have");
  if (object->abi != MM_CPU_ABI)
    mm::refuse("the generated code is for ABI version %d, this library has %d", object->abi, MM_CPU_ABI);
  if (object->count < 0 || (object->count > 0 && object->kernels == nullptr))
    mm::refuse("the generated code's table is damaged");
}
