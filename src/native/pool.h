// A few threads that share one piece of work at a time. A helper never has to arrive: whoever called does what nobody
// has taken, and waits only for parts that a helper has begun. So a helper that sleeps, or that the system has taken off
// its core, costs little; spinning threads that wait for each other collapse as soon as a neighbour wants a core.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace triptych {

class Pool {
 public:
  // Thread `self` (0 is the caller) works on parts [first, last); it must not throw.
  using Work = void (*)(void* context, int self, long first, long last);

  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  // Call f(self, first, last) until [0, count) is done, `grain` parts at a time. Where the pool is busy with another caller,
  // or after a fork has left the helpers behind, the caller does all of it.
  template <typename F>
  void run(long count, long grain, F&& f) {
    const Work work = [](void* c, int self, long a, long b) {
      (*static_cast<std::remove_reference_t<F>*>(c))(self, a, b);
    };
    run_erased(count, grain, work, &f);
  }

 private:
  struct alignas(64) Share {
    std::atomic<long> next{0};
    long end = 0;
  };

  void run_erased(long count, long grain, Work work, void* context);
  void take(int self);
  void help(int self);

  std::mutex busy_;                                // held by the caller whose work this is
  alignas(64) std::atomic<unsigned long> turn_{0};  // odd while work is open
  alignas(64) std::atomic<int> inside_{0};          // helpers that may be looking at the work
  alignas(64) std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
  Work work_ = nullptr;
  void* context_ = nullptr;
  long grain_ = 1;
  std::vector<Share> shares_;
  std::vector<std::thread> helpers_;
  long process_;
};

}  // namespace triptych
