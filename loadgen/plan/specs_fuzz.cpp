// The small languages of the command line: each text is refused in its own way, or means something that is
// written as a text that means the same.
#include "common/cpu.hpp"
#include "common/units.hpp"
#include "loadgen/plan/message_spec.hpp"
#include "loadgen/plan/rate_spec.hpp"

#include <fuzzer/FuzzedDataProvider.h>

#include <cassert>
#include <stdexcept>

using namespace echobench;

namespace {

// What was parsed, written and parsed again is written alike.
template <class Parse, class Format>
void comes_back(Parse parse, Format format, const std::string& text) {
  std::string written;
  try {
    written = format(parse(text));
  } catch (const std::invalid_argument&) {
    return;
  }
  assert(format(parse(written)) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  const auto which = input.ConsumeIntegralInRange(0, 6);
  const auto text = input.ConsumeRemainingBytesAsString();
  switch (which) {
    case 0: comes_back(parse_operations, format_operations, text); break;
    case 1: comes_back(parse_payloads, format_payloads, text); break;
    case 2: comes_back(parse_objectives, format_objectives, text); break;
    case 3: comes_back(parse_sweep, format_sweep, text); break;
    case 4:
      if (const auto count = parse_count(text)) assert(parse_count(format_count(*count)) == count);
      break;
    case 5:
      if (const auto time = parse_duration(text)) assert(parse_duration(format_duration(*time)) == time);
      break;
    case 6:
      if (const auto cpus = parse_cpu_list(text)) assert(!cpus->empty());
      break;
  }
  return 0;
}
