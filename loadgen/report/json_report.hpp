// A measurement as the result file that results/result.schema.json describes.
#pragma once

#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>

namespace echobench {

nlohmann::json to_json(const measurement& measured, const options& asked, std::span<const std::string> argv);

}  // namespace echobench
