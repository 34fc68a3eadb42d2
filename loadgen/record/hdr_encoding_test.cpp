#include "loadgen/record/hdr_encoding.hpp"

#include <gmock/gmock.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using octets = std::vector<std::uint8_t>;

octets decode_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  octets out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char character : text) {
    if (character == '=') break;
    bits = (bits << 6) | static_cast<std::uint32_t>(digits.find(character));
    if ((held += 6) >= 8) out.push_back(static_cast<std::uint8_t>(bits >> (held -= 8)));
  }
  return out;
}

std::uint64_t big_endian(const octets& from, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = (value << 8) | from[at + i];
  return value;
}

// The counts of a V2 encoding, written from the format's description alone.
std::vector<std::uint64_t> decode_counts(const octets& from) {
  std::vector<std::uint64_t> counts;
  for (std::size_t at = 40; at < from.size();) {
    std::uint64_t zigzag = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t byte = from[at++];
      zigzag |= std::uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80) == 0) break;
    }
    const auto number = static_cast<std::int64_t>(zigzag >> 1) ^ -static_cast<std::int64_t>(zigzag & 1);
    if (number < 0) {
      counts.insert(counts.end(), static_cast<std::size_t>(-number), 0);
    } else {
      counts.push_back(static_cast<std::uint64_t>(number));
    }
  }
  return counts;
}

histogram sample() {
  histogram recorded;
  for (int i = 0; i < 70'000; ++i) recorded.record(42us);
  recorded.record(1ns);
  recorded.record(2ns);
  recorded.record(99s);
  return recorded;
}

TEST(hdr_encoding, an_empty_histogram_is_a_header) {
  EXPECT_THAT(encode_hdr_v2({}),
              testing::ElementsAre(0x1c, 0x84, 0x93, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,  //
                                   0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x17, 0x48, 0x76, 0xe8, 0,  //
                                   0x3f, 0xf0, 0, 0, 0, 0, 0, 0));
}

TEST(hdr_encoding, counts_are_zigzag_leb128_and_zeros_are_runs) {
  histogram recorded;
  recorded.record(2ns);
  for (int i = 0; i < 64; ++i) recorded.record(10ns);
  const octets encoded = encode_hdr_v2(recorded);
  EXPECT_EQ(big_endian(encoded, 4, 4), encoded.size() - 40);
  // two zeros, one, seven zeros, 64
  EXPECT_THAT(octets(encoded.begin() + 40, encoded.end()), testing::ElementsAre(3, 2, 13, 0x80, 0x01));
}

TEST(hdr_encoding, the_counts_come_back) {
  const histogram recorded = sample();
  auto counts = decode_counts(encode_hdr_v2(recorded));
  counts.resize(recorded.counts().size());
  EXPECT_TRUE(std::ranges::equal(counts, recorded.counts()));
}

TEST(hdr_encoding, the_text_is_the_deflated_encoding) {
  const histogram recorded = sample();
  const std::string text = encode_hdr_v2_base64(recorded);
  EXPECT_THAT(text, testing::StartsWith("HISTFAAA"));
  EXPECT_EQ(text.size() % 4, 0U);
  const octets packed = decode_base64(text);
  ASSERT_EQ(big_endian(packed, 0, 4), 0x1c849314U);
  ASSERT_EQ(big_endian(packed, 4, 4), packed.size() - 8);
  octets plain(1 << 20);
  uLongf size = plain.size();
  ASSERT_EQ(::uncompress(plain.data(), &size, packed.data() + 8, packed.size() - 8), Z_OK);
  plain.resize(size);
  EXPECT_EQ(plain, encode_hdr_v2(recorded));
}

TEST(hdr_encoding, a_log_has_a_line_for_each_histogram) {
  const hdr_bytes encoded = encode_hdr_v2(sample());
  const std::vector<hdr_log_line> lines{
      {.tag = "a, b", .start = 0s, .length = 2500ms, .max = 99s, .encoded = &encoded},
      {.tag = "c", .start = 2500ms, .length = 1s, .max = 1ms, .encoded = &encoded}};
  const std::string text = format_hdr_log(lines, std::chrono::system_clock::time_point(1'700'000'000s));
  EXPECT_THAT(text, testing::HasSubstr("#[Histogram log format version 1.3]\n"));
  EXPECT_THAT(
      text, testing::HasSubstr("#[StartTime: 1700000000.000 (seconds since epoch), 2023-11-14T22:13:20Z]\n"));
  EXPECT_THAT(text, testing::HasSubstr("\nTag=a__b,0.000,2.500,99000.000,HISTFAAA"));
  EXPECT_THAT(text, testing::HasSubstr("\nTag=c,2.500,1.000,1.000,HISTFAAA"));
}

}  // namespace
}  // namespace echobench
