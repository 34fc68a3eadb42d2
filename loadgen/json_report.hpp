// A measurement as the result file that results/result.schema.json describes.
#pragma once

#include "loadgen/measurement.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <string_view>

namespace echobench {

nlohmann::json to_json(const measurement& measured, const options& asked, std::span<const std::string> argv);

// The file is there whole or not at all (temporary file, then rename). Throws std::system_error that names
// it.
void write_file(const std::string& path, std::string_view text);

}  // namespace echobench
