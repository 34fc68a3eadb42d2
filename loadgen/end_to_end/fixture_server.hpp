// Small echo servers for tests, good and bad, in this process: a thread per connection, blocking sockets.
#pragma once

#include "common/socket.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace echobench {

using message = std::vector<std::byte>;

class fixture_server {
public:
  // A connection as a behaviour sees it. Calls return false or empty when the peer or the fixture has ended.
  class connection {
  public:
    connection(int fd, std::size_t number, std::atomic<bool>* asked = nullptr) noexcept
        : fd_(fd), number_(number), asked_(asked) {}
    std::size_t number() const noexcept { return number_; }  // 0 for the first that was accepted
    int fd() const noexcept { return fd_; }
    message read_some(std::size_t most = 64U << 10);
    message read_frame();  // header and payload
    bool write(const message& bytes);

  private:
    int fd_;
    std::size_t number_;
    std::atomic<bool>* asked_;  // set when something was read
    message was_read(message bytes) const;
  };
  using behaviour = std::function<void(connection&)>;  // until it returns; then the connection is closed

  // Listens on that address; port 0 is any that is free.
  explicit fixture_server(behaviour serve, const std::string& address = "127.0.0.1", std::uint16_t port = 0);
  ~fixture_server();  // ends every connection

  std::string address() const { return where_.to_string(); }
  // Until something was read on any connection: however long a client takes to start.
  void wait_until_asked() const { asked_.wait(false); }
  // Until every connection that was opened has ended.
  void wait_until_left();

private:
  void accept_all();

  behaviour serve_;
  unique_fd listener_;
  endpoint where_;
  std::atomic<bool> asked_ = false;
  std::mutex mutex_;
  bool ending_ = false;
  std::vector<int> open_;  // owned by their threads
  std::condition_variable left_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

// An address that nobody listens on, and that nobody else is given while this exists.
class unserved_address {
public:
  unserved_address();
  int fd() const noexcept { return bound_.get(); }  // for listen(2)
  std::string to_string() const { return endpoint::local_of(bound_.get()).to_string(); }

private:
  unique_fd bound_;
};

// The reply to a request frame, as a correct server makes it.
message frame_reply(message request);

namespace behaviours {

void echo_frames(fixture_server::connection& peer);
void echo_bytes(fixture_server::connection& peer);
void close_at_once(fixture_server::connection& peer);
void never_answer(fixture_server::connection& peer);
void greet(fixture_server::connection& peer);  // speaks first, as SSH and SMTP servers do

// echo_frames with something done to each reply: given the connection's number, the reply's and its bytes,
// returns the bytes to send instead; none closes the connection.
using tampering = std::function<message(std::size_t, std::size_t, message)>;
fixture_server::behaviour tamper(tampering with);

// Answers each request so long after it was read, on each connection by itself.
fixture_server::behaviour answering_after(std::chrono::nanoseconds time);

// Does nothing for the first `stall` of every `period`, on all connections.
fixture_server::behaviour stalling(std::chrono::nanoseconds stall, std::chrono::nanoseconds period);

// Reads and answers so little at a time that the client's sends come short.
void read_slowly(fixture_server::connection& peer);

// Two connections get each other's replies.
fixture_server::behaviour swapping();

}  // namespace behaviours
}  // namespace echobench
