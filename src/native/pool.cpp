#include "pool.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace triptych {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(100);  // longer than from one step to the next, far less than a time slice

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spin until `done`, for kSpin at most; tells whether it is.
template <typename Done>
bool spin(Done done) {
  for (int i = 0; i < 64; i++) {
    if (done()) return true;
    pause();
  }
  const auto until = Clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < 64; i++) {
      if (done()) return true;
      pause();
    }
    if (Clock::now() > until) return false;
  }
}

std::atomic<long> forks{0};

long count_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1); });
  static_cast<void>(registered);
  return forks.load();
}

}  // namespace

Pool::Pool(int threads)
    : shares_(static_cast<size_t>(std::max(threads, 1))), counts_(shares_.size()), forks_(count_forks()) {
  for (int i = 1; i < threads; i++) helpers_.emplace_back(&Pool::help, this, i);
}

Pool::~Pool() {
  if (forks_ != forks.load()) {  // a fork copied the handles but not the threads
    for (auto& helper : helpers_) helper.detach();
    return;
  }
  stop_ = true;
  {
    std::lock_guard<std::mutex> lock(sleep_);
  }
  wake_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void Pool::run_erased(long count, long grain, Work work, void* context) {
  if (count <= 0) return;
  if (helpers_.empty() || count <= grain || forks_ != forks.load(std::memory_order_relaxed) || !busy_.try_lock()) {
    work(context, 0, 0, count);
    return;
  }
  std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
  const long workers = threads();
  long all = 0;
  for (long i = workers; i-- > 0;) {  // neighbours in memory go to one thread, the same one each time; helpers first
    Share& share = shares_[static_cast<size_t>(i)];
    share.first = count * i / workers, share.end = count * (i + 1) / workers;
    share.grain = grain, share.work = work, share.context = context;
    share.grains = (share.end - share.first + grain - 1) / grain;
    all += share.grains;
    share.left.store(share.grains, std::memory_order_release);
  }
  // Without a fence: a helper that falls asleep right now may be missed, and is called when the next work comes.
  if (asleep_.load(std::memory_order_relaxed) > 0) {
    {
      std::lock_guard<std::mutex> wait(sleep_);
    }
    wake_.notify_all();
  }
  given_ += all - take(0);
  const auto done = [this] {
    long sum = 0;
    for (const Count& one : counts_) sum += one.done.load(std::memory_order_acquire);
    return sum == given_;
  };
  while (!spin(done)) std::this_thread::yield();
}

long Pool::take(int self) {
  const int workers = threads();
  long taken = 0;
  for (int i = 0; i < workers; i++) {
    Share& share = shares_[static_cast<size_t>((self + i) % workers)];
    long left = share.left.load(std::memory_order_relaxed);
    while (left > 0) {
      // A third of what is left: each taking stops the stream of reads for a moment, and only the last must be small.
      const long some = (left + 2) / 3;
      if (!share.left.compare_exchange_weak(left, left - some, std::memory_order_acquire, std::memory_order_relaxed)) continue;
      const long first = share.first + (share.grains - left) * share.grain;
      share.work(share.context, self, first, std::min(first + some * share.grain, share.end));
      taken += some;
      if (self > 0) {
        std::atomic<long>& mine = counts_[static_cast<size_t>(self)].done;
        mine.store(mine.load(std::memory_order_relaxed) + some, std::memory_order_release);
      }
      left = share.left.load(std::memory_order_relaxed);
    }
  }
  return taken;
}

void Pool::help(int self) {
  const auto ready = [&] { return stop_.load() || shares_[static_cast<size_t>(self)].left.load(std::memory_order_relaxed) > 0; };
  while (true) {
    if (!spin(ready)) {
      std::unique_lock<std::mutex> lock(sleep_);
      asleep_.fetch_add(1);
      if (!ready()) wake_.wait(lock);  // what it was woken for may be done by now, but more will follow
      asleep_.fetch_sub(1);
    }
    if (stop_) return;
    take(self);
  }
}

}  // namespace triptych
