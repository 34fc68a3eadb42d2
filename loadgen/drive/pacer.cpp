#include "loadgen/drive/pacer.hpp"

#include "loadgen/plan/schedule.hpp"
#include "loadgen/plan/seeded.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

class closed_pacer final : public pacer {
public:
  closed_pacer(const pacing& how, const share& part, std::size_t pipeline)
      : how_(how), part_(part), pipeline_(pipeline), ready_(part.size()) {}

  void begin(const drive_plan& plan) override {
    origin_ = plan.start - driven_;
    started_ = plan.start;
    stop_ = plan.stop;
    thinking_.clear();
    if (how_.think.mean == 0ns) {
      std::ranges::fill(ready_, static_cast<std::uint32_t>(pipeline_));
      return;
    }
    std::ranges::fill(ready_, 0U);
    for (std::size_t i = 0; i < ready_.size(); ++i) {  // spread, as they will be later
      for (std::size_t k = 0; k < pipeline_; ++k)
        later(i, plan.start + how_.think.mean * part_.number_of(i) / part_.whole);
    }
  }
  void end(clock::time_point stopped) override { driven_ += stopped - started_; }

  arrival next() const noexcept override {
    return thinking_.empty() ? arrival{clock::time_point::max(), 0} : thinking_.front();
  }
  void release() noexcept override {
    ++ready_[thinking_.front().connection];
    std::ranges::pop_heap(thinking_, comes_later);
    thinking_.pop_back();
  }

  bool may_issue(std::size_t connection, clock::time_point now) const noexcept override {
    return ready_[connection] > 0 && now < stop_;
  }
  clock::time_point issue(std::size_t connection, clock::time_point now) noexcept override {
    --ready_[connection];
    return now;
  }
  void answered(std::size_t connection, clock::time_point now) noexcept override {
    if (now >= stop_) return;
    auto due = now;
    if (how_.think.mean > 0ns) due += think();
    due = on_at(due);
    if (due == now) {
      ++ready_[connection];
    } else {
      later(connection, due);
    }
  }

  std::uint64_t backlog() const noexcept override { return 0; }
  std::uint64_t drop(std::size_t connection) noexcept override {
    ready_[connection] = 0;
    return 0;
  }

private:
  static bool comes_later(const arrival& a, const arrival& b) noexcept { return a.due > b.due; }

  void later(std::size_t connection, clock::time_point due) {
    thinking_.push_back({due, connection});
    std::ranges::push_heap(thinking_, comes_later);
  }

  nanoseconds think() noexcept {
    if (!how_.think.exponential) return how_.think.mean;
    const double times = exponential(seeded_bits(how_.seed, part_.first, thought_++));
    return nanoseconds(static_cast<std::int64_t>(times * static_cast<double>(how_.think.mean.count())));
  }

  // Then, or when the next burst begins.
  clock::time_point on_at(clock::time_point due) const noexcept {
    const auto& [on, off] = how_.on_off;
    if (off == 0ns) return due;
    const auto within = (due - origin_) % (on + off);
    return within < on ? due : due - within + on + off;
  }

  const pacing how_;
  const share part_;
  const std::size_t pipeline_;
  std::vector<std::uint32_t> ready_;  // of each connection: requests that may go
  std::vector<arrival> thinking_;     // a heap
  std::uint64_t thought_ = 0;         // how often
  nanoseconds driven_{0};
  clock::time_point origin_;
  clock::time_point started_;
  clock::time_point stop_;
};

class open_pacer final : public pacer {
public:
  open_pacer(const pacing& how, const share& part) : how_(how), part_(part) {}

  void begin(const drive_plan& plan) override {
    if (!due_ || plan.rate != rate_) {
      due_.emplace(
          how_.arrival,
          schedule_share{.rate = plan.rate, .connections = part_, .seed = how_.seed, .on_off = how_.on_off});
      rate_ = plan.rate;
      driven_ = 0ns;
    }
    started_ = plan.start;
    origin_ = plan.start - driven_;
  }
  void end(clock::time_point stopped) override { driven_ += stopped - started_; }

  arrival next() const noexcept override { return {origin_ + due_->next().due, due_->next().connection}; }
  void release() noexcept override { due_->release(); }

  bool may_issue(std::size_t connection, clock::time_point) const noexcept override {
    return due_->backlog(connection) > 0;
  }
  clock::time_point issue(std::size_t connection, clock::time_point) noexcept override {
    return origin_ + due_->issue(connection);
  }
  void answered(std::size_t, clock::time_point) noexcept override {}

  std::uint64_t backlog() const noexcept override { return due_->backlog(); }
  std::uint64_t drop(std::size_t connection) noexcept override { return due_ ? due_->drop(connection) : 0; }

private:
  const pacing how_;
  const share part_;
  std::optional<schedule> due_;
  std::uint64_t rate_ = 0;
  nanoseconds driven_{0};
  clock::time_point origin_;
  clock::time_point started_;
};

}  // namespace

std::unique_ptr<pacer> make_closed_pacer(const pacing& how, const share& part, std::size_t pipeline) {
  return std::make_unique<closed_pacer>(how, part, pipeline);
}

std::unique_ptr<pacer> make_open_pacer(const pacing& how, const share& part) {
  return std::make_unique<open_pacer>(how, part);
}

}  // namespace echobench
