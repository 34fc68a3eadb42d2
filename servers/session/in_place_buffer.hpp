// A bounded buffer in which input becomes output where it lies, borrowed from a pool while there is something
// in it:
//
//   0 <= sent_ <= out_ <= in_ <= end_ <= capacity_
//        output       input    free
//
// out_ == in_ unless input was skipped. Not thread-safe.
#pragma once

#include "servers/session/buffer_pool.hpp"

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace echobench {

class in_place_buffer {
public:
  static constexpr std::size_t max_size = buffer_pool::large_size;  // bytes of input and output together

  explicit in_place_buffer(buffer_pool& pool) noexcept : pool_(&pool) {}
  in_place_buffer(const in_place_buffer&) = delete;
  in_place_buffer& operator=(const in_place_buffer&) = delete;
  ~in_place_buffer() { release(); }

  // Follows the input; the address is stable until filled() or park(). Empty only while output is left or the
  // input fills the buffer.
  std::span<std::byte> free_space() {
    if (sent_ == out_) make_room();
    return {buffer_ + end_, capacity_ - end_};
  }
  // The first n bytes of the free space are input now.
  void filled(std::size_t n) noexcept {
    end_ += static_cast<std::uint32_t>(n);
    wants_large_ = end_ >= buffer_pool::small_size;
  }

  // About n bytes will come: determines the size of the next buffer.
  void expect(std::size_t n) noexcept { wants_large_ = n >= buffer_pool::small_size; }

  std::span<std::byte> input() const noexcept { return {buffer_ + in_, buffer_ + end_}; }
  void skip(std::size_t n) noexcept { in_ += static_cast<std::uint32_t>(n); }
  // The next n bytes of input become output; returns them.
  std::span<std::byte> emit(std::size_t n) noexcept {
    const std::span<std::byte> emitted(buffer_ + out_, n);
    if (out_ != in_) std::memmove(buffer_ + out_, buffer_ + in_, n);
    out_ += static_cast<std::uint32_t>(n);
    in_ += static_cast<std::uint32_t>(n);
    return emitted;
  }

  std::span<const std::byte> output() const noexcept { return {buffer_ + sent_, buffer_ + out_}; }
  void sent(std::size_t n) noexcept {
    assert(n <= out_ - sent_);
    sent_ += static_cast<std::uint32_t>(n);
  }

  // Returns the memory to the pool if there is nothing in it.
  void park() noexcept {
    if (sent_ == out_ && in_ == end_) release();
  }

private:
  // No output is left: the input moves to the front of a buffer whose size the last input determined.
  void make_room() {
    const std::uint32_t length = end_ - in_;
    const bool large = wants_large_ || length >= buffer_pool::small_size;
    const std::uint32_t size = large ? buffer_pool::large_size : buffer_pool::small_size;
    std::byte* old = buffer_;
    const std::uint32_t old_size = capacity_;
    const bool exchange = size > capacity_ || (length == 0 && size != capacity_);
    if (exchange) {
      buffer_ = pool_->borrow(size);
      capacity_ = size;
    }
    if (length > 0 && (exchange || in_ > 0)) std::memmove(buffer_, old + in_, length);
    if (exchange && old != nullptr) pool_->give_back(old, old_size);
    sent_ = out_ = in_ = 0;
    end_ = length;
  }

  void release() noexcept {
    if (buffer_ != nullptr) pool_->give_back(buffer_, capacity_);
    buffer_ = nullptr;
    capacity_ = sent_ = out_ = in_ = end_ = 0;
  }

  buffer_pool* pool_;
  std::byte* buffer_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t sent_ = 0;
  std::uint32_t out_ = 0;
  std::uint32_t in_ = 0;
  std::uint32_t end_ = 0;
  bool wants_large_ = false;
};

}  // namespace echobench
