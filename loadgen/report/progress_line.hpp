// One line on a terminal that says where a run is; nothing when stderr is not a terminal.
#pragma once

#include <chrono>
#include <string>

namespace echobench {

class progress_line {
public:
  progress_line();
  ~progress_line();  // wipes the line

  bool is_shown() const noexcept { return terminal_; }

  // Twice a second at most; `text` is called only when it is to be shown.
  template <class Text>
  void show(Text&& text) {
    if (due()) print(text());
  }

private:
  bool due() noexcept;
  void print(const std::string& text);

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace echobench
