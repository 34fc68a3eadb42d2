// Requests leave and replies arrive in any pieces and any order that a transport may report them in: true
// replies are never blamed, and not one wrong byte passes.
#include "loadgen/session/client_session.hpp"

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cassert>
#include <vector>

using namespace echobench;

namespace {

using finding = client_session::finding;
using bytes = std::vector<std::byte>;

constexpr std::uint32_t largest_payload = 600;

message_spec spec_from(FuzzedDataProvider& input) {
  message_spec spec;
  spec.frames = input.PickValueInArray({framing::frame, framing::line, framing::raw});
  const auto smallest = spec.frames == framing::frame ? 0U : 1U;
  spec.payloads.clear();
  for (auto kinds = input.ConsumeIntegralInRange(1, 3); kinds > 0; --kinds) {
    const auto low = input.ConsumeIntegralInRange<std::uint32_t>(smallest, largest_payload);
    const auto high = input.ConsumeIntegralInRange<std::uint32_t>(low, largest_payload);
    spec.payloads.push_back({low, high, input.ConsumeIntegralInRange<std::uint32_t>(1, 9)});
  }
  if (spec.frames == framing::frame && input.ConsumeBool()) {
    spec.operations = {{{.kind = frame_op::upper}, 3},
                       {{.kind = frame_op::work, .param = std::chrono::microseconds(7)}, 2}};
  }
  spec.seed = input.ConsumeIntegral<std::uint8_t>();
  return spec;
}

// The reply to a request, by the protocol's description.
bytes answer_to(const message_plan& plan, const planned_message& of) {
  bytes message(plan.size_of(of));
  plan.copy_request(of, 0, message);
  if (plan.header_size() == 0) return message;
  const auto header = std::span(message).first<frame_header_size>();
  const auto request = decode_header(header);
  encode_header(reply_to(request, frame_status::ok), header);
  if (request.op == frame_op::upper) to_upper_ascii(std::span(message).subspan(frame_header_size));
  return message;
}

// A conversation whose both sides are known in full.
class conversation {
public:
  conversation(const message_plan& plan, std::uint32_t connection)
      : plan_(plan), session_(plan, connection) {}

  void request() {
    const auto of = plan_.message_of(session_.connection(), session_.requested());
    session_.request();
    bytes asked(plan_.size_of(of));
    assert(plan_.copy_request(of, 0, asked) == asked.size());
    requests_.insert(requests_.end(), asked.begin(), asked.end());
    const auto answer = answer_to(plan_, of);
    replies_.insert(replies_.end(), answer.begin(), answer.end());
    starts_.push_back(requests_.size());
  }

  void send(FuzzedDataProvider& input, std::span<std::byte> scratch) {
    const auto next = session_.pending(scratch);
    assert(next.empty() == (sent_ == requests_.size()));
    assert(std::ranges::equal(next, std::span(requests_).subspan(sent_, next.size())));
    const auto n = input.ConsumeIntegralInRange<std::size_t>(0, next.size());
    session_.sent(n);
    sent_ += n;
  }

  void receive(FuzzedDataProvider& input) {
    const auto n = input.ConsumeIntegralInRange<std::size_t>(0, sent_ - arrived_);
    const auto progress = session_.received(std::span(replies_).subspan(arrived_, n));
    assert(progress.found == finding::good);
    const auto before = whole_replies();
    arrived_ += n;
    assert(progress.replies == whole_replies() - before);
  }

  // All that was sent comes back, in two pieces, with one byte changed. False: it would not show yet.
  bool receive_wrong(FuzzedDataProvider& input) {
    if (arrived_ == sent_) return false;
    const auto wrong = input.ConsumeIntegralInRange<std::size_t>(arrived_, sent_ - 1);
    const auto message = *std::prev(std::ranges::upper_bound(starts_, wrong));
    const bool in_header = wrong < message + plan_.header_size();
    if (in_header && sent_ < message + plan_.header_size()) return false;  // judged when it is whole
    replies_[wrong] ^= static_cast<std::byte>(input.ConsumeIntegralInRange<std::uint8_t>(1, 255));
    const auto cut = input.ConsumeIntegralInRange<std::size_t>(arrived_, sent_);
    auto found = session_.received(std::span(replies_).subspan(arrived_, cut - arrived_)).found;
    if (found == finding::good)
      found = session_.received(std::span(replies_).subspan(cut, sent_ - cut)).found;
    assert(found == finding::corrupt || found == finding::rejected);
    return true;
  }

  // One byte more than was asked for.
  void receive_too_much(FuzzedDataProvider& input) {
    bytes much(replies_.begin() + static_cast<std::ptrdiff_t>(arrived_),
               replies_.begin() + static_cast<std::ptrdiff_t>(sent_));
    much.push_back(static_cast<std::byte>(input.ConsumeIntegral<std::uint8_t>()));
    assert(session_.received(much).found == finding::unsolicited);
  }

  void restart() {
    session_.restart();
    sent_ = arrived_ = requests_.size();
    assert(session_.outstanding() == session_.requested() - session_.replied());
    assert(!session_.has_pending() && session_.outstanding() == 0);
  }

private:
  std::size_t whole_replies() const {
    return static_cast<std::size_t>(std::ranges::upper_bound(starts_, arrived_) - starts_.begin()) - 1;
  }

  const message_plan& plan_;
  client_session session_;
  bytes requests_;
  bytes replies_;                       // true ones, to all of them
  std::vector<std::size_t> starts_{0};  // of each message in both, and the end
  std::size_t sent_ = 0;                // bytes of requests_
  std::size_t arrived_ = 0;             // bytes of replies_
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const payload_pool pool(1, largest_payload);
  FuzzedDataProvider input(data, size);
  const message_plan plan(spec_from(input), pool);
  conversation talk(plan, input.ConsumeIntegralInRange<std::uint32_t>(0, 99'999));
  bytes scratch(input.ConsumeIntegralInRange<std::size_t>(1, 1024));

  while (input.remaining_bytes() > 0) {
    switch (input.ConsumeIntegralInRange(0, 15)) {
      default: talk.request(); break;
      case 4:
      case 5:
      case 6:
      case 7: talk.send(input, scratch); break;
      case 8:
      case 9:
      case 10:
      case 11: talk.receive(input); break;
      case 12: talk.restart(); break;
      case 13:
        if (talk.receive_wrong(input)) return 0;
        break;
      case 14: talk.receive_too_much(input); return 0;
    }
  }
  return 0;
}
