// HdrHistogram's V2 formats, so that its tools read what we recorded.
// Source: HdrHistogram 2.1.12, AbstractHistogram.encodeIntoCompressedByteBuffer and HistogramLogWriter.
#pragma once

#include "loadgen/record/histogram.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace echobench {

// Cookie, header, then the counts as ZigZag LEB128 with runs of zeros as negative numbers; not compressed.
std::vector<std::uint8_t> encode_hdr_v2(const histogram& recorded);

// The same deflated by zlib and written as base64: "HISTFAAA...".
std::string encode_hdr_v2_base64(const histogram& recorded);

// One line of an HdrHistogram log.
struct hdr_log_line {
  std::string tag;  // what was recorded; characters that the format reserves become '_'
  const histogram* recorded;
};

// A whole log, format version 1.3: every histogram spans the measurement that began at `started` and lasted
// `length`. The maximum is given in milliseconds, as HdrHistogram's own writers do.
std::string format_hdr_log(std::span<const hdr_log_line> lines, std::chrono::system_clock::time_point started,
                           std::chrono::nanoseconds length);

}  // namespace echobench
