// A connection on a non-blocking socket: goes as far as it can without waiting, then says what to wait for.
// What every model shares that is told by the system when a socket is ready.
#pragma once

#include "servers/serving/listener.hpp"

#include <boost/intrusive/list.hpp>

namespace echobench {

class nonblocking_connection : public boost::intrusive::list_base_hook<> {
public:
  using clock = drain_clock::clock;
  static constexpr clock::time_point never = clock::time_point::max();

  enum class wait {
    readable,  // then advance()
    writable,  // then advance()
    time,      // only for the deadline
    offload,   // for burn() on another thread, then complete()
    nothing,   // it is over: destroy the connection
  };

  // Where work without the offload flag is burnt: by the thread that advances the connection, or, where that
  // must not be held up, by whoever calls burn() and complete() when the connection waits for offload.
  enum class work { here, offloaded };

  nonblocking_connection(unique_fd socket, const server_options& options, buffer_pool& pool,
                         const drain_clock& drain, work where);

  int fd() const noexcept { return socket_.get(); }
  // When due() is to be called, whatever else is awaited; `never` for none.
  clock::time_point deadline() const noexcept { return deadline_; }

  // One caller at a time, on any thread; each returns what to wait for next.
  wait advance();   // the socket is ready
  wait due();       // the deadline may have passed
  wait complete();  // the offloaded work is done
  wait drain();     // the server stops; may be called again

  // The work that was to be offloaded; the only call that may be made on a thread that does not own the
  // connection.
  void burn() const;
  // The drain time-out has passed.
  void abort() noexcept {
    if (!session_.finished()) error_ = server_error::drain_timeout;
  }

  void add_to(server_totals& totals) const noexcept;

private:
  enum class phase : std::uint8_t { open, deferred, lingering };

  wait receive();
  wait proceed();
  wait fail(server_error error) noexcept;
  void touch() noexcept;

  unique_fd socket_;
  const drain_clock& drain_;
  echo_session session_;
  std::chrono::nanoseconds idle_timeout_;
  work where_;
  std::chrono::microseconds work_{0};
  clock::time_point deadline_ = never;
  phase phase_ = phase::open;
  wait waits_for_ = wait::readable;
  std::optional<server_error> error_;
};

}  // namespace echobench
