#include "loadgen/record/hdr_encoding.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <zlib.h>

#include <bit>
#include <stdexcept>

namespace echobench {
namespace {

constexpr std::uint32_t v2_cookie = 0x1c849303 | 0x10;
constexpr std::uint32_t v2_compressed_cookie = 0x1c849304 | 0x10;
constexpr std::size_t payload_length_offset = 4;
constexpr std::size_t v2_header_size = 40;

template <class Unsigned>
void put_big_endian(std::vector<std::uint8_t>& out, Unsigned value) {
  for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void put_zigzag(std::vector<std::uint8_t>& out, std::int64_t number) {
  auto value = (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
  for (int byte = 0; byte < 8 && value > 0x7f; ++byte, value >>= 7) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
  }
  out.push_back(static_cast<std::uint8_t>(value));  // the ninth byte would carry eight bits
}

void put_counts(std::vector<std::uint8_t>& out, std::span<const std::uint64_t> counts) {
  while (!counts.empty() && counts.back() == 0) counts = counts.first(counts.size() - 1);
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t zeros = 0;
    while (counts[i + zeros] == 0) ++zeros;
    if (zeros > 0) {
      put_zigzag(out, -static_cast<std::int64_t>(zeros));
      i += zeros;
    } else {
      put_zigzag(out, static_cast<std::int64_t>(counts[i++]));
    }
  }
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto group = bytes.subspan(i, std::min<std::size_t>(3, bytes.size() - i));
    std::uint32_t bits = 0;
    for (std::size_t byte = 0; byte < 3; ++byte)
      bits = (bits << 8) | (byte < group.size() ? group[byte] : 0U);
    for (std::size_t digit = 0; digit < 4; ++digit) {
      text += digit <= group.size() ? digits[(bits >> (18 - 6 * digit)) & 63] : '=';
    }
  }
  return text;
}

double in_seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

hdr_bytes encode_hdr_v2(const histogram& recorded) {
  hdr_bytes out;
  put_big_endian(out, v2_cookie);
  put_big_endian(out, std::uint32_t{0});  // payload length, known below
  put_big_endian(out, std::uint32_t{0});  // normalizing index offset
  put_big_endian(out, static_cast<std::uint32_t>(histogram::significant_digits));
  put_big_endian(out, std::uint64_t{1});  // lowest discernible value
  put_big_endian(out, static_cast<std::uint64_t>(histogram::highest.count()));
  put_big_endian(out, std::bit_cast<std::uint64_t>(1.0));  // integer to double conversion ratio
  put_counts(out, recorded.counts());

  const auto length = out.size() - v2_header_size;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    out[payload_length_offset + byte] = static_cast<std::uint8_t>(length >> (24 - 8 * byte));
  }
  return out;
}

std::string compress_hdr_v2(const hdr_bytes& plain) {
  std::vector<std::uint8_t> deflated(::compressBound(plain.size()));
  uLongf size = deflated.size();
  if (::compress(deflated.data(), &size, plain.data(), plain.size()) != Z_OK) {
    throw std::runtime_error("zlib could not compress a histogram");
  }
  std::vector<std::uint8_t> out;
  put_big_endian(out, v2_compressed_cookie);
  put_big_endian(out, static_cast<std::uint32_t>(size));
  out.insert(out.end(), deflated.begin(), deflated.begin() + static_cast<std::ptrdiff_t>(size));
  return base64(out);
}

std::string format_hdr_log(std::span<const hdr_log_line> lines,
                           std::chrono::system_clock::time_point started) {
  const double start = in_seconds(started.time_since_epoch());
  const auto whole = std::chrono::time_point_cast<std::chrono::seconds>(started);
  std::string text = "#[Logged by echo-load; values are nanoseconds]\n#[Histogram log format version 1.3]\n";
  text += fmt::format("#[StartTime: {:.3f} (seconds since epoch), {:%Y-%m-%dT%H:%M:%SZ}]\n", start,
                      fmt::gmtime(whole));
  text += "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
  for (const auto& line : lines) {
    std::string tag = line.tag;
    for (char& character : tag) {
      if (character == ',' || character == ' ' || character == '\n' || character == '\r') character = '_';
    }
    text += fmt::format("Tag={},{:.3f},{:.3f},{:.3f},{}\n", tag, in_seconds(line.start),
                        in_seconds(line.length), in_seconds(line.max) * 1e3, compress_hdr_v2(*line.encoded));
  }
  return text;
}

}  // namespace echobench
