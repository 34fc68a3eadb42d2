// The real echo-load, run by a test.
#pragma once

#include "common/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace echobench {

// A running echo-load; its output goes to files, so that it never waits for us.
class program {
public:
  explicit program(std::vector<std::string> arguments, const std::string& shell_prefix = "") {
    char name[] = "/tmp/echo-load-test-XXXXXX";
    directory_ = ::mkdtemp(name);
    arguments.insert(arguments.begin(), ECHO_LOAD);
    const bool chosen = std::ranges::find(arguments, "--engine") != arguments.end();
    if (const char* engine = std::getenv("ECHO_LOAD_ENGINE"); engine != nullptr && !chosen)
      arguments.insert(arguments.begin() + 1, {"--engine", engine});
    for (const std::string kind : {"json", "hdr"}) {
      if (std::ranges::find(arguments, "--" + kind) == arguments.end()) {
        arguments.insert(arguments.end(), {"--" + kind, path(kind)});
      }
    }
    if (!shell_prefix.empty()) {
      arguments.insert(arguments.begin(), {"/bin/sh", "-c", shell_prefix + " exec \"$@\"", "sh"});
    }
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC;
    ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, path("out").c_str(), flags, 0600);
    ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, path("err").c_str(), flags, 0600);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&files);
  }
  ~program() { std::filesystem::remove_all(directory_); }

  void interrupt() const { ::kill(pid_, SIGINT); }
  void signal(int number) const { ::kill(pid_, number); }
  // To the lowest, of all its threads but the first.
  void lower_priority_of_workers() const {
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
      const int thread = std::stoi(task.path().filename());
      if (thread != pid_) ::setpriority(PRIO_PROCESS, static_cast<id_t>(thread), 19);
    }
  }
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }

  int wait() {
    int status = 0;
    EXPECT_EQ(::wait4(pid_, &status, 0, &used_), pid_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::int64_t peak_memory_bytes() const { return std::int64_t{used_.ru_maxrss} * 1024; }  // after wait()
  std::string out() const { return read("out"); }
  std::string err() const { return read("err"); }
  std::string hdr() const { return read("hdr"); }
  nlohmann::json result() const { return nlohmann::json::parse(read("json")); }
  nlohmann::json cell() const { return result().at("cells").at(0); }

private:
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string directory_;
  pid_t pid_ = -1;
  rusage used_{};
};

// These arguments, and a short run with few connections where they do not say otherwise.
inline std::vector<std::string> briefly(std::vector<std::string> arguments) {
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"-d", "400ms"}, {"--warmup", "50ms"}, {"-c", "5"}, {"--timeout", "2s"}}) {
    if (std::ranges::find(arguments, name) == arguments.end())
      arguments.insert(arguments.end(), {name, value});
  }
  return arguments;
}

// What a stall of the machine may prevent: a fault shows in each run, a stall in some.
template <class Run>
bool one_of_three(Run agrees) {
  for (int i = 0; i < 3; ++i) {
    if (agrees()) return true;
  }
  return false;
}

}  // namespace echobench
