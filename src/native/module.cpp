// The Python module: checks what comes in, releases the GIL, and calls the rest. What is wrong with an argument becomes a
// ValueError that names it; nothing that Python passes may reach the kernels unchecked.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "gpt.h"
#include "images.h"
#include "levels.h"
#include "reading.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace triptych {
namespace {

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

// The data of an array of type T and of a shape, in which -1 is any size.
template <typename T>
const T* checked(const Array& array, const char* name, const std::vector<long>& shape) {
  std::string got, wanted;
  bool right = array.dtype() == nb::dtype<T>() && array.ndim() == shape.size();
  for (size_t i = 0; i < array.ndim(); i++) {
    got += (i ? ", " : "") + std::to_string(array.shape(i));
    right = right && (shape[i] < 0 || shape[i] == static_cast<long>(array.shape(i)));
  }
  for (size_t i = 0; i < shape.size(); i++) wanted += (i ? ", " : "") + (shape[i] < 0 ? "any" : std::to_string(shape[i]));
  if (!right) {
    const char* type = std::is_same_v<T, float> ? "float32" : std::is_same_v<T, int64_t> ? "int64" : "uint8";
    refuse(std::string(name) + " has shape (" + got + "); expected " + type + " (" + wanted + ")");
  }
  return static_cast<const T*>(array.data());
}

void within(const int64_t* data, long count, int64_t low, int64_t high, const char* name) {
  for (long i = 0; i < count; i++)
    if (data[i] < low || data[i] >= high)
      refuse(std::string(name) + " holds " + std::to_string(data[i]) + ", outside [" + std::to_string(low) + ", " +
             std::to_string(high) + ")");
}

void within(const float* data, long count, float low, float high, const char* name) {
  for (long i = 0; i < count; i++)
    if (!(data[i] >= low && data[i] < high))
      refuse(std::string(name) + " holds " + std::to_string(data[i]) + ", outside [" + std::to_string(low) + ", " +
             std::to_string(high) + ")");
}

void finite(const float* data, long count, const char* name) {
  for (long i = 0; i < count; i++)
    if (!std::isfinite(data[i])) refuse(std::string(name) + " holds a value that is not finite");
}

template <typename T>
struct Made {  // an array for Python, and where to write it
  explicit Made(std::vector<size_t> sides) : shape(std::move(sides)) {
    size_t count = 1;
    for (size_t side : shape) count *= side;
    data = new T[count]();
    owner = nb::capsule(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  }
  nb::ndarray<nb::numpy, T> array() { return nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner); }
  std::vector<size_t> shape;
  T* data;
  nb::capsule owner;
};

size_t size(long count) { return static_cast<size_t>(count); }

Precision precision_of(const std::string& name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  if (name == "int8") return Precision::int8;
  refuse("precision " + name + ": use fp32, bf16 or int8");
}

Config config_of(const nb::dict& given) {
  const auto get = [&](const char* name, long low, long high, long multiple = 1) {
    if (!given.contains(name)) refuse(std::string("config: ") + name + " is missing");
    const long value = nb::cast<long>(given[name]);
    if (value < low || value > high || value % multiple != 0)
      refuse(std::string("config: ") + name + "=" + std::to_string(value) + " is out of range");
    return value;
  };
  constexpr long large = 1 << 20;
  Config c{get("depth", 1, 1024),        get("width", 64, large, 64),     get("heads", 1, 4096),
           get("kv_heads", 1, 4096),     get("hidden", 64, large, 64),    get("vocabulary", 1, large * 16),
           get("codes", 1, large * 16),  get("inputs", 1, 4096),          get("slots", 1, 64),
           get("head_layers", 1, 1024),  get("head_width", 64, large, 64), get("head_hidden", 64, large, 64)};
  if (c.heads % c.kv_heads != 0) refuse("config: heads must be a multiple of kv_heads");
  return c;
}

std::shared_ptr<GPT> make_gpt(const nb::dict& config, const nb::dict& weights, const Array& rates,
                              const std::string& precision, const std::string& level_name) {
  Tensors tensors;
  std::vector<Array> kept;  // keeps copies alive until they are packed
  for (auto [key, value] : weights) {
    Array array;
    if (!nb::try_cast(value, array)) refuse("weights: " + nb::cast<std::string>(key) + " is not an array");
    kept.push_back(array);
    std::vector<long> shape;
    for (size_t i = 0; i < array.ndim(); i++) shape.push_back(static_cast<long>(array.shape(i)));
    const std::string name = nb::cast<std::string>(key);
    tensors.add(name, {checked<float>(array, ("weights: " + name).c_str(), shape), shape});
  }
  const float* turning = checked<float>(rates, "rates", {kHead / 2});
  finite(turning, kHead / 2, "rates");
  return std::make_shared<GPT>(config_of(config), tensors, turning, precision_of(precision), level(level_name));
}

std::shared_ptr<Session> make_session(std::shared_ptr<GPT> gpt, std::shared_ptr<Pool> pool, const Array& temperature,
                                      const Array& top_k, const Array& top_p, bool twins) {
  const long rows = temperature.ndim() == 1 ? static_cast<long>(temperature.shape(0)) : -1;
  if (rows < 1 || rows > 65536) refuse("temperature holds one number for each of 1 to 65536 rows");
  const float* t = checked<float>(temperature, "temperature", {rows});
  const int64_t* k = checked<int64_t>(top_k, "top_k", {rows});
  const float* p = checked<float>(top_p, "top_p", {rows});
  std::vector<Sampling> sampling;
  for (long i = 0; i < rows; i++) sampling.push_back({t[i], static_cast<long>(k[i]), p[i]});
  return std::make_shared<Session>(std::move(gpt), std::move(pool), std::move(sampling), twins);
}

nb::object read_rows(Session& s, const Array& ids, const Array& values, const Array& positions, const Array& lengths,
                bool all_states) {
  const Config& c = s.gpt().config;
  const long rows = s.rows(), count = ids.ndim() == 2 ? static_cast<long>(ids.shape(1)) : 0;
  if (count < 1) refuse("ids hold at least one position for each row");
  const int64_t* i = checked<int64_t>(ids, "ids", {rows, count});
  const float* v = checked<float>(values, "values", {rows, count, c.inputs});
  const int64_t* p = checked<int64_t>(positions, "positions", {rows, count, 3});
  const int64_t* n = checked<int64_t>(lengths, "lengths", {rows});
  within(i, rows * count, -1, c.vocabulary, "ids");
  finite(v, rows * count * c.inputs, "values");
  within(p, rows * count * 3, 0, int64_t{1} << 24, "positions");
  within(n, rows, 1, count + 1, "lengths");
  if (!all_states) {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.read(i, v, p, n, count, nullptr);
    return nb::none();
  }
  Made<float> out({size(rows), size(count), size(c.width)});
  {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.read(i, v, p, n, count, out.data);
  }
  return nb::cast(out.array());
}

nb::ndarray<nb::numpy, int64_t> choose_text(Session& s, const Array& given, const Array& uniform, const Array& legal) {
  const float* from = checked<float>(given, "states", {s.drawn(), s.gpt().config.width});
  const float* u = checked<float>(uniform, "uniform", {s.drawn()});
  const uint8_t* open = checked<uint8_t>(legal, "legal", {s.gpt().config.vocabulary});
  finite(from, s.drawn() * s.gpt().config.width, "states");
  within(u, s.drawn(), 0.0f, 1.0f, "uniform");
  Made<int64_t> out({size(s.drawn())});
  {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.choose_text(from, u, open, out.data);
  }
  return out.array();
}

nb::tuple choose_codes(Session& s, const Array& given, const Array& before, const Array& uniform, const Array& guidance,
                       const Array& known) {
  const Config& c = s.gpt().config;
  const long width = given.ndim() == 3 ? static_cast<long>(given.shape(1)) : 0, drawn = s.drawn();
  if (width < 1) refuse("states have the shape (rows, W, D), W at least 1");
  const float* from = checked<float>(given, "states", {s.rows(), width, c.width});
  const int64_t* b = checked<int64_t>(before, "before", {s.rows(), width, c.slots});
  const float* u = checked<float>(uniform, "uniform", {drawn, width, c.slots});
  const float* g = checked<float>(guidance, "guidance", {drawn, width});
  const int64_t* k = checked<int64_t>(known, "known", {drawn, width, c.slots});
  finite(from, s.rows() * width * c.width, "states");
  within(b, s.rows() * width * c.slots, 0, c.codes + 1, "before");
  within(u, drawn * width * c.slots, 0.0f, 1.0f, "uniform");
  finite(g, drawn * width, "guidance");
  within(k, drawn * width * c.slots, -1, c.codes, "known");
  Made<int64_t> codes({size(drawn), size(width), size(c.slots)});
  Made<float> nats({size(drawn), size(width), size(c.slots)});
  {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.choose_codes(from, b, width, u, g, k, codes.data, nats.data);
  }
  return nb::make_tuple(codes.array(), nats.array());
}

void forget(Session& s, const Array& counts) {
  const int64_t* n = checked<int64_t>(counts, "counts", {s.rows()});
  std::lock_guard<std::mutex> lock(s.mutex);
  s.forget(n);
}

nb::ndarray<nb::numpy, float> states(Session& s) {
  Made<float> out({size(s.rows()), size(s.gpt().config.width)});
  std::lock_guard<std::mutex> lock(s.mutex);
  std::copy_n(s.states(), s.rows() * s.gpt().config.width, out.data);
  return out.array();
}

nb::ndarray<nb::numpy, float> text_logits(Session& s, const Array& given) {
  const long count = given.ndim() > 0 ? static_cast<long>(given.shape(0)) : 0;
  if (count < 1) refuse("states hold at least one row");
  const float* from = checked<float>(given, "states", {count, s.gpt().config.width});
  finite(from, count * s.gpt().config.width, "states");
  Made<float> out({size(count), size(s.gpt().config.vocabulary)});
  {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.text_logits(from, count, out.data);
  }
  return out.array();
}

nb::ndarray<nb::numpy, float> code_logits(Session& s, const Array& given, const Array& codes, const Array& before) {
  const Config& c = s.gpt().config;
  const long count = given.ndim() > 0 ? static_cast<long>(given.shape(0)) : 0;
  const long known = codes.ndim() == 2 ? static_cast<long>(codes.shape(1)) : -1;
  if (count < 1 || known < 0 || known >= c.slots) refuse("code_logits takes states (M, D) and codes (M, k), k below the slots");
  const float* from = checked<float>(given, "states", {count, c.width});
  const int64_t* k = checked<int64_t>(codes, "codes", {count, known});
  finite(from, count * c.width, "states");
  within(k, count * known, 0, c.codes, "codes");
  const int64_t* b = checked<int64_t>(before, "before", {count, c.slots});
  within(b, count * c.slots, 0, c.codes + 1, "before");
  Made<float> out({size(count), size(known + 1), size(c.codes)});
  {
    nb::gil_scoped_release free;
    std::lock_guard<std::mutex> lock(s.mutex);
    s.code_logits(from, k, b, count, known, out.data);
  }
  return out.array();
}

nb::ndarray<nb::numpy, int64_t> choose(const Array& logits, const Array& uniform, float temperature, long top_k, float top_p,
                                       const std::string& level_name) {
  const long rows = logits.ndim() == 2 ? static_cast<long>(logits.shape(0)) : 0;
  const long choices = logits.ndim() == 2 ? static_cast<long>(logits.shape(1)) : 0;
  if (rows < 1 || choices < 1) refuse("logits have the shape (B, K), neither of them 0");
  const float* l = checked<float>(logits, "logits", {rows, choices});
  const float* u = checked<float>(uniform, "uniform", {rows});
  within(u, rows, 0.0f, 1.0f, "uniform");
  const Sampling sampling{temperature, top_k, top_p};
  check_sampling(sampling);
  Sampler sampler(level(level_name));
  Made<int64_t> out({size(rows)});
  for (long b = 0; b < rows; b++) out.data[b] = sampler.choose(l + b * choices, choices, sampling, u[b], nullptr);
  return out.array();
}

// Weights (outputs, taps * inputs) and bias (outputs) of one convolution.
Network::Weights convolution(const Array& weight, const Array& bias) {
  const long outputs = weight.ndim() == 2 ? static_cast<long>(weight.shape(0)) : 0;
  const long inputs = weight.ndim() == 2 ? static_cast<long>(weight.shape(1)) : 0;
  if (outputs < 1 || inputs < 1) refuse("weights of a convolution have the shape (outputs, taps * inputs)");
  const float* w = checked<float>(weight, "weight", {outputs, inputs});
  const float* b = checked<float>(bias, "bias", {outputs});
  finite(w, outputs * inputs, "weight");
  finite(b, outputs, "bias");
  return {w, b, outputs, inputs};
}

std::shared_ptr<Network> make_network(std::shared_ptr<Pool> pool, long channels, const std::string& level_name) {
  if (channels < 1 || channels > 65536) refuse("channels=" + std::to_string(channels) + ": use 1 to 65536");
  return std::make_shared<Network>(level(level_name), std::move(pool), channels);
}

nb::ndarray<nb::numpy, float> run_network(Network& network, const Array& given) {
  if (given.ndim() != 5) refuse("pictures have the shape (B, F, Y, X, C)");
  std::vector<long> shape;
  for (size_t i = 0; i < 5; i++) {
    shape.push_back(static_cast<long>(given.shape(i)));
    if (shape[i] < 1) refuse("pictures have the shape (B, F, Y, X, C), none of them 0");
  }
  shape[4] = network.channels_in();
  const float* in = checked<float>(given, "pictures", shape);
  const Size size{shape[0], shape[1], shape[2], shape[3], shape[4]};
  const Size after = network.size_after(size);
  Made<float> out({static_cast<size_t>(after.batch), static_cast<size_t>(after.frames), static_cast<size_t>(after.rows),
                   static_cast<size_t>(after.columns), static_cast<size_t>(after.channels)});
  {
    nb::gil_scoped_release free;
    network.run(in, size, out.data);
  }
  return out.array();
}

std::shared_ptr<Reader> make_reader(std::shared_ptr<Pool> pool, long bytes, const std::string& level_name) {
  if (bytes < 1 || bytes > int64_t{1} << 40) refuse("bytes=" + std::to_string(bytes) + ": use 1 to 2^40");
  return std::make_shared<Reader>(level(level_name), std::move(pool), size(bytes));
}

std::vector<std::string> levels() {
  std::vector<std::string> out;
  for (const Kernels* kernels : runnable_levels()) out.emplace_back(kernels->name);
  return out;
}

}  // namespace
}  // namespace triptych

NB_MODULE(_triptych_native, m) {
  using namespace triptych;
  m.attr("INTERFACE") = 4;  // native_path.py asks for this number; raise it when the calls below change
  m.doc() = "The GPT on a CPU: packed weights, one call a step. See triptych/generate/native_path.py.";
  m.def("levels", &levels, "Names of the levels that this machine can run, fastest first.");
  m.def("allowed_threads", &allowed_threads, "Threads that this process may keep busy: affinity, within its cgroup.");
  m.def("choose", &choose, "logits"_a, "uniform"_a, "temperature"_a, "top_k"_a, "top_p"_a, "level"_a,
        "Draw one id of each row of logits (B, K), as generate.sample.choose does.");
  nb::class_<Pool>(m, "Pool", "Threads that share each step.")
      .def("__init__",
           [](Pool* self, int threads) {
             if (threads < 1 || threads > 1024) refuse("threads=" + std::to_string(threads) + ": use 1 to 1024");
             new (self) Pool(threads);
           },
           "threads"_a)
      .def_prop_ro("threads", &Pool::threads);
  nb::class_<GPT>(m, "GPT", "Packed weights.")
      .def(nb::new_(&make_gpt), "config"_a, "weights"_a, "rates"_a, "precision"_a, "level"_a)
      .def_prop_ro("bytes", &GPT::bytes)
      .def_prop_ro("level", [](const GPT& g) { return std::string(g.kernels.name); });
  nb::class_<Reader>(m, "Reader", "A buffer that is read from end to end; see reading.h.")
      .def(nb::new_(&make_reader), "pool"_a, "bytes"_a, "level"_a)
      .def_prop_ro("bytes", &Reader::bytes)
      .def("read", &Reader::read, nb::call_guard<nb::gil_scoped_release>());
  nb::class_<Session>(m, "Session", "Rows that are read and go on; see gpt.h.")
      .def(nb::new_(&make_session), "gpt"_a, "pool"_a, "temperature"_a, "top_k"_a, "top_p"_a, "twins"_a)
      .def("read", &read_rows, "ids"_a, "values"_a, "positions"_a, "lengths"_a, "all_states"_a = false)
      .def("states", &states)
      .def("choose_text", &choose_text, "states"_a, "uniform"_a, "legal"_a)
      .def("forget", &forget, "counts"_a)
      .def("choose_codes", &choose_codes, "states"_a, "before"_a, "uniform"_a, "guidance"_a, "known"_a)
      .def("text_logits", &text_logits, "states"_a)
      .def("code_logits", &code_logits, "states"_a, "codes"_a, "before"_a)
      .def_prop_ro("cache_bytes", &Session::cache_bytes);
  nb::class_<Network>(m, "Network", "Convolutions over pictures and clips; see images.h.")
      .def(nb::new_(&make_network), "pool"_a, "channels"_a, "level"_a)
      .def("convolve",
           [](Network& n, const Array& weight, const Array& bias, long side, float leak) {
             n.convolve(convolution(weight, bias), side, leak);
           },
           "weight"_a, "bias"_a, "side"_a, "leak"_a = 1.0f)
      .def("residual",
           [](Network& n, const Array& wide, const Array& wide_bias, const Array& narrow, const Array& narrow_bias) {
             n.residual(convolution(wide, wide_bias), convolution(narrow, narrow_bias));
           },
           "wide"_a, "wide_bias"_a, "narrow"_a, "narrow_bias"_a)
      .def("causal", [](Network& n, const Array& weight, const Array& bias) { n.causal(convolution(weight, bias)); },
           "weight"_a, "bias"_a)
      .def("merge",
           [](Network& n, const Array& weight, const Array& bias, long span) { n.merge(convolution(weight, bias), span); },
           "weight"_a, "bias"_a, "span"_a)
      .def("split", &Network::split, "span"_a)
      .def("shuffle", &Network::shuffle, "by"_a)
      .def("unshuffle", &Network::unshuffle, "by"_a)
      .def("run", &run_network, "pictures"_a);
}
