// A few threads that share one piece of work at a time. A helper never has to arrive: whoever called does what nobody
// has taken, and waits only for parts that a helper has begun. So a helper that sleeps, or that the system has taken off
// its core, costs little; spinning threads that wait for each other collapse as soon as a neighbour wants a core.
//
// A step of a small network has dozens of such pieces, each a few microseconds long, and a line of memory takes a good
// part of one from core to core. So all that a helper must know stands in the one line that it watches.
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

  int threads() const { return static_cast<int>(shares_.size()); }

  // Call f(self, first, last) until [0, count) is done, some multiple of `grain` parts at a time. Where the pool is busy
  // with another caller, or after a fork has left the helpers behind, the caller does all of it.
  template <typename F>
  void run(long count, long grain, F&& f) {
    const Work work = [](void* c, int self, long a, long b) {
      (*static_cast<std::remove_reference_t<F>*>(c))(self, a, b);
    };
    run_erased(count, grain, work, &f);
  }

 private:
  // What is meant for one thread. Whoever lowers `left` while it is above 0 has taken grains, and until they are done
  // the caller neither returns nor changes the rest.
  struct alignas(64) Share {
    std::atomic<long> left{0};  // grains that nobody has taken
    long grains = 0, first = 0, end = 0, grain = 1;
    Work work = nullptr;
    void* context = nullptr;
  };
  struct alignas(64) Count {
    std::atomic<long> done{0};  // grains that a helper has done since it began
  };

  void run_erased(long count, long grain, Work work, void* context);
  long take(int self);  // gives how many grains this thread did
  void help(int self);

  std::mutex busy_;  // held by the caller whose work this is
  alignas(64) std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
  long given_ = 0;  // grains that helpers have ever taken
  std::vector<Share> shares_;
  std::vector<Count> counts_;
  std::vector<std::thread> helpers_;
  long forks_;  // of this process and those before it, when the helpers began
};

}  // namespace triptych
