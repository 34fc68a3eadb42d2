// What the frame codec and the session cost, compared with copying the same bytes once: the least that an
// echo can do.
#include "bench/support.hpp"
#include "common/frame.hpp"
#include "servers/session/echo_session.hpp"

#include <cstring>
#include <vector>

namespace echobench::bench {
namespace {

using wire = std::vector<std::byte>;

std::vector<std::byte> request_of(std::size_t payload, frame_op op) {
  wire bytes(frame_header_size + payload);
  encode_header({.length = static_cast<std::uint32_t>(payload), .op = op, .sequence = 7},
                std::span(bytes).first<frame_header_size>());
  for (std::size_t i = frame_header_size; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>('a' + i % 26);
  return bytes;
}

wire reply_of(const wire& request) {
  wire reply = request;
  const auto header = std::span(reply).first<frame_header_size>();
  const frame_header asked = decode_header(header);
  encode_header(reply_to(asked, frame_status::ok), header);
  if (asked.op == frame_op::upper) to_upper_ascii(std::span(reply).subspan(frame_header_size));
  return reply;
}

// `bytes_per_cycle` counts cycles of the frequency that the system reports (/proc/cpuinfo), at which the CPU
// need not run.
void count(benchmark::State& state, std::size_t bytes) {
  const std::int64_t processed = state.iterations() * static_cast<std::int64_t>(bytes);
  state.SetBytesProcessed(processed);
  state.counters["bytes_per_cycle"] =
      benchmark::Counter(static_cast<double>(processed) / benchmark::CPUInfo::Get().cycles_per_second,
                         benchmark::Counter::kIsRate);
}

// The floor: the request copied to where the reply is sent from.
void BM_Codec_Null(benchmark::State& state) {
  const wire request = request_of(static_cast<std::size_t>(state.range(0)), frame_op::echo);
  wire reply(request.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.data());
    std::memcpy(reply.data(), request.data(), request.size());
    benchmark::DoNotOptimize(reply.data());
    benchmark::ClobberMemory();
  }
  check(state, reply == request, "the copy differs");
  count(state, request.size());
}

void BM_Codec_DecodeHeader(benchmark::State& state) {
  const wire request = request_of(static_cast<std::size_t>(state.range(0)), frame_op::echo);
  frame_header header;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.data());
    header = decode_header(std::span(request).first<frame_header_size>());
    benchmark::DoNotOptimize(header);
  }
  check(state, header == frame_header{.length = static_cast<std::uint32_t>(state.range(0)), .sequence = 7},
        "decoded something else");
  count(state, frame_header_size);
}

void BM_Codec_EncodeHeader(benchmark::State& state) {
  frame_header header{.length = static_cast<std::uint32_t>(state.range(0)), .sequence = 7};
  wire encoded(frame_header_size);
  for (auto _ : state) {
    benchmark::DoNotOptimize(header);
    encode_header(header, std::span(encoded).first<frame_header_size>());
    benchmark::ClobberMemory();
  }
  check(state, decode_header(std::span(encoded).first<frame_header_size>()) == header, "encoded wrongly");
  count(state, frame_header_size);
}

// A request goes through a session as in a server: received, answered in place, sent. The two copies are
// those of the system calls, so the floor to compare with is twice BM_Codec_Null.
void session_answers(benchmark::State& state, const session_options& options, const wire& request,
                     const wire& expected) {
  buffer_pool pool(buffer_pool::use::one_thread);
  echo_session session(options, pool);
  wire reply(expected.size());
  for (auto _ : state) {
    std::size_t in = 0;
    std::size_t out = 0;
    while (out < reply.size()) {
      if (in < request.size()) {
        const auto space = session.recv_space();
        const std::size_t n = std::min(space.size(), request.size() - in);
        std::memcpy(space.data(), request.data() + in, n);
        session.received(n);
        in += n;
      }
      const auto pending = session.pending();
      std::memcpy(reply.data() + out, pending.data(), pending.size());
      out += pending.size();
      session.sent(pending.size());
    }
    benchmark::ClobberMemory();
  }
  check(state, reply == expected, "the reply differs");
  count(state, request.size());
}

void BM_Session_Echo(benchmark::State& state) {
  const wire request = request_of(static_cast<std::size_t>(state.range(0)), frame_op::echo);
  session_answers(state, {}, request, reply_of(request));
}

void BM_Session_Upper(benchmark::State& state) {
  const wire request = request_of(static_cast<std::size_t>(state.range(0)), frame_op::upper);
  session_answers(state, {}, request, reply_of(request));
}

void BM_Session_Raw(benchmark::State& state) {
  const wire request = request_of(static_cast<std::size_t>(state.range(0)), frame_op::echo);
  session_answers(state, {.framing = framing::raw}, request, request);
}

void BM_Session_Line(benchmark::State& state) {
  wire line(static_cast<std::size_t>(state.range(0)), std::byte{'x'});
  line.back() = std::byte{'\n'};
  session_answers(state, {.framing = framing::line}, line, line);
}

BENCHMARK(BM_Codec_Null)->ArgName("payload")->Arg(0)->Arg(64)->Arg(4096)->Arg(64 << 10)->Arg(1 << 20);
BENCHMARK(BM_Codec_DecodeHeader)->ArgName("payload")->Arg(0);
BENCHMARK(BM_Codec_EncodeHeader)->ArgName("payload")->Arg(0);
BENCHMARK(BM_Session_Echo)->ArgName("payload")->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(BM_Session_Upper)->ArgName("payload")->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(BM_Session_Raw)->ArgName("payload")->Arg(64)->Arg(4096)->Arg(1 << 20);
BENCHMARK(BM_Session_Line)->ArgName("payload")->Arg(64)->Arg(4096)->Arg(64 << 10);

}  // namespace
}  // namespace echobench::bench
