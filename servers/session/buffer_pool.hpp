// Lends receive buffers, so that a connection that waits for its peer need not hold one.
//
// Two sizes: one for small requests, and the most that a session ever holds. Returned buffers are kept for
// the next borrower up to a bound; beyond it they are freed. A pool must outlive its borrowers.
//
// Large buffers are what uses memory up. A pool can leave some of it to those who cannot do without.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>
#include <utility>

namespace echobench {

// Whether there is memory for so many bytes, now.
inline bool can_allocate(std::size_t bytes) noexcept {
  void* const memory = ::operator new(bytes, std::nothrow);
  ::operator delete(memory);
  return memory != nullptr;
}

class buffer_pool {
public:
  static constexpr std::uint32_t small_size = 512;        // bytes
  static constexpr std::uint32_t large_size = 64 * 1024;  // bytes
  enum class use { one_thread, many_threads };

  // reserve: returns how many bytes large buffers must leave free; from any thread that borrows.
  explicit buffer_pool(use threads, std::function<std::size_t()> reserve = {}) noexcept
      : shared_(threads == use::many_threads), reserve_(std::move(reserve)) {}
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;
  ~buffer_pool() {
    for (kept_buffers& kept : kept_) {
      while (kept.first != nullptr) ::operator delete(take(kept));
    }
  }

  // size: small_size or large_size. The contents are undefined. Throws std::bad_alloc.
  std::byte* borrow(std::uint32_t size) {
    {
      const auto lock = guard();
      if (kept_buffers& kept = kept_of(size); kept.first != nullptr) return take(kept);
    }
    if (size == large_size && reserve_ && !can_allocate(size + reserve_())) throw std::bad_alloc();
    return static_cast<std::byte*>(::operator new(size));
  }

  void give_back(std::byte* buffer, std::uint32_t size) noexcept {
    {
      const auto lock = guard();
      if (kept_buffers& kept = kept_of(size); kept.bytes + size <= kept_at_most) {
        kept.first = new (buffer) free_buffer{kept.first};
        kept.bytes += size;
        return;
      }
    }
    ::operator delete(buffer);
  }

private:
  static constexpr std::size_t kept_at_most = 4U << 20;  // bytes, for each of the two sizes
  struct free_buffer {
    free_buffer* next;
  };
  struct kept_buffers {
    std::uint32_t size;
    free_buffer* first = nullptr;
    std::size_t bytes = 0;
  };

  std::unique_lock<std::mutex> guard() noexcept {
    return shared_ ? std::unique_lock(mutex_) : std::unique_lock<std::mutex>();
  }
  kept_buffers& kept_of(std::uint32_t size) noexcept { return kept_[size == large_size ? 1 : 0]; }
  static std::byte* take(kept_buffers& kept) noexcept {
    free_buffer* taken = kept.first;
    kept.first = taken->next;
    kept.bytes -= kept.size;
    return reinterpret_cast<std::byte*>(taken);
  }

  bool shared_;
  std::function<std::size_t()> reserve_;
  std::mutex mutex_;
  std::array<kept_buffers, 2> kept_{kept_buffers{small_size}, kept_buffers{large_size}};
};

}  // namespace echobench
