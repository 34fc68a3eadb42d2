// For tests: liburing's functions that set up and submit, which the linker replaces (-Wl,--wrap). They fail
// as the kernel may, and count what has completed.
#pragma once

#include <cstdint>
#include <functional>

namespace echobench::testing {

// One at a time, for the rings of all threads: none submits while it is constructed or destroyed.
class wrapped_liburing {
public:
  wrapped_liburing() noexcept { present = this; }
  wrapped_liburing(const wrapped_liburing&) = delete;
  wrapped_liburing& operator=(const wrapped_liburing&) = delete;
  ~wrapped_liburing() { present = nullptr; }

  // How many of so many entries a call submits; 0: it fails with EAGAIN. Empty: all.
  std::function<unsigned(unsigned entries)> submits;

  // With this error a ring cannot be set up; 0: it can.
  int error_of_setting_up = 0;

  std::uint64_t calls = 0;             // each of which enters the kernel
  std::uint64_t incomplete = 0;        // calls that left entries behind
  std::uint64_t completions = 0;       // if one ring is used at a time
  std::uint64_t without_a_buffer = 0;  // of the completions: ENOBUFS
  unsigned end_of_completions = 0;     // in the ring's queue

  static inline wrapped_liburing* present = nullptr;
};

}  // namespace echobench::testing
