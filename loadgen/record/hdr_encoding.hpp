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

using hdr_bytes = std::vector<std::uint8_t>;

// Cookie, header, then the counts as ZigZag LEB128 with runs of zeros as negative numbers; not compressed.
hdr_bytes encode_hdr_v2(const histogram& recorded);

// The same deflated by zlib and written as base64: "HISTFAAA...".
std::string compress_hdr_v2(const hdr_bytes& encoded);
inline std::string encode_hdr_v2_base64(const histogram& recorded) {
  return compress_hdr_v2(encode_hdr_v2(recorded));
}

// One line of an HdrHistogram log.
struct hdr_log_line {
  std::string tag;                    // what was recorded; characters that the format reserves become '_'
  std::chrono::nanoseconds start{0};  // since the log's start
  std::chrono::nanoseconds length{0};
  std::chrono::nanoseconds max{0};
  const hdr_bytes* encoded = nullptr;
};

// A whole log, format version 1.3. The maximum is given in milliseconds, as HdrHistogram's own writers do.
std::string format_hdr_log(std::span<const hdr_log_line> lines,
                           std::chrono::system_clock::time_point started);

}  // namespace echobench
