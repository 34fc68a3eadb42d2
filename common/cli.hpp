// Command lines, alike in every program: CLI11 with our units, defaults shown in the help, and our exit
// statuses. The one header of common/ that needs more than std and POSIX; the library echobench::common does
// not include it.
#pragma once

#include "common/cpu.hpp"
#include "common/process.hpp"
#include "common/units.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <concepts>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace echobench::cli {

// An option that is a count or a size, `10k`; refused outside [min, max].
template <std::unsigned_integral Count>
CLI::Option* add_count(CLI::App& app, const std::string& name, Count& value, const std::string& help,
                       std::uint64_t min = 0, std::uint64_t max = std::numeric_limits<Count>::max()) {
  const auto parse = [&value, name, min, max](const std::string& text) {
    const auto count = parse_count(text);
    if (!count || *count < min || *count > max) {
      throw CLI::ValidationError(name, "'" + text + "' is not a whole number from " + format_count(min) +
                                           " to " + format_count(max));
    }
    value = static_cast<Count>(*count);
  };
  return app.add_option_function<std::string>(name, parse, help)
      ->type_name("N")
      ->default_str(format_count(value));
}

// An option that is a time, `250us`; refused outside [min, max].
inline CLI::Option* add_duration(CLI::App& app, const std::string& name, std::chrono::nanoseconds& value,
                                 const std::string& help,
                                 std::chrono::nanoseconds min = std::chrono::nanoseconds(0),
                                 std::chrono::nanoseconds max = std::chrono::hours(24)) {
  const auto parse = [&value, name, min, max](const std::string& text) {
    const auto duration = parse_duration(text);
    if (!duration || *duration < min || *duration > max) {
      throw CLI::ValidationError(name, "'" + text + "' is not a time from " + format_duration(min) + " to " +
                                           format_duration(max) + " (units ns, us, ms, s, m, h)");
    }
    value = *duration;
  };
  return app.add_option_function<std::string>(name, parse, help)
      ->type_name("TIME")
      ->default_str(format_duration(value));
}

// An option that is a list of CPUs, `0,2-3`.
inline CLI::Option* add_cpus(CLI::App& app, const std::string& name, cpu_list& value,
                             const std::string& help) {
  const auto parse = [&value, name](const std::string& text) {
    const auto cpus = parse_cpu_list(text);
    if (!cpus) throw CLI::ValidationError(name, "'" + text + "' is not a list of CPUs, for example 0,2-3");
    value = *cpus;
  };
  return app.add_option_function<std::string>(name, parse, help)->type_name("LIST");
}

// An option that is one of a few words, each standing for a value.
template <class Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& value,
                        const std::vector<std::pair<std::string, Value>>& choices, const std::string& help) {
  std::string words;
  std::string word;
  for (const auto& [text, meaning] : choices) {
    words += (words.empty() ? "" : "|") + text;
    if (meaning == value) word = text;
  }
  const auto parse = [&value, name, choices, words](const std::string& text) {
    for (const auto& [choice, meaning] : choices) {
      if (choice == text) {
        value = meaning;
        return;
      }
    }
    throw CLI::ValidationError(name, "'" + text + "' is none of " + words);
  };
  return app.add_option_function<std::string>(name, parse, help)->type_name(words)->default_str(word);
}

// Prints help or version on stdout and mistakes on stderr, and returns our exit status. Throws as
// print_output().
inline int report(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    std::ostringstream text;
    app.exit(error, text, text);
    print_output(text.str());
    return exit_ok;
  }
  std::cerr << app.get_name() << ": " << error.what() << " (--help shows the options)\n";
  return exit_usage;
}

}  // namespace echobench::cli
