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

// One thread waits until another has made something true, first spinning, then asleep.
class Waiter {
 public:
  // What `ready` reads is stored, sequentially consistent as the loads here, before the other thread notifies.
  template <typename Ready>
  void await(Ready ready) {
    const auto deadline = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int turn = 0; turn < 64; ++turn) {
        if (ready()) return;
        relax();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.store(true);
    wake_.wait(lock, ready);
    asleep_.store(false);
  }

  void notify() {
    if (asleep_.load()) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_one();
    }
  }

 private:
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace

// What a worker is offered belongs to whoever takes it first: the worker, or the leaseholder, which would otherwise wait
// for one that is still waking up or has no processor.
struct Worker {
  Waiter posted, finished;
  Worker* next = nullptr;
  Team::Work work = nullptr;  // this and the next three: written by the leaseholder while nothing is offered
  const void* context = nullptr;
  int32_t part = 0, parts = 0;
  uint64_t job = 0;                  // the last that was offered, even; touched by the leaseholder only
  std::atomic<uint64_t> offer{1};    // `job`, or the odd number behind it once somebody has taken it
  std::atomic<uint64_t> done{0};     // the last job that the worker itself has done

  void post(Team::Work what, const void* with, int32_t number, int32_t count) {
    work = what, context = with, part = number, parts = count;
    job += 2;
    offer.store(job);
    posted.notify();
  }

  bool take(uint64_t offered) { return offer.compare_exchange_strong(offered, offered + 1); }

  void await_done() {
    finished.await([this] { return done.load() == job; });
  }

  void serve() {
    std::fesetenv(FE_DFL_ENV);  // a thread inherits its creator's floating-point mode
    for (;;) {
      uint64_t offered = 0;
      posted.await([&] { return (offered = offer.load()) % 2 == 0; });
      if (!take(offered)) continue;
      work(context, part, parts);
      done.store(offered);
      finished.notify();
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
  for (int32_t part = 1; part < parts; ++part, worker = worker->next) worker->post(work, context, part, parts);
  work(context, 0, parts);
  worker = workers_;
  for (int32_t part = 1; part < parts; ++part, worker = worker->next) {
    if (worker->take(worker->job))
      work(context, part, parts);
    else
      worker->await_done();
  }
}

int32_t pool_workers() { return Pool::instance().workers(); }

}  // namespace mm
