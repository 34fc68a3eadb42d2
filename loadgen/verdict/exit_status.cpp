#include "loadgen/verdict/exit_status.hpp"

#include <algorithm>

namespace echobench {

exit_status exit_status_of(const measurement& measured, bool strict) noexcept {
  const auto any = [&](auto&& test) { return std::ranges::any_of(measured.cells, test); };
  if (any([](const cell& of) { return of.wrong_replies() > 0; })) return exit_wrong_replies;
  if (any([](const cell& of) { return of.verified() == 0; })) return exit_failed;
  if (strict && any([](const cell& of) { return of.judged.found != verdict::valid; })) return exit_not_valid;
  return exit_ok;
}

}  // namespace echobench
