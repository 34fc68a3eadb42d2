// What an observer on the server's side saw of every request, without asking the client: when the kernel had
// received it, when it was read, when its reply was sent. On CLOCK_MONOTONIC, which all processes of one host
// share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

namespace echobench {

// How exactly an arrival is known.
enum class arrival_stamp : std::uint8_t {
  exact,   // the kernel's time of the packet that held the request's last byte
  shared,  // the kernel's time of a later packet, which was read with it: the request had arrived by then
  absent,  // the kernel gave none: the time at which it was read
};

struct observed_request {
  using time_point = std::chrono::steady_clock::time_point;

  std::uint32_t connection = 0;  // in the order in which they were accepted
  std::uint32_t sequence = 0;    // of the request's frame header
  time_point arrived;
  time_point read;
  time_point replied;  // just before the reply was sent; time_point() without a reply
  arrival_stamp stamp = arrival_stamp::absent;
};

// Kept in memory, all of which is reserved at once, and written at the end: recording makes no system call.
class arrival_log {
public:
  // Of at most `limit` requests; 0: none is logged, and none counted.
  explicit arrival_log(std::size_t limit);

  // Returns its number. `peer`: the client's address and port.
  std::uint32_t add_connection(std::string peer);

  // Returns where the request is kept, for replied(); `not_kept` beyond the limit.
  static constexpr std::size_t not_kept = ~std::size_t{0};
  std::size_t add(const observed_request& request) noexcept;
  void replied(std::size_t place, observed_request::time_point when) noexcept {
    if (place != not_kept) requests_[place].replied = when;
  }

  std::size_t kept() const noexcept { return requests_.size(); }
  std::size_t left_out() const noexcept { return left_out_; }

  // CSV with a line of names; throws std::system_error. Times in ns, 0 for a reply that was not sent.
  void write(const std::string& file) const;

  static constexpr const char* columns = "connection,peer,sequence,arrived_ns,read_ns,replied_ns,stamp";

private:
  std::size_t limit_;
  std::size_t left_out_ = 0;
  std::vector<observed_request> requests_;
  std::vector<std::string> peers_;
};

// What write() wrote; throws std::invalid_argument with the number of a line that is something else.
std::vector<observed_request> read_arrival_log(std::istream& from);

}  // namespace echobench
