// Stacks for coroutines and fibers: below each is a page that nobody may touch, so that an overflow ends the
// process instead of changing what lies there. Signal handlers run on them, too.
#pragma once

#include <boost/context/stack_context.hpp>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace echobench {

// A loop's stacks, used by its thread alone; it must outlive them. Mapping one takes two system calls, and
// two of the mappings that a process may have (vm.max_map_count, 65,530: 32,000 stacks). Returned stacks are
// kept for the next borrower up to a bound; beyond it they are unmapped.
class guarded_stacks {
public:
  static constexpr std::size_t size = std::size_t{16} * 1024;  // bytes; one page is used, a second by signals

  guarded_stacks() = default;
  guarded_stacks(const guarded_stacks&) = delete;
  guarded_stacks& operator=(const guarded_stacks&) = delete;
  ~guarded_stacks() {
    while (first_ != nullptr) unmap(take());
  }

  // Whether there is memory for n more.
  bool reserve(std::size_t n = 1) noexcept {
    while (kept_ < n) {
      std::byte* const top = map();
      if (top == nullptr) return false;
      keep(top);
    }
    return true;
  }

  // What Boost.Context and what is built on it copy and call.
  class allocator {
  public:
    explicit allocator(guarded_stacks& stacks) noexcept : stacks_(&stacks) {}

    boost::context::stack_context allocate() {
      if (!stacks_->reserve()) throw std::bad_alloc();
      boost::context::stack_context stack;
      stack.size = size;
      stack.sp = stacks_->take();
      return stack;
    }
    void deallocate(boost::context::stack_context& stack) noexcept {
      stacks_->give_back(static_cast<std::byte*>(stack.sp));
    }

  private:
    guarded_stacks* stacks_;
  };

private:
  static constexpr std::size_t kept_at_most = 512;  // some 2 MiB of pages that were used

  // At the top of a stack that nobody uses: that page has been touched.
  struct free_stack {
    free_stack* next;
  };

  static std::size_t guard_size() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

  // The top of a stack; nullptr if there is no memory.
  static std::byte* map() noexcept {
    const std::size_t guard = guard_size();
    void* const bottom =
        ::mmap(nullptr, guard + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (bottom == MAP_FAILED) return nullptr;
    std::byte* const top = static_cast<std::byte*>(bottom) + guard + size;
    if (::mprotect(bottom, guard, PROT_NONE) == 0) return top;
    unmap(top);
    return nullptr;
  }
  static void unmap(std::byte* top) noexcept { ::munmap(top - size - guard_size(), guard_size() + size); }

  void keep(std::byte* top) noexcept {
    first_ = new (top - sizeof(free_stack)) free_stack{first_};
    ++kept_;
  }
  std::byte* take() noexcept {
    free_stack* const taken = first_;
    first_ = taken->next;
    --kept_;
    return reinterpret_cast<std::byte*>(taken + 1);
  }
  void give_back(std::byte* top) noexcept { kept_ < kept_at_most ? keep(top) : unmap(top); }

  free_stack* first_ = nullptr;
  std::size_t kept_ = 0;
};

}  // namespace echobench
