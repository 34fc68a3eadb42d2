// Whatever was recorded, its V2 encoding holds the same counts, by the format's description alone, and
// percentiles rise.
#include "loadgen/record/hdr_encoding.hpp"

#include <fuzzer/FuzzedDataProvider.h>
#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <map>

using namespace echobench;

namespace {

constexpr std::size_t header_size = 40;

std::uint32_t length_field(const hdr_bytes& from) {
  return (std::uint32_t{from[4]} << 24) | (std::uint32_t{from[5]} << 16) | (std::uint32_t{from[6]} << 8) |
         from[7];
}

using counts_by_bucket = std::map<std::size_t, std::uint64_t>;  // those above 0

// ZigZag LEB128 of at most nine bytes; a negative number is a run of zeros.
counts_by_bucket decode_counts(const hdr_bytes& from) {
  counts_by_bucket counts;
  std::size_t bucket = 0;
  for (std::size_t at = header_size; at < from.size();) {
    std::uint64_t zigzag = 0;
    for (unsigned byte = 0;; ++byte) {
      assert(at < from.size());
      const std::uint8_t next = from[at++];
      if (byte == 8) {
        zigzag |= std::uint64_t{next} << 56;
        break;
      }
      zigzag |= std::uint64_t{next & 0x7fU} << (7 * byte);
      if ((next & 0x80) == 0) break;
    }
    const auto number = static_cast<std::int64_t>(zigzag >> 1) ^ -static_cast<std::int64_t>(zigzag & 1);
    assert(number != 0);
    if (number < 0) {
      bucket += static_cast<std::size_t>(-number);
    } else {
      counts[bucket++] = static_cast<std::uint64_t>(number);
    }
  }
  return counts;
}

hdr_bytes decompress(const std::string& base64, std::size_t size) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  assert(base64.size() % 4 == 0);
  hdr_bytes deflated;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char character : base64.substr(0, base64.find('='))) {
    const auto digit = digits.find(character);
    assert(digit != std::string_view::npos);
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    if ((held += 6) >= 8) deflated.push_back(static_cast<std::uint8_t>(bits >> (held -= 8)));
  }
  hdr_bytes plain(size);
  uLongf length = size;
  assert(deflated.size() == 8 + length_field(deflated));
  const int status = ::uncompress(plain.data(), &length, deflated.data() + 8, deflated.size() - 8);
  assert(status == Z_OK && length == size);
  return plain;
}

void check_percentiles(const histogram& recorded) {
  auto last = std::chrono::nanoseconds(0);
  for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 99.999, 100.0}) {
    const auto at = recorded.percentile(percent);
    assert(at >= last && at <= recorded.max());
    last = at;
  }
  assert(last == recorded.max());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static histogram recorded;  // 230 KiB
  static std::vector<std::uint64_t> counts(recorded.counts().size());
  FuzzedDataProvider input(data, size);
  const bool thorough = input.ConsumeIntegralInRange(0, 15) == 15;
  counts_by_bucket expected;
  histogram::summary sum;
  while (input.remaining_bytes() > 0) {
    const auto value = input.ConsumeIntegral<std::uint64_t>() >> input.ConsumeIntegralInRange(0, 63);
    const auto kept = std::clamp<std::uint64_t>(value, 1, histogram::highest.count());
    const auto times = (input.ConsumeIntegral<std::uint64_t>() >> input.ConsumeIntegralInRange(14, 63)) + 1;
    expected[log_linear::index_of(kept)] += times;
    sum.count += times;
    sum.max = std::max(sum.max, kept);
  }
  for (const auto& [bucket, count] : expected) counts[bucket] = count;
  recorded.assign(counts, sum);
  for (const auto& [bucket, count] : expected) counts[bucket] = 0;

  const auto encoded = encode_hdr_v2(recorded);
  assert(length_field(encoded) == encoded.size() - header_size);
  assert(decode_counts(encoded) == expected);
  if (thorough) {
    assert(decompress(compress_hdr_v2(encoded), encoded.size()) == encoded);
    check_percentiles(recorded);
  }
  return 0;
}
