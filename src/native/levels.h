// Which levels this machine can run.
#pragma once
#include <string>
#include <vector>

#include "level.h"

namespace triptych {

// Fastest first; the portable one always stands at the end.
std::vector<const Kernels*> runnable_levels();

// By name, or the fastest for "auto"; std::invalid_argument lists what there is.
const Kernels& level(const std::string& name);

// Threads that this process may keep busy: its affinity, within the limit of its cgroup.
int allowed_threads();

}  // namespace triptych
