#include "loadgen/record/interval.hpp"

#include <numeric>

namespace echobench {

interval::interval(std::size_t of_cell, std::chrono::nanoseconds begin, std::chrono::nanoseconds lasted,
                   std::chrono::nanoseconds of_it_driven, const target_record& recorded)
    : cell(of_cell),
      start(begin),
      length(lasted),
      driven(of_it_driven),
      requests(recorded.service.count()),
      errors(std::accumulate(recorded.errors.begin(), recorded.errors.end(), std::uint64_t{0})),
      send_delay_p99(recorded.send_delay.percentile(99)),
      service(encode_hdr_v2(recorded.service)) {
  const bool open_loop = recorded.response.count() > 0;
  const histogram& counts = open_loop ? recorded.response : recorded.service;
  p50 = counts.percentile(50);
  p99 = counts.percentile(99);
  max = counts.max();
  service_max = recorded.service.max();
  if (open_loop) response = encode_hdr_v2(recorded.response);
}

}  // namespace echobench
