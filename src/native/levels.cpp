#include "levels.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif

namespace triptych {
namespace {

#if defined(__linux__)
// Cores' worth of time that a cgroup grants, rounded up; 0 is no limit. Version 2 first, then version 1.
double cgroup_cores() {
  std::string quota;
  double period = 0;
  std::ifstream two("/sys/fs/cgroup/cpu.max");
  if (two >> quota >> period) return quota == "max" || period <= 0 ? 0 : std::stod(quota) / period;
  double us = 0;
  std::ifstream one("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), length("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  return one >> us && length >> period && us > 0 && period > 0 ? us / period : 0;
}
#endif

}  // namespace

std::vector<const Kernels*> runnable_levels() {
  std::vector<const Kernels*> out;
#ifdef TRIPTYCH_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  if (vnni && __builtin_cpu_supports("avx512bf16")) out.push_back(&kBf16);
  if (vnni) out.push_back(&kVnni);
  if (avx512) out.push_back(&kAvx512);
  if (avx2) out.push_back(&kAvx2);
#endif
  out.push_back(&kPortable);
  return out;
}

const Kernels& level(const std::string& name) {
  std::string known;
  for (const Kernels* kernels : runnable_levels()) {
    if (name == "auto" || name == kernels->name) return *kernels;
    known += (known.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("level " + name + ": this machine runs " + known);
}

int allowed_threads() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  const double limit = cgroup_cores();
  if (limit > 0) cores = std::min(cores, static_cast<int>(limit + 0.999));
#endif
  return std::max(cores, 1);
}

}  // namespace triptych
