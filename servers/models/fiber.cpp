// Boost.Fiber: a fiber for each connection; its code reads like that of a blocking server. A thread's
// scheduler sleeps in epoll_wait(2) when none of its fibers can run.
#include "servers/serving/fiber_scheduler.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/server_loops.hpp"
#include "servers/variants.hpp"

#include <boost/context/stack_traits.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/intrusive/list.hpp>
#include <sys/mman.h>

#include <mutex>
#include <new>

namespace echobench {
namespace {

class connection : public boost::intrusive::list_base_hook<>, public fiber_waiter {
public:
  using step = connection_state::step;

  connection(unique_fd socket, shared_by_loops& shared, fiber_scheduler& scheduler, buffer_pool& pool)
      : state(shared.options.connection, pool, shared.drain),
        shared_(shared),
        scheduler_(scheduler),
        socket_(std::move(socket)) {}

  void serve() {
    if (!scheduler_.watch(socket_.get(), events, this)) return state.turned_away();
    for (;;) {
      if (state.next() == step::receive && shared_.drain.stopping())
        state.stop(bytes_readable(socket_.get()));
      switch (state.next()) {
        case step::receive: receive(); break;
        case step::send: send(); break;
        case step::work: work(); break;
        case step::sleep: wait(); break;
        case step::end_sending:
          ::shutdown(socket_.get(), SHUT_WR);
          state.sending_ended();
          break;
        case step::close: return;
      }
    }
  }

  // From another fiber. Offloaded work checks the time itself.
  void abort() {
    if (state.next() != step::work) state.abort();
    scheduler_.wake(*this);
  }

  connection_state state;

private:
  // The fiber may be woken early: the state then determines what is next.
  void wait() {
    scheduler_.wait(*this, state.deadline());
    state.time_passed();
  }

  void receive() {
    if (!readable) {
      state.park();
      return wait();
    }
    if (edges::receive(state, socket_.get())) scheduler_.let_others_run();
  }

  void send() {
    if (!writable) return wait();
    const auto bytes = state.pending();
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      state.sent(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      writable = false;
    } else if (errno != EINTR) {
      state.failed();
    }
  }

  void work() {
    if (state.offloads()) {
      called = false;
      shared_.offload.submit([this] {
        state.burn();
        scheduler_.call(*this);
      });
      while (!called) scheduler_.wait(*this, connection_state::never);
    } else {
      state.burn();
      scheduler_.let_others_run();
    }
    state.carried_out();
  }

  shared_by_loops& shared_;
  fiber_scheduler& scheduler_;
  unique_fd socket_;
};

class loop {
public:
  static constexpr description about{
      .name = "fiber",
      .summary =
          "a Boost.Fiber with a 16 KiB stack for each connection, a scheduler on epoll for each thread",
      .family = model_family::fibers,
      .waits = "a fiber for each client; their scheduler waits in epoll_wait(2)",
      .threads = "N schedulers",
      .colour = "#c297ff"};
  static std::string_view unavailable_reason() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "this Boost.Fiber is not built for sanitizers: they do not know its stacks";
#else
    return "";
#endif
  }

  loop(shared_by_loops& shared, unsigned index)
      : shared_(shared), index_(index), acceptors_(shared.listeners.of_loop(index).size()) {
    if (!scheduler_->stacks().reserve(acceptors_.size())) throw std::bad_alloc();
    for (std::size_t i = 0; i < acceptors_.size(); ++i) {
      if (!scheduler_->watch(listener(i), EPOLLIN | EPOLLET, &acceptors_[i])) {
        throw std::system_error(errno, std::system_category(), "watching a listener");
      }
    }
    if (!scheduler_->watch(stopped_.fd(), EPOLLIN | EPOLLET, &main_)) {
      throw std::system_error(errno, std::system_category(), "watching the end");
    }
  }

  // On the thread whose fibers serve. Boost.Fiber makes what it keeps for a thread when it is first used
  // there, by a function that cannot throw: it ends the process if memory is lacking. So that is looked for
  // before, by one thread at a time.
  void prepare() {
    static std::mutex preparing;
    const std::lock_guard one(preparing);
    if (!has_memory_for_thread()) throw std::bad_alloc();
    fibers::context::active()->get_scheduler()->set_algo(scheduler_);
  }

  void run() {
    for (std::size_t i = 0; i < acceptors_.size(); ++i) {
      start([this, socket = listener(i), &acceptor = acceptors_[i]] { accept(socket, acceptor); });
    }
    while (!shared_.drain.stopping()) scheduler_->wait(main_, connection_state::never);
    shared_.listeners.close(index_);
    wake_acceptors();
    for (connection& conn : connections_) scheduler_->wake(conn);
    while (fibers_ > 0) {
      scheduler_->wait(main_, shared_.drain.expired() ? soon() : shared_.drain.deadline());
      if (!shared_.drain.expired()) continue;
      for (connection& conn : connections_) conn.abort();
    }
  }

  const server_totals& totals() const noexcept { return totals_; }

private:
  // For some objects and a stack. That is mapped: an allocation might change what malloc(3) does later.
  static bool has_memory_for_thread() noexcept {
    constexpr std::size_t objects = 8192;  // bytes; they take less
    const std::size_t stack = 2 * boost::context::stack_traits::default_size();
    void* const mapped = ::mmap(nullptr, stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return false;
    const bool allocated = can_allocate(objects);
    ::munmap(mapped, stack);
    return allocated;
  }

  int listener(std::size_t i) const { return shared_.listeners.of_loop(index_)[i].get(); }
  static connection_state::clock::time_point soon() { return connection_state::clock::now() + accept_pause; }

  // In another order each time, so that no address starves another.
  void wake_acceptors() {
    ++first_acceptor_;
    for (std::size_t i = 0; i < acceptors_.size(); ++i) {
      scheduler_->wake(acceptors_[(first_acceptor_ + i) % acceptors_.size()]);
    }
  }

  // Throws std::bad_alloc if there is no memory for a stack.
  template <class Function>
  void start(Function function) {
    fibers::fiber(std::allocator_arg, guarded_stacks::allocator(scheduler_->stacks()),
                  [this, run = std::move(function)]() mutable {
                    run();
                    if (--fibers_ == 0) scheduler_->wake(main_);
                  })
        .detach();
    ++fibers_;
  }

  void accept(int socket, fiber_waiter& acceptor) {
    for (unsigned times = 0; !shared_.drain.stopping();) {
      if (!shared_.connections.try_add()) {
        scheduler_->wait(acceptor, soon());
      } else if (unique_fd accepted = accept_connection(socket, accepted_socket::non_blocking)) {
        accept(std::move(accepted));
        if (++times % 128 == 0) scheduler_->let_others_run();
      } else {
        const int error = errno;
        shared_.connections.remove();
        if (accept_must_pause(error)) {
          if (connection_waits(socket)) totals_.count(server_error::accept);
          scheduler_->wait(acceptor, soon());
        } else if (error == EAGAIN) {
          scheduler_->wait(acceptor, connection_state::never);
        }
      }
    }
  }

  void accept(unique_fd socket) {
    ++totals_.accepted;
    try {
      start([this, socket = std::move(socket)]() mutable { serve(std::move(socket)); });
    } catch (const std::bad_alloc&) {
      totals_.count(server_error::accept);
      shared_.connections.remove();
    }
  }

  void serve(unique_fd socket) {
    connection conn(std::move(socket), shared_, *scheduler_, pool_);
    connections_.push_back(conn);
    conn.serve();
    conn.state.add_to(totals_);
    connections_.erase(connections_.iterator_to(conn));
    shared_.connections.remove();
    if (shared_.options.max_connections > 0) wake_acceptors();  // they may wait for room
  }

  shared_by_loops& shared_;
  unsigned index_;
  buffer_pool pool_{buffer_pool::use::one_thread};
  boost::intrusive_ptr<fiber_scheduler> scheduler_{new fiber_scheduler};  // the thread's, too
  fiber_waiter main_;
  wake_event stopped_;
  wake_on_stop on_stop_{shared_.stop, stopped_};
  std::vector<fiber_waiter> acceptors_;
  std::size_t first_acceptor_ = 0;
  boost::intrusive::list<connection> connections_;
  std::size_t fibers_ = 0;  // not counting the main one
  server_totals totals_;
};

}  // namespace

const variant variants::fiber = describe<server_of_loops<loop>>();

}  // namespace echobench
