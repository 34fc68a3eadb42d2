// Any 16 bytes are a header that is the same after decoding and encoding, and that determines the reply.
#include "common/frame.hpp"

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cassert>
#include <vector>

using namespace echobench;

namespace {

std::byte upper(std::byte text) {
  const auto letter = std::to_integer<unsigned>(text);
  return letter >= 'a' && letter <= 'z' ? static_cast<std::byte>(letter - 'a' + 'A') : text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  auto wire = input.ConsumeBytes<std::byte>(frame_header_size);
  if (wire.size() < frame_header_size) return -1;
  const auto header = decode_header(std::span(wire).first<frame_header_size>());
  std::vector<std::byte> again(frame_header_size);
  encode_header(header, std::span(again).first<frame_header_size>());
  assert(again == wire);

  const frame_limits limits{.max_frame = input.ConsumeIntegral<std::uint32_t>(),
                            .max_work = input.ConsumeIntegral<std::uint32_t>(),
                            .max_sleep = input.ConsumeIntegral<std::uint32_t>()};
  const auto status = check_request(header, limits);
  assert((header.version != frame_version) == (status == frame_status::bad_version));
  assert(status == frame_status::bad_version ||
         (header.length > limits.max_frame) == (status == frame_status::too_large));
  const auto reply = reply_to(header, status);
  assert(reply.length == (status == frame_status::ok ? header.length : 0));
  assert(reply.sequence == header.sequence && reply.op == header.op && reply.status == status);
  assert((reply.flags & flag_reply) != 0);

  auto text = input.ConsumeRemainingBytes<std::byte>();
  auto expected = text;
  std::ranges::transform(expected, expected.begin(), upper);
  to_upper_ascii(text);
  assert(text == expected);
  return 0;
}
