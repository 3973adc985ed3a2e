#include "pool.h"

#include <unistd.h>

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
  const auto until = Clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < 64; i++) {
      if (done()) return true;
      pause();
    }
    if (Clock::now() > until) return false;
  }
}

}  // namespace

Pool::Pool(int threads) : shares_(static_cast<size_t>(std::max(threads, 1))), process_(getpid()) {
  for (int i = 1; i < threads; i++) helpers_.emplace_back(&Pool::help, this, i);
}

Pool::~Pool() {
  if (process_ != getpid()) {  // a fork copied the handles but not the threads
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
  if (helpers_.empty() || count <= grain || process_ != getpid() || !busy_.try_lock()) {
    work(context, 0, 0, count);
    return;
  }
  std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
  work_ = work, context_ = context, grain_ = grain;
  const long workers = threads();
  for (long i = 0; i < workers; i++) {  // neighbours in memory go to one thread, the same one each time
    shares_[i].next.store(count * i / workers, std::memory_order_relaxed);
    shares_[i].end = count * (i + 1) / workers;
  }
  const unsigned long open = turn_.load(std::memory_order_relaxed) + 1;
  turn_.store(open);
  if (asleep_.load() > 0) {
    {
      std::lock_guard<std::mutex> wait(sleep_);
    }
    wake_.notify_all();
  }
  take(0);
  turn_.store(open + 1);  // who comes now finds it closed; who is inside has begun something
  const auto left = [this] { return inside_.load() == 0; };
  while (!spin(left)) std::this_thread::yield();
}

void Pool::take(int self) {
  const int workers = threads();
  for (int i = 0; i < workers; i++) {
    Share& share = shares_[(self + i) % workers];
    while (true) {
      if (share.next.load(std::memory_order_relaxed) >= share.end) break;
      const long first = share.next.fetch_add(grain_, std::memory_order_relaxed);
      if (first >= share.end) break;
      work_(context_, self, first, std::min(first + grain_, share.end));
    }
  }
}

void Pool::help(int self) {
  unsigned long seen = 0;
  while (true) {
    const auto ready = [&] { return stop_.load() || (turn_.load() % 2 == 1 && turn_.load() != seen); };
    if (!spin(ready)) {
      std::unique_lock<std::mutex> lock(sleep_);
      asleep_.fetch_add(1);
      wake_.wait(lock, ready);
      asleep_.fetch_sub(1);
    }
    if (stop_) return;
    const unsigned long turn = turn_.load();
    if (turn % 2 == 0) continue;
    inside_.fetch_add(1);
    if (turn_.load() == turn) take(self);
    inside_.fetch_sub(1);
    seen = turn;
  }
}

}  // namespace triptych
