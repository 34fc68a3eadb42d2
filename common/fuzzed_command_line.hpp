// For fuzzing: bytes to a command line. Each line of them is an argument; one that begins with a byte above
// 127 begins with an option's name, so that the fuzzer need not guess them.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace echobench {

inline std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) names.push_back(option->get_name());
  }
  return names;
}

class fuzzed_command_line {
public:
  fuzzed_command_line(std::string program, std::span<const std::string> names,
                      std::span<const std::uint8_t> bytes)
      : arguments_{std::move(program)} {
    for (std::string argument; !bytes.empty(); bytes = bytes.subspan(1)) {
      if (bytes[0] >= 128) {
        if (argument.empty()) argument = names[bytes[0] % names.size()] + "=";
      } else if (bytes[0] != '\n' && bytes[0] != '\0') {
        argument += static_cast<char>(bytes[0]);
      }
      if (bytes[0] == '\n' || bytes.size() == 1) {
        arguments_.push_back(argument);
        argument.clear();
      }
    }
    for (const auto& argument : arguments_) pointers_.push_back(argument.c_str());
    pointers_.push_back(nullptr);
  }

  int argc() const noexcept { return static_cast<int>(arguments_.size()); }
  const char* const* argv() const noexcept { return pointers_.data(); }

private:
  std::vector<std::string> arguments_;
  std::vector<const char*> pointers_;
};

}  // namespace echobench
