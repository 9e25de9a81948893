/* A library that answers like Cambricon's CNRT 6, on memory of the host: for tests of the driver, never for use.

   It is as lazy as the real one may be: copies and kernels wait in their queue until somebody waits for a notifier
   behind them, or looks at it often enough. Tests steer it through environment variables and the functions called standin_*. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { SUCCESS = 0, NOT_READY = 1, BAD_ARGUMENT = 100006, NO_MEMORY = 100100 };
enum { MOST_OPERATIONS = 4096, MOST_BUFFERS = 16 };

typedef void (*kernel_function)(void *const *buffers, unsigned dim);
struct notifier;
struct operation {
  kernel_function kernel; /* else a copy, or a wait for another queue */
  void *buffers[MOST_BUFFERS];
  unsigned dim;
  void *target;
  const void *source;
  size_t bytes;
  struct notifier *awaited;
};
struct queue {
  struct operation operations[MOST_OPERATIONS];
  int submitted, finished;
};
struct notifier {
  struct queue *queue;
  int place;
};

static const char *failing = "";
static int failure;
static size_t used;
static int handles;

EXPORT void standin_fail(const char *name, int code) { failing = strdup(name), failure = code; }
EXPORT size_t standin_used(void) { return used; }
EXPORT int standin_handles(void) { return handles; }

static int number(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text != NULL ? atoi(text) : otherwise;
}

#define BEGIN(name) \
  if (strcmp(failing, #name) == 0) return failure

static void run(struct queue *queue, int until) {
  while (queue->finished < until) {
    struct operation *next = &queue->operations[queue->finished++];
    if (next->awaited != NULL)
      run(next->awaited->queue, next->awaited->place);
    else if (next->kernel != NULL)
      next->kernel(next->buffers, next->dim);
    else
      memcpy(next->target, next->source, next->bytes);
  }
}

static struct operation *appended(struct queue *queue) {
  if (queue->submitted == MOST_OPERATIONS) abort();
  struct operation *made = &queue->operations[queue->submitted++];
  memset(made, 0, sizeof *made);
  return made;
}

/* What a kernel's launch, which the vendor's compiler would write, does here. */
EXPORT int standin_enqueue(void *queue, kernel_function kernel, void *const *buffers, int count, unsigned dim) {
  BEGIN(launch);
  struct operation *made = appended(queue);
  made->kernel = kernel;
  made->dim = dim;
  memcpy(made->buffers, buffers, (size_t)count * sizeof *buffers);
  return SUCCESS;
}

EXPORT void cnrtGetLibVersion(int *major, int *minor, int *patch) {
  *major = number("STANDIN_MAJOR", 6), *minor = 0, *patch = 2;
}
EXPORT const char *cnrtGetErrorStr(int code) { return code == NO_MEMORY ? "no memory" : "a made-up error"; }
EXPORT int cnrtGetDeviceCount(unsigned *count) {
  BEGIN(cnrtGetDeviceCount);
  *count = (unsigned)number("STANDIN_DEVICES", 2);
  return SUCCESS;
}
EXPORT int cnrtSetDevice(int device) {
  BEGIN(cnrtSetDevice);
  return device < number("STANDIN_DEVICES", 2) ? SUCCESS : BAD_ARGUMENT;
}
EXPORT int cnrtDeviceGetAttribute(int *value, int attribute, int device) {
  BEGIN(cnrtDeviceGetAttribute);
  switch (attribute) {
    case 0x205: *value = number("STANDIN_CLUSTERS", 8); return SUCCESS;
    case 0x206: *value = 4; return SUCCESS;
    case 0x20a: *value = number("STANDIN_ISA", 372); return SUCCESS;
    case 0x402: *value = 1000000; return SUCCESS;
    case 0x405: *value = 1; return SUCCESS;
    default: return BAD_ARGUMENT;
  }
}
EXPORT int cnrtMalloc(void **made, size_t bytes) {
  BEGIN(cnrtMalloc);
  if (used + bytes > (1u << 20)) return NO_MEMORY;
  size_t *block = malloc(bytes + 64);
  *block = bytes, used += bytes;
  *made = (char *)block + 64;
  return SUCCESS;
}
EXPORT int cnrtFree(void *memory) {
  void *block = (char *)memory - 64;
  used -= *(size_t *)block;
  free(block);
  return SUCCESS;
}
EXPORT int cnrtMemcpyAsync(void *target, void *source, size_t bytes, void *queue, int direction) {
  BEGIN(cnrtMemcpyAsync);
  if (direction < 0 || direction > 2) return BAD_ARGUMENT;
  struct operation *made = appended(queue);
  made->target = target, made->source = source, made->bytes = bytes;
  return SUCCESS;
}
EXPORT int cnrtQueueCreate(void **made) {
  BEGIN(cnrtQueueCreate);
  handles++;
  return *made = calloc(1, sizeof(struct queue)), SUCCESS;
}
EXPORT int cnrtQueueDestroy(void *queue) {
  run(queue, ((struct queue *)queue)->submitted);
  handles--;
  return SUCCESS; /* not freed: notifiers may point to it */
}
EXPORT int cnrtNotifierCreate(void **made) {
  BEGIN(cnrtNotifierCreate);
  handles++;
  return *made = calloc(1, sizeof(struct notifier)), SUCCESS;
}
EXPORT int cnrtNotifierDestroy(void *notifier) {
  handles--;
  return SUCCESS; /* not freed: a queue may still wait for it */
}
EXPORT int cnrtPlaceNotifier(struct notifier *notifier, void *queue) {
  BEGIN(cnrtPlaceNotifier);
  notifier->queue = queue, notifier->place = notifier->queue->submitted;
  return SUCCESS;
}
EXPORT int cnrtQueryNotifier(struct notifier *notifier) {
  BEGIN(cnrtQueryNotifier);
  if (notifier->queue->finished >= notifier->place) return SUCCESS;
  /* Each look lets the card get on by one, unless it hangs. */
  if (!number("STANDIN_HANGS", 0)) run(notifier->queue, notifier->queue->finished + 1);
  return NOT_READY;
}
EXPORT int cnrtWaitNotifier(struct notifier *notifier) {
  BEGIN(cnrtWaitNotifier);
  run(notifier->queue, notifier->place);
  return SUCCESS;
}
EXPORT int cnrtQueueWaitNotifier(struct notifier *notifier, void *queue, unsigned flags) {
  BEGIN(cnrtQueueWaitNotifier);
  if (flags != 0) return BAD_ARGUMENT;
  appended(queue)->awaited = notifier;
  return SUCCESS;
}
