#include "pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

namespace mm {
namespace {

// How long a thread waits actively before it sleeps: longer than the gap between two steps, far below a scheduling
// slice.
constexpr std::chrono::microseconds kSpin{50};

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A counter that one thread raises and another awaits, first spinning, then asleep.
class Signal {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }

  void raise() {
    value_.fetch_add(1);  // sequentially consistent with the load below, as in `await`
    if (asleep_.load()) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_one();
    }
  }

  void await(uint32_t target) {
    const auto deadline = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int turn = 0; turn < 64; ++turn) {
        if (value() == target) return;
        relax();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.store(true);
    wake_.wait(lock, [&] { return value_.load() == target; });
    asleep_.store(false);
  }

 private:
  std::atomic<uint32_t> value_{0};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace

struct Worker {
  Signal posted, finished;
  Worker* next = nullptr;
  Team::Work work = nullptr;
  const void* context = nullptr;
  int32_t part = 0, parts = 0;
  uint32_t jobs = 0;  // posted so far; touched by the leaseholder only

  void serve() {
    std::fesetenv(FE_DFL_ENV);  // a thread inherits its creator's floating-point mode
    for (uint32_t job = 1;; ++job) {
      posted.await(job);
      work(context, part, parts);
      finished.raise();
    }
  }
};

namespace {

class Pool {
 public:
  static Pool& instance() {
    Pool* pool = current_.load(std::memory_order_acquire);
    if (pool == nullptr) {
      static const int registered = pthread_atfork(nullptr, nullptr, [] { current_.store(nullptr); });
      (void)registered;
      Pool* fresh = new Pool;
      if (current_.compare_exchange_strong(pool, fresh)) return *fresh;
      delete fresh;
    }
    return *pool;
  }

  // Up to `count` idle workers, chained. Creates threads up to the processor's, or to what one run asks for if that
  // is more.
  Worker* lease(int32_t count, int32_t* granted) {
    std::lock_guard<std::mutex> lock(mutex_);
    const int32_t cores = static_cast<int32_t>(std::thread::hardware_concurrency());
    limit_ = std::max({limit_, cores - 1, count});
    Worker* chain = nullptr;
    *granted = 0;
    while (*granted < count) {
      Worker* worker = idle_;
      if (worker != nullptr) {
        idle_ = worker->next;
      } else if (workers_ >= limit_ || (worker = start()) == nullptr) {
        break;
      }
      worker->next = chain;
      chain = worker;
      ++*granted;
    }
    return chain;
  }

  void give_back(Worker* chain) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (chain != nullptr) {
      Worker* next = chain->next;
      chain->next = idle_;
      idle_ = chain;
      chain = next;
    }
  }

  int32_t workers() {
    std::lock_guard<std::mutex> lock(mutex_);
    return workers_;
  }

 private:
  // Threads never end and the pool is never destroyed: at exit other threads may still be using it.
  Worker* start() {
    Worker* worker = new (std::nothrow) Worker;
    if (worker == nullptr) return nullptr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals belong to the host program's threads
    pthread_t thread;
    const int failed = pthread_create(
        &thread, nullptr,
        [](void* self) -> void* {
          static_cast<Worker*>(self)->serve();
          return nullptr;
        },
        worker);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (failed != 0) {
      delete worker;
      return nullptr;
    }
    pthread_detach(thread);
    ++workers_;
    return worker;
  }

  // A forked child has none of the threads: it forgets the pool and makes its own.
  static std::atomic<Pool*> current_;

  std::mutex mutex_;
  Worker* idle_ = nullptr;
  int32_t workers_ = 0;
  int32_t limit_ = 0;
};

std::atomic<Pool*> Pool::current_{nullptr};

}  // namespace

Team::Team(int32_t threads) {
  if (threads < 2) return;
  int32_t granted = 0;
  workers_ = Pool::instance().lease(threads - 1, &granted);
  size_ = granted + 1;
}

Team::~Team() {
  if (workers_ != nullptr) Pool::instance().give_back(workers_);
}

void Team::run(int32_t parts, Work work, const void* context) {
  parts = std::min(parts, size_);
  Worker* worker = workers_;
  for (int32_t part = 1; part < parts; ++part, worker = worker->next) {
    worker->work = work;
    worker->context = context;
    worker->part = part;
    worker->parts = parts;
    ++worker->jobs;
    worker->posted.raise();
  }
  work(context, 0, parts);
  worker = workers_;
  for (int32_t part = 1; part < parts; ++part, worker = worker->next) worker->finished.await(worker->jobs);
}

int32_t pool_workers() { return Pool::instance().workers(); }

}  // namespace mm
