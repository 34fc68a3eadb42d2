// All that a run has measured is delivered, or echo-load reports what could not be, and fails.
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

class delivery : public testing::Test {
protected:
  delivery() {
    char name[] = "/tmp/delivery-test-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~delivery() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> with(std::vector<std::string> arguments) const {
    arguments.push_back(server_.address());
    return briefly(std::move(arguments));
  }
  // Until there are some.
  void await_replies() const {
    while (replies_ < 100) std::this_thread::sleep_for(1ms);
  }

  fs::path folder_;
  std::atomic<int> replies_ = 0;
  fixture_server server_{behaviours::tamper([this](std::size_t, std::size_t, message reply) {
    ++replies_;
    return reply;
  })};
};

TEST_F(delivery, a_result_that_cannot_be_written_leaves_the_table_and_the_other_files) {
  program json_full(with({"--json", "/dev/full", "--intervals", path("intervals"), "--interval", "100ms"}));
  EXPECT_EQ(json_full.wait(), exit_failed);
  EXPECT_EQ(json_full.err(), "echo-load: --json: cannot write /dev/full: No space left on device\n");
  EXPECT_THAT(json_full.out(), AllOf(HasSubstr("requests/s"), HasSubstr("verified replies")));
  EXPECT_THAT(json_full.hdr(), HasSubstr("/service,"));
  EXPECT_THAT(read(path("intervals")), HasSubstr("driven_ns"));

  program hdr_full(with({"--hdr", "/dev/full"}));
  EXPECT_EQ(hdr_full.wait(), exit_failed);
  EXPECT_EQ(hdr_full.err(), "echo-load: --hdr: cannot write /dev/full: No space left on device\n");
  EXPECT_THAT(hdr_full.out(), HasSubstr("requests/s"));
  EXPECT_GT(hdr_full.cell()["requests"], 0);

  program both_full(with({"--hdr", "/dev/full", "--json", "/dev/full"}));
  EXPECT_EQ(both_full.wait(), exit_failed);
  EXPECT_THAT(both_full.err(), AllOf(HasSubstr("--json: "), HasSubstr("--hdr: ")));
}

TEST_F(delivery, a_limit_of_the_size_of_a_file_ends_no_run) {
  // In blocks of 512 bytes: a result is longer, the table and the histograms of few requests are not.
  program run(with({"-R", "200"}), "ulimit -f 8;");
  EXPECT_EQ(run.wait(), exit_failed) << run.out();
  EXPECT_THAT(run.err(), AllOf(HasSubstr("--json: cannot write "), HasSubstr("File too large")));
  EXPECT_THAT(run.out(), HasSubstr("requests/s"));
  EXPECT_THAT(run.hdr(), HasSubstr("/service,"));
}

TEST_F(delivery, a_folder_that_is_removed_meanwhile_costs_only_what_was_to_be_in_it) {
  fs::create_directory(folder_ / "below");
  program run(with({"-d", "10m", "--json", path("below/x.json")}));
  await_replies();
  fs::remove_all(folder_ / "below");
  run.interrupt();
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), AllOf(HasSubstr(path("below/x.json")), HasSubstr("No such file or directory")));
  EXPECT_THAT(run.out(), AllOf(HasSubstr("requests/s"), HasSubstr("interrupted")));
  EXPECT_THAT(run.hdr(), HasSubstr("#[StartTime"));
}

TEST_F(delivery, a_file_that_is_mounted_alone_is_written_in_place) {
  const std::string mounted = path("x.json");
  std::ofstream(mounted) << "{}";
  const std::string mount = "unshare -rm sh -c 'mount --bind \"$0\" \"$0\" && exec \"$@\"' " + mounted;
  if (std::system((mount + " true 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "a file cannot be mounted here";
  program run(with({"--json", mounted}), "exec " + mount + " \"$@\";");
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_GT(json::parse(read(mounted))["cells"][0]["requests"], 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(delivery, a_table_that_cannot_be_printed_leaves_the_files_and_fails) {
  program run(with({}), "exec >/dev/full;");
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_EQ(run.err(), "echo-load: cannot write to standard output: No space left on device\n");
  EXPECT_GT(run.cell()["requests"], 0);
  EXPECT_THAT(run.hdr(), HasSubstr("/service,"));
}

TEST_F(delivery, a_table_whose_reader_has_gone_is_a_failure) {
  program run(with({}), "(\"$@\"; echo \"status $?\" >&2) | head -n 1; exit;");
  run.wait();
  EXPECT_EQ(run.err(), "status 0\n") << "it was written before its reader went";
  EXPECT_GT(run.cell()["requests"], 0);
  program unread(with({}), "(sleep 0.1; \"$@\"; echo \"status $?\" >&2) | true; exit;");
  unread.wait();
  EXPECT_EQ(unread.err(), "echo-load: cannot write to standard output: Broken pipe\nstatus 1\n");
  EXPECT_GT(unread.cell()["requests"], 0);
}

TEST_F(delivery, intervals_that_cannot_be_written_are_reported_once_and_fail) {
  program run(with({"--intervals", "/dev/full", "--interval", "100ms", "-d", "1s"}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(),
              testing::MatchesRegex("echo-load: --intervals: cannot write /dev/full: No space left "
                                    "on device; [0-9]+ of [0-9]+ lines are missing\n"));
  EXPECT_THAT(run.out(), HasSubstr("requests/s"));
  EXPECT_GT(run.cell()["requests"], 0);
}

TEST_F(delivery, replies_that_are_wrong_are_worse_than_a_file_that_cannot_be_written) {
  fixture_server wrong(behaviours::tamper([](std::size_t, std::size_t number, message reply) {
    if (number == 2) reply.back() ^= std::byte{1};
    return reply;
  }));
  program run(briefly({"--json", "/dev/full", wrong.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  EXPECT_THAT(run.err(), HasSubstr("/dev/full"));
}

TEST_F(delivery, two_results_in_one_file_are_refused) {
  fs::create_symlink(path("x"), path("link"));
  const struct {
    std::vector<std::string> arguments;
    std::vector<const char*> named;
  } table[] = {{{"--json", path("x"), "--hdr", path("x")}, {"--json", "--hdr"}},
               {{"--json", path("x"), "--hdr", folder_ / "." / "x"}, {"--json", "--hdr"}},
               {{"--json", path("x"), "--intervals", path("link")}, {"--json", "--intervals"}},
               {{"--hdr", path("link"), "--intervals", path("x")}, {"--hdr", "--intervals"}}};
  for (const auto& row : table) {
    for (const bool exists : {false, true}) {
      fs::remove(path("x"));
      if (exists) std::ofstream(path("x")) << "old";
      program run(with(row.arguments));
      EXPECT_EQ(run.wait(), exit_usage);
      for (const char* option : row.named) EXPECT_THAT(run.err(), HasSubstr(option));
      EXPECT_EQ(read(path("x")), exists ? "old" : "");
    }
  }
  EXPECT_EQ(replies_, 0);
  program nowhere(with({"--json", "/dev/null", "--hdr", "/dev/null"}));
  EXPECT_EQ(nowhere.wait(), exit_ok) << nowhere.err();
}

TEST_F(delivery, a_result_in_the_file_of_a_standard_stream_is_refused_unless_it_is_the_stream) {
  for (const auto& [redirection, named] :
       {std::pair(">", "standard output"), std::pair("2>", "standard error")}) {
    const std::string out = path("out");
    std::string prefix = "exec ";
    prefix += redirection + out + ';';
    program run(with({"--json", out}), prefix);
    EXPECT_EQ(run.wait(), exit_usage);
    const std::string complaint = redirection == std::string(">") ? run.err() : read(out);
    EXPECT_THAT(complaint, AllOf(HasSubstr("--json " + out), HasSubstr(named)));
  }
  program run(with({"--json", "/dev/stdout"}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const std::string out = run.out();
  const auto begin = out.find("\n{\n");
  ASSERT_NE(begin, std::string::npos) << out;
  EXPECT_THAT(out.substr(0, begin), HasSubstr("requests/s"));
  EXPECT_GT(json::parse(out.substr(begin))["cells"][0]["requests"], 0);
}

TEST_F(delivery, a_result_that_nobody_reads_can_be_interrupted) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  program run(with({"-d", "10m", "--json", path("pipe")}));
  await_replies();
  run.interrupt();
  while (run.out().find("requests/s") == std::string::npos) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(run.ended()) << "the first ends the measurement, not the wait for a reader";
  run.interrupt();
  EXPECT_EQ(run.wait(), -SIGINT);
}

}  // namespace
}  // namespace echobench
